"""The mutations, file by file of curvcore."""

from verification.mutants.catalogue import (
    atlases,
    comparison,
    formulas,
    fused,
    fused_rules,
    geometry,
    kinks,
    providers,
)

PARTS = (formulas, fused, fused_rules, providers, comparison, kinks, geometry, atlases)
MUTATIONS = [mutation for part in PARTS for mutation in part.MUTATIONS]
