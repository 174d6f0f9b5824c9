"""The mutations, file by file of curvcore."""

from verification.mutants.catalogue import comparison, formulas, fused, geometry, providers

PARTS = (formulas, fused, providers, comparison, geometry)
MUTATIONS = [mutation for part in PARTS for mutation in part.MUTATIONS]
