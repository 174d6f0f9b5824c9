"""Proofs, certificates and benchmarks of ``curvcore`` against manifolds of known curvature."""

from verification.exact.certificates import Certificate, CertificationError, certify

__all__ = ["Certificate", "CertificationError", "certify"]
