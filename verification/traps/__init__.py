"""Where torch's nested derivatives fail silently, live, and curvcore does not.

``findings`` runs every trap of torch that curvcore steps round, ``peers`` puts the same surfaces
through other software.
"""

from verification.traps.cases import findings
from verification.traps.comparison import peers

__all__ = ["findings", "peers"]
