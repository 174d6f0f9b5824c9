"""``python -m verification.benchmark``."""

from verification.extras import require_for_command

require_for_command("verification.benchmark")

from verification.benchmark.command import app

app()
