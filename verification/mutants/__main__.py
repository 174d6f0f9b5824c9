"""``python -m verification.mutants``."""

from verification.extras import require_for_command

require_for_command("verification.mutants")

from verification.mutants.command import app

app()
