"""Proofs, certificates and benchmarks of ``curvcore`` against manifolds of known curvature."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verification.exact.certificates import Certificate, CertificationError, certify
    from verification.regions.region import Region, certify_region

__all__ = ["Certificate", "CertificationError", "Region", "certify", "certify_region"]


def __getattr__(name: str) -> Any:
    """Certificates, imported when they are asked for: they need python-flint."""
    if name not in __all__:
        raise AttributeError(f"module 'verification' has no attribute {name!r}")
    from verification.extras import require

    require(f"verification.{name}")
    from verification.exact import certificates
    from verification.regions import region

    return getattr(certificates if hasattr(certificates, name) else region, name)
