"""``python -m verification.benchmark``."""

from verification.extras import COMMAND_LINE, require_for_command

require_for_command("verification.benchmark", COMMAND_LINE)

from verification.benchmark.command import app

app()
