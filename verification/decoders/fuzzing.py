"""Random decoders: is R ever silently wrong?

Every point of every decoder has one of these outcomes:

=========  ================================================================================
right      |scalar − R| ≤ ``FACTOR`` × its own estimate, R by a certificate
nan        NaN, with the degenerate flag
error      a CurvatureError
wrong      a finite number beyond its own estimate
=========  ================================================================================
"""

from collections import Counter

import numpy as np
import torch

import curvcore
from curvcore.providers import PROVIDERS
from verification.exact.certificates import certify

FACTOR = 30
OUTCOMES = ("right", "nan", "error", "wrong")
DTYPES = (torch.float32, torch.float64)


def outcomes(architecture, points=4):
    """Counter of outcomes over points × providers × dtypes for one Architecture or Cancelling."""
    decoder, z = architecture.build(points)
    try:
        certificate = certify(decoder, z, relative=1e-15)
    except curvcore.CurvatureError:
        certificate = None  # degenerate beyond all precision: R must not be a number
    counts = Counter()
    for dtype in DTYPES:
        for derivatives in PROVIDERS:
            counts.update(_outcomes(decoder.to(dtype), z.to(dtype), derivatives, certificate))
    return counts


def _outcomes(decoder, z, derivatives, certificate):
    try:
        geometry = curvcore.pullback(decoder, z, derivatives=derivatives, on_degenerate="nan")
        scalar = geometry.scalar.detach()
    except curvcore.CurvatureError:
        return ["error"] * len(z)
    finite = torch.isfinite(scalar).numpy()
    if certificate is None:
        right = np.zeros(len(z), dtype=bool)
    else:
        estimate = geometry.scalar_error.double().numpy()
        error, allowed = certificate.absolute_error(scalar), FACTOR * estimate
        right = (error <= allowed) | certificate.contains(scalar)
    return np.where(finite, np.where(right, "right", "wrong"), "nan").tolist()
