"""Proofs, certificates and benchmarks of ``curvcore`` against manifolds of known curvature."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verification.exact.certificates import Certificate, CertificationError, certify
    from verification.geodesics.certificate import CertifiedGeodesic, certify_geodesic
    from verification.regions.region import Region, certify_region

__all__ = [
    "Certificate",
    "CertificationError",
    "CertifiedGeodesic",
    "Region",
    "certify",
    "certify_geodesic",
    "certify_region",
]


def __getattr__(name: str) -> Any:
    """Certificates, imported when they are asked for: they need python-flint."""
    if name not in __all__:
        raise AttributeError(f"module 'verification' has no attribute {name!r}")
    from verification.extras import require

    require(f"verification.{name}")
    from verification.exact import certificates
    from verification.geodesics import certificate
    from verification.regions import region

    module = next(m for m in (certificates, certificate, region) if hasattr(m, name))
    return getattr(module, name)
