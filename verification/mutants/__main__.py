"""``python -m verification.mutants``."""

from verification.mutants.command import app

app()
