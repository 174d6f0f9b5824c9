"""Multiple shooting, and Krawczyk's test that near its numerical solution there is a true one.

Unknown are z_k, v_k at the nodes, but for z_0 = a and z_K = b; the flow φ_k over segment k is to
take each node to the next, G_k(x) = φ_k(x_k) − x_{k+1} = 0. With C ≈ DG(x̃)⁻¹ of floats and a box
X = x̃ ± ρ, if

    K(X) = x̃ − C G(x̃) + (I − C DG(X))(X − x̃)

lies in the interior of X, there is exactly one zero in X, and it is in K(X). References: Krawczyk,
*Computing* 4 (1969); Neumaier, *Interval Methods for Systems of Equations*, 1990, thm 5.1.8.
"""

import torch

from verification.geodesics.flow import ball
from verification.regions.models import TaylorModels, norm, up

_STEPS = 30
_CLOSE, _STALLED = 1e-9, 0.5  # a step as small, and no less of the last: there is no better


def newton(segments_of, z, v):
    """Nodes (K + 1, d) that the flow connects, to rounding; and whether Newton's method got there.

    Args:
        segments_of: z, v of the starts (K, d) -> collocation.Segments.
        z, v: floats, (K + 1, d).
    """
    last = torch.inf
    for _ in range(_STEPS):
        near = segments_of(z[:-1], v[:-1])
        matrix = jacobian(near.derivative)
        if not (matrix.isfinite().all() and near.settled.all()):
            break
        gap = near.ends - torch.cat([z, v], 1)[1:]
        step = torch.linalg.solve_ex(matrix, gap.flatten()).result  # not finite if singular
        size = (step.abs() / (1 + _unknowns(z, v).abs())).amax().item()
        if size < _CLOSE and size >= _STALLED * last:
            return z, v, True
        z, v = _moved(z, v, -step)
        last = size
    return z, v, False


def jacobian(derivatives):
    """DG, (2dK, 2dK), from the derivatives of the flows, floats (K, 2d, 2d)."""
    count, size = derivatives.shape[:2]
    whole = derivatives.new_zeros(count, size, count + 1, size)
    k = torch.arange(count)
    whole[k, :, k] = derivatives
    whole[k, :, k + 1] = -torch.eye(size, dtype=derivatives.dtype)
    return whole.reshape(count * size, -1)[:, _are_unknown(count, size // 2)]


def _jacobian_models(derivatives):
    """The same of constants."""
    middle = jacobian(derivatives.middle)
    return ball(derivatives.basis, middle, jacobian(derivatives.radius).clamp(min=0))


def contracted(flows, flow_on_box, z, v):
    """ρ of a box x̃ ± ρ (K + 1, 2d) that holds exactly one solution, else None; and its Flow.

    Args:
        flows: the Flow from x̃ itself.
        flow_on_box: z, v, constants (K, d) -> a Flow.
        z, v: x̃, floats (K + 1, d).
    """
    basis, middles = flows.z.basis, flows.derivative().middle
    inverse = TaylorModels.constant(basis, torch.linalg.inv_ex(jacobian(middles)).inverse)
    gap = flows.ends - torch.cat([z, v], 1)[1:]
    newton_step = inverse.contracted("ij,j->i", gap.reshape(-1))
    first = up(norm(newton_step.coefficients) + newton_step.radius, 1)
    one = torch.eye(len(first), dtype=first.dtype)
    radius = 2 * first
    for _ in range(4):
        widths = _spread(radius, z, v)
        starts = [ball(basis, x, w[:-1]) for x, w in zip((z[:-1], v[:-1]), widths, strict=True)]
        flow = flow_on_box(*starts)
        if not flow.proved.all():
            return None, flow
        error = inverse.contracted("ij,jk->ik", _jacobian_models(flow.derivative())) - one
        sizes = up(norm(error.coefficients) + error.radius, 1)
        image = up(first + sizes @ radius, len(first))
        if (image < radius).all():
            return torch.cat(_spread(image, z, v), 1), flow
        radius = 2 * torch.maximum(image, radius)
        if not radius.isfinite().all():
            return None, flow
    return None, flow


def _are_unknown(count, d):
    """Which of (z_0, v_0, ..., z_K, v_K), flattened."""
    known = torch.zeros(count + 1, 2 * d, dtype=torch.bool)
    known[0, :d] = known[-1, :d] = True
    return ~known.flatten()


def _unknowns(z, v):
    return torch.cat([z, v], 1).flatten()[_are_unknown(len(z) - 1, z.shape[1])]


def _moved(z, v, step):
    shift = torch.cat(_spread(step, z, v), 1)
    return z + shift[:, : z.shape[1]], v + shift[:, z.shape[1] :]


def _spread(unknowns, z, v):
    """Unknowns as (K + 1, d) twice, 0 for what is known."""
    d = z.shape[1]
    whole = z.new_zeros(len(z) * 2 * d)
    whole[_are_unknown(len(z) - 1, d)] = unknowns
    return whole.reshape(len(z), 2 * d).split(d, 1)
