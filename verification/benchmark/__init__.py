"""``python -m verification.benchmark``: what curvature costs, along every route."""
