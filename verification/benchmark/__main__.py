"""``python -m verification.benchmark``."""

from verification.benchmark.command import app

app()
