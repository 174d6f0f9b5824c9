"""The mutations, file by file of curvcore."""

from verification.mutants.catalogue import formulas, fused, geometry, providers

MUTATIONS = [*formulas.MUTATIONS, *fused.MUTATIONS, *providers.MUTATIONS, *geometry.MUTATIONS]
