"""Proofs, certificates and benchmarks of ``curvcore`` against manifolds of known curvature."""

from verification.certificates import Certificate, CertificationError, certify

__all__ = ["Certificate", "CertificationError", "certify"]
