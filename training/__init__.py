"""Curvature-regularised autoencoders, built on curvcore: ``python -m training``.

See docs/how-to/train.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.estimator import CurvatureAutoencoder

__all__ = ["CurvatureAutoencoder"]


def __getattr__(name: str) -> Any:
    """The estimator, imported when it is asked for: functionals need torch alone."""
    if name not in __all__:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    from training.extras import needed_by

    with needed_by(f"training.{name}"):
        from training import estimator
    return getattr(estimator, name)
