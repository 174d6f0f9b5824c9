"""The mutations, file by file of curvcore."""

from verification.mutants.catalogue import (
    comparison,
    formulas,
    fused,
    fused_rules,
    geometry,
    providers,
)

PARTS = (formulas, fused, fused_rules, providers, comparison, geometry)
MUTATIONS = [mutation for part in PARTS for mutation in part.MUTATIONS]
