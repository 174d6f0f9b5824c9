"""The mutations, file by file."""

from verification.mutants.catalogue import (
    atlases,
    binding,
    certified,
    comparison,
    formulas,
    fused,
    fused_rules,
    geometry,
    kinks,
    large_dimension,
    maps,
    operations,
    providers,
    rounding,
    statistics,
)

PARTS = (
    formulas,
    fused,
    fused_rules,
    providers,
    comparison,
    kinks,
    geometry,
    atlases,
    binding,
    large_dimension,
    maps,
    operations,
    rounding,
    statistics,
    certified,
)
MUTATIONS = [mutation for part in PARTS for mutation in part.MUTATIONS]
