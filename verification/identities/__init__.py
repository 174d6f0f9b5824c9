"""Identities of geometry that curvcore's numbers must satisfy, with errors and orders.

========================  ==========================================================  ============
module                    identity                                                    error falls
========================  ==========================================================  ============
``gauss_bonnet``          ∫K dA = 2πχ; Chern's theorem in dimension four              spectrally
``closed_functionals``    Perelman's F and W on spheres, Gaussians, conformal tori    spectrally
``variation``             δF and δW on random tori, by autograd and by differences    both, order 2
``ricci_flow``            dF/dt, dW/dt ≥ 0 along the shrinking sphere                 order 2 in t
``solitons``              Ric + ∇²f = 0 or g/2τ: Gaussian, sphere, cylinder, cigar    to rounding
``discs``                 R from circumferences of geodesic circles                   order 2 in r
========================  ==========================================================  ============

They share curvcore's public quantities with what they test, and nothing with ``training``, whose
functionals are written anew in ``perelman``. ``discs`` takes values of Ψ and nothing else.
"""

from collections.abc import Iterator

from verification.identities import (
    closed_functionals,
    discs,
    gauss_bonnet,
    ricci_flow,
    solitons,
    variation,
)
from verification.results import Finding

SECTIONS = (gauss_bonnet, closed_functionals, variation, ricci_flow, solitons, discs)


def findings(full: bool, seed: int) -> Iterator[Finding]:
    """Yield a Finding per identity and subject, in float64 on the CPU.

    Args:
        full: more random surfaces and points, dimensions three and four: a minute instead of ten
            seconds.
        seed: of random surfaces, potentials and points.
    """
    for section in SECTIONS:
        yield from section.findings(full, seed)
