"""R by the Taylor mode of torch-jet, for ``--peers``: Ψ along lines, then the Gauss equation."""

import torch
from jet import jet

import curvcore
from verification.benchmark.directions import polarised


def by_torch_jet(decoder, z):
    """R (B,) of a decoder as a function of it and its points, traced for as many as z (B, d).

    Every point is gone through once for each of the d(d+1)/2 directions of
    :func:`verification.benchmark.directions.polarised`.
    """
    directions, pairs = polarised(z.shape[1])
    v = z.new_tensor(directions).repeat_interleave(len(z), 0)
    series = ((v, torch.zeros_like(v)),)
    weights = z.new_zeros(len(pairs), len(directions))
    for entry, terms in enumerate(pairs):
        for number, factor in terms:
            weights[entry, number] = factor
    along = jet(decoder, 2, (torch.zeros_like(v),))

    def scalar(decoder, z):
        d = z.shape[1]
        value, (first, second) = along((z.repeat(len(directions), 1),), series)
        value, first, second = (
            t.unflatten(0, (len(directions), len(z))) for t in (value, first, second)
        )
        jacobian = first[:d].movedim(0, -1)
        hessian = torch.einsum("ep,pba->bae", weights, second).unflatten(-1, (d, d))
        return curvcore.PullbackGeometry(curvcore.Jet(value[0], jacobian, hessian)).scalar

    return scalar
