"""``python -m curvcore COMMAND``: see :mod:`curvcore.command`."""

import sys

from curvcore.command import main

if __name__ == "__main__":
    sys.exit(main())
