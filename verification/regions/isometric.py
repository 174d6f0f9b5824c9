"""A matrix that is certain to have the inner products of another one, with fewer rows.

Of W (D, h) with D > h the Cholesky factor R, RᵀR = WᵀW, upper triangular. With R̃ of floats from a
QR decomposition, and X near its inverse, let (WX)ᵀ(WX) = I + E and XR̃ = I + F. The Cholesky factor
I + V of I + E has |V| ≤ |E| for |E| ≤ 0.4, in Frobenius' norm: V + Vᵀ = E − VᵀV makes
√2 |V| ≤ |E| + |V|², and V grows with E from 0. So

    R = (I + V) X⁻¹ = (I + V) R̃ (I + F)⁻¹,   |(I + F)⁻¹ − I| ≤ |F|/(1 − |F|).
"""

import torch

from verification.regions.models import TaylorModels, norm, up

_MOST = 1e-6  # of |E| and |F|: beyond it W itself is narrower


def isometric_factor(weight, basis):
    """R (h, h), intervals; or None where W has no more rows than columns, or depends on them."""
    weight = weight.detach().cpu().double()
    rows, columns = weight.shape
    if rows <= columns:
        return None
    middle = torch.linalg.qr(weight, mode="r").R
    one = torch.eye(columns, dtype=torch.float64)
    inverse, info = torch.linalg.inv_ex(middle)
    if info.item():
        return None
    exact = [TaylorModels.constant(basis, x) for x in (weight, inverse, middle)]
    turned = exact[0].contracted("ai,ij->aj", exact[1])
    e = _frobenius(turned.contracted("ai,aj->ij", turned) - one)
    f = _frobenius(exact[1].contracted("ij,jk->ik", exact[2]) - one)
    if not e + f < _MOST:
        return None
    sizes = middle.norm(dim=0), middle.norm(dim=1)[:, None], middle.norm()
    radius = e * sizes[0] + 2 * f * sizes[1] + 2 * e * f * sizes[2]
    return TaylorModels(basis, middle[None], up(2 * radius, columns))


def _frobenius(models):
    """No less than the norm of a matrix of intervals."""
    sizes = norm(models.coefficients) + models.radius
    return up(sizes.norm(), sizes.numel())
