"""``python -m verification.referee``."""

from verification.extras import require_for_command

require_for_command("verification.referee")

from verification.referee.command import app

app()
