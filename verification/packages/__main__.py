"""``python -m verification.packages``."""

from verification.extras import COMMAND_LINE, require_for_command

require_for_command("verification.packages", COMMAND_LINE)

from verification.packages.command import app

app()
