"""Decoders of packages, a family each module; every builder imports its package itself."""

from verification.packages.families import (
    autoencoders,
    cells,
    diffusion,
    equations,
    flows,
    networks,
    processes,
    splines,
    tokens,
)

CASES = (
    *diffusion.CASES,
    *autoencoders.CASES,
    *cells.CASES,
    *tokens.CASES,
    *flows.CASES,
    *equations.CASES,
    *processes.CASES,
    *splines.CASES,
    *networks.CASES,
)
