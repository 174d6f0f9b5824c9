"""Proofs, certificates and benchmarks of ``curvcore`` against manifolds of known curvature."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verification.exact.certificates import Certificate, CertificationError, certify

__all__ = ["Certificate", "CertificationError", "certify"]


def __getattr__(name: str) -> Any:
    """Certificates, imported when they are asked for: they need python-flint."""
    if name not in __all__:
        raise AttributeError(f"module 'verification' has no attribute {name!r}")
    from verification.extras import require

    require(f"verification.{name}")
    from verification.exact import certificates

    return getattr(certificates, name)
