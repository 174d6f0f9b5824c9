"""Proofs, certificates and benchmarks of ``curvcore`` against manifolds of known curvature."""
