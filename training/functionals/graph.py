"""Stress between latent distances and geodesic distances of the data, by a graph of neighbours."""

from collections.abc import Callable

import torch
from torch import nn

from training import waiting
from training.errors import TrainingError
from training.functionals.base import NetworkFunctional


class GraphStress(NetworkFunctional):
    """Σ (δ − |z_i − z_j|)² δ^{−p} / Σ δ^{2−p} over pairs of points, without units.

    δ_ij are geodesic distances of the data: lengths of shortest paths in the graph of nearest
    neighbours, from a few landmarks to all training points, in the units that the encoder sees.
    Zero where latent distances are geodesic ones, which no curvature functional sees: it unrolls
    a roll from a random start. Paths through a graph are a little longer than geodesics, so that
    the term is best faded out once the latents have unfolded.

    p = 0 is Kruskal's stress of a given scale, in which long distances decide, and p = 1 Sammon's,
    which sees short ones too: a strip is then not left folded along its length. References:
    Kruskal, Psychometrika 29 (1964); Sammon, IEEE Trans. Comput. C-18 (1969); with an encoder and
    landmarks, Pai et al., DIMAL, WACV 2019.

    Like ContractiveEncoder it is a functional of the encoder. In a training loop of your own::

        stress = GraphStress().fit(x)  # all training points, once
        loss = mse + 10 * stress(encoder)

    Args:
        neighbours: of each point in the graph.
        landmarks: how many points at most have their distances to all others known; they take
            4 bytes · landmarks · points.
        points, pairs: how many points are drawn at each call, and with how many landmarks each.
        power: p.
    """

    def __init__(
        self,
        neighbours: int = 10,
        landmarks: int = 500,
        points: int = 512,
        pairs: int = 256,
        power: float = 1.0,
    ):
        super().__init__()
        if min(neighbours, landmarks, points, pairs) < 1 or power < 0:
            raise TrainingError(
                "neighbours, landmarks, points and pairs must be 1 or more and power not negative; "
                f"got {neighbours}, {landmarks}, {points}, {pairs} and {power}."
            )
        self.neighbours, self.landmarks = neighbours, landmarks
        self.points, self.pairs, self.power = points, pairs, power
        # Not kept with the weights: they are made of the data again.
        for name in ("_data", "_places", "_distances"):
            self.register_buffer(name, None, persistent=False)

    def fit(self, x: torch.Tensor, seed: int = 0) -> "GraphStress":
        """Find the geodesic distances of training points (n, D); the seed chooses landmarks.

        Raises:
            TrainingError: the graph of neighbours falls apart.
        """
        from training.geodesic_distances import to_landmarks

        x = x.detach()
        places, distances = to_landmarks(
            x.flatten(1).double().cpu().numpy(), self.neighbours, self.landmarks, seed
        )
        self._data = x
        self._places = torch.from_numpy(places).to(x.device)
        self._distances = torch.from_numpy(distances).to(x)
        return self

    def of(self, autoencoder: nn.Module, x: torch.Tensor, seed: int) -> torch.Tensor:
        return self(autoencoder.encoder, seed)

    def forward(
        self, encoder: Callable[[torch.Tensor], torch.Tensor], seed: int | None = None
    ) -> torch.Tensor:
        """A scalar tensor, of pairs drawn by a seed, or by torch's own generator."""
        if self._data is None:
            raise TrainingError("GraphStress knows no points: call its fit(x) first.")
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        rows = self._drawn(len(self._data), self.points, generator)
        columns = self._drawn(len(self._places), self.pairs, generator)
        z = encoder(self._data[rows]).flatten(1)
        ends = encoder(self._data[self._places[columns]]).flatten(1)
        geodesic = self._distances[rows[:, None], columns]
        found = torch.cdist(z, ends, compute_mode="donot_use_mm_for_euclid_dist")
        apart = geodesic > 0  # a landmark is no pair with itself
        weights = torch.where(apart, torch.where(apart, geodesic, 1) ** -self.power, 0)
        residual = weights * (geodesic - found).square()
        return residual.sum() / (weights * geodesic.square()).sum()

    def _drawn(self, count, most, generator):
        drawn = torch.randperm(count, generator=generator)[:most]
        return waiting.sent(drawn, self._data)
