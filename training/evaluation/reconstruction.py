"""Encoding and decoding in pieces, and the error of the round trip."""

import torch
from sklearn.metrics import mean_squared_error, r2_score

from training.errors import TrainingError


def encoded(encoder, points, chunk_size):
    """Latents (n, d) of ``points`` (n, D)."""
    z = _in_pieces(encoder, points, chunk_size)
    if z.ndim != 2 or len(z) != len(points):
        raise TrainingError(
            f"The encoder must map (n, D) to (n, d); it made {tuple(z.shape)} of "
            f"{tuple(points.shape)}."
        )
    return _finite(z, "encoder")


def decoded(decoder, z, points, chunk_size):
    """Reconstructions of ``points`` (n, D) from their latents z (n, d), flattened to (n, D)."""
    values = _in_pieces(decoder, z, chunk_size).flatten(1)
    if values.shape != points.shape:
        raise TrainingError(
            f"The decoder must map latents {tuple(z.shape)} to points {tuple(points.shape)}; it "
            f"made {tuple(values.shape)}."
        )
    return _finite(values, "decoder")


def reconstruction(points, reconstructed, scale):
    """How well points x (n, D) are reconstructed as x̂: arrays in scaled units.

    - ``mse``: E (x − x̂)², the mean over points and coordinates.
    - ``mse_raw``: the same in data units, mse · scale².
    - ``r2``: coefficient of determination, all coordinates pooled,
      1 − Σ (x − x̂)² / Σ (x − x̄)², where x̄ is the mean point.
    """
    mse = mean_squared_error(points, reconstructed)
    r2 = r2_score(points, reconstructed, multioutput="variance_weighted")
    return {"mse": mse, "mse_raw": mse * scale**2, "r2": r2}


def _in_pieces(function, points, chunk_size):
    return torch.cat([function(piece) for piece in points.split(chunk_size)])


def _finite(values, name):
    broken = ~torch.isfinite(values).all(1)
    if broken.any():
        raise TrainingError(
            f"The {name} gives NaN or Inf at {int(broken.sum())} of {len(values)} points; the "
            f"first is point {int(broken.nonzero()[0])}."
        )
    return values
