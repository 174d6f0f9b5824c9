"""The linear change of latent coordinates that makes the mean metric I, and what it leaves alone.

In coordinates w = A z, for any invertible A, the decoder is Ψ ∘ A⁻¹ and the metric A⁻ᵀ G A⁻¹.
These do not change:

- Ψ(z), and so the error of the reconstruction;
- R, a scalar, and where the metric is degenerate: nowhere new (the condition number does change,
  and with it what is degenerate to working precision);
- the eigenvalues of Ḡ⁻¹G, which becomes the similar A Ḡ⁻¹G A⁻¹: ``vor``;
- log det G − E[log det G], as both lose 2 log |det A|: ``var_log_det_g``;
- the chart.

Everything else does: √det g, the box that ∫ R² dμ is taken over, angles and distances.
"""

import torch
from torch import nn

import curvcore
from training.errors import TrainingError
from training.evaluation.reconstruction import encoded

INVARIANT = frozenset(
    {
        "mse", "mse_raw", "r2",
        "mean_abs_R", "median_abs_R", "p95_abs_R",
        "mean_abs_R_raw", "median_abs_R_raw", "p95_abs_R_raw",
        "mean_R2", "mean_R2_raw", "degenerate_points", "vor", "var_log_det_g",
        "tear_score_of_isometry",
    }
)  # fmt: skip


@torch.no_grad()
def linear_normalisation(decoder, z, chunk_size=4096):
    """(A, A⁻¹) with A = Ḡ^{1/2}, the symmetric root of the mean metric at the points z (n, d).

    In the coordinates w = A z the metric is A⁻¹ G A⁻¹, whose mean is I: this uses up the linear map
    that curvature and gauge terms leave open. Not for periodic latents. TrainingError where the
    mean over the points at which the metric is not degenerate is singular.
    """
    metrics = torch.cat([_regular_metrics(decoder, piece) for piece in z.split(chunk_size)])
    if not len(metrics):
        raise TrainingError(f"The metric is degenerate at all {len(z)} points: it has no mean.")
    eigenvalues, basis = torch.linalg.eigh(metrics.mean(0))
    if eigenvalues[0] <= torch.finfo(z.dtype).eps * eigenvalues[-1]:
        raise TrainingError(f"The mean metric has eigenvalues {eigenvalues.tolist()}: singular.")
    roots = eigenvalues.sqrt()
    return tuple(((basis * power) @ basis.mT).to(z) for power in (roots, 1 / roots))


def _regular_metrics(decoder, z):
    """The metric (m, d, d) where it is not degenerate, in float64 on the CPU."""
    geometry = curvcore.pullback(decoder, z, order=1, on_degenerate="nan")
    return geometry.metric[~geometry.is_degenerate].cpu().double()


class Normalised(nn.Module):
    """An autoencoder in coordinates w = A z: A ∘ encoder, decoder ∘ A⁻¹. R stays what it was."""

    def __init__(self, encoder, decoder, matrix, inverse):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.register_buffer("matrix", matrix)
        self.register_buffer("inverse", inverse)

    @classmethod
    def of(cls, encoder, decoder, points, chunk_size=4096):
        """With A = Ḡ^{1/2} at the encoded ``points`` (n, D)."""
        with torch.no_grad():
            z = encoded(encoder, points, chunk_size)
        return cls(encoder, decoder, *linear_normalisation(decoder, z, chunk_size))

    def encode(self, points):
        """A enc(x): (B, D) -> (B, d)."""
        return self.encoder(points) @ self.matrix.mT

    def decode(self, w):
        """Ψ(A⁻¹ w): (B, d) -> (B, ...)."""
        return self.decoder(w @ self.inverse.mT)

    def forward(self, points):
        """The reconstruction, unchanged."""
        return self.decode(self.encode(points))
