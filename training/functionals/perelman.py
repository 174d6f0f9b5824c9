"""Perelman's functionals F and W of a metric and a potential (arXiv:math/0211159, §1 and §3).

Both are taken on the decoder's metric g and a potential f (:mod:`training.functionals.potentials`).
With dm = e^{−f} dμ fixed, the gradient flow that *ascends* F is ∂_t g = −2(Ric + ∇²f), Ricci flow
up to diffeomorphisms; likewise W with τ' = −1.

As flows they do what they were made for (:mod:`training.flows`, ``python -m training flow``): F
rises at every step, at Perelman's rate, and curvature evens out. As terms of a loss beside a
reconstruction they are of little use, but for Perelman's saddle, ``"ricci"`` with a potential that
is learned (``digits_lambda.yaml``); the classes say why. The digits, by
``fit --config training/configs/digits_f.yaml`` with options of terms.perelman_f overridden: MSE,
mean condition number of g and median |R| raw of test points, one seed, relaxed distortion in all.

====================================  =====  =====  =====
weight, direction, potential          MSE    mcn    |R|
====================================  =====  =====  =====
0                                     0.454  1.61   0.21
1e-3, descend or ricci, fixed         0.454  1.61   0.20
0.3, descend, fixed measure           0.435  2.45   0.24
0.3, ricci, fixed measure             0.927  26     0.13
0.3, ricci, learned                   0.453  1.47   0.26
1e-3, descend, fixed, from epoch 0    0.426  1.90   0.13
====================================  =====  =====  =====

Encoded data give f by a kernel estimate of their density; UniformBox, UniformTorus and, in any
dimension, SmoothedPoints without. With an estimator of three probes or more, |∇f|² of a fixed
measure is estimated as well.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

import curvcore
from training.errors import TrainingError
from training.functionals.base import Functional, SampledGeometry
from training.functionals.potentials import FixedMeasure, LearnedPotential, reversed_gradient
from training.reductions import total

DIRECTIONS = ("descend", "ricci")


class _Perelman(Functional):
    def __init__(
        self,
        potential: LearnedPotential | FixedMeasure | None = None,
        direction: str = "descend",
        estimator: curvcore.Hutchinson | None = None,
        curvature: bool = True,
    ):
        super().__init__()
        self.estimator, self.curvature = estimator, curvature
        if direction not in DIRECTIONS:
            raise TrainingError(f"direction must be one of {DIRECTIONS}; got {direction!r}.")
        self.potential = FixedMeasure() if potential is None else potential
        self.direction = direction

    @property
    def _ascends(self):
        return self.direction == "ricci"

    def evaluate(self, on: SampledGeometry) -> torch.Tensor:
        """A scalar tensor to be minimised."""
        value = self.value(on)
        return -value if self._ascends else value

    def _integrand(self, on, f):
        """R + |∇f|², or |∇f|² alone: (B,)."""
        squared = f.gradient_norm_squared(on)
        return on.geometry.scalar + squared if self.curvature else squared


class PerelmanF(_Perelman):
    """F(g, f) = ∫ (R + |∇f|²) e^{−f} dμ with ∫ e^{−f} dμ = 1; in units of 1/L².

    What was found:

    - F is 1/L²: in the first epochs all outputs are near the mean of the data, the metric is small,
      and a term that descends shrinks it further: on the digits F = −61 in the mean of the first
      epoch. Start it later (``start=5, full=20``: −0.011), or warm.
    - At fixed dm F has no upper bound: it holds ∫ |∇ log √det g|² dm, dm uniform, which ``"ricci"``
      raises without end; Perelman's flow at fixed dm is a backward heat equation for f. At a weight
      that is felt, 0.3: F = 71, ∫|Ric + ∇²f|² dm = 1.5e6, and no reconstruction. With a potential
      that descends meanwhile F is Perelman's λ(g), which wrinkles of √det g do not raise: at 0.3,
      seeds 0, 1, 2, MSE 0.454, 0.418, 0.396 → 0.453, 0.414, 0.394 and mean condition number 1.61,
      1.93, 1.52 → 1.47, 1.70, 1.53, with relaxed distortion at 0.1 before and after.
    - Descending is no flow: it lowers ∫ |∇ log √det g|² dm, as UniformVolume does, and R, below
      zero where that is cheap.
    - In 8 and 16 latent dimensions, at weights that a reconstruction bears, it did without R what
      it does with it, but for one case of five (docs/study_curvature.md). ∫ |∇f|² dm did it: 24
      where ∫ R dm is −0.4, and about tr (gC)⁻¹ where the latents' law is nearly normal, of
      covariance C.
    - A step of an optimiser is none of the flow: on the torus of ``python -m training flow`` the
      change of metric by ∂_θF has a cosine of 0.39 with −2(Ric + ∇²f), and dF/dt is 0.047 where
      Perelman's is 0.168; by the projection it is 0.166, the cosine 0.998.

    Args:
        potential: LearnedPotential or FixedMeasure (default, of what the sample stands for).
        direction: what becomes of it when the loss descends: ``"descend"``, it goes down, as in the
            talk; ``"ricci"``, the decoder ascends it and the potential descends, Perelman's
            saddle. The number returned is then minus the functional.
        estimator: of R, where d is large.
        curvature: whether R is in it; without, F is the Fisher information ∫ |∇f|² e^{−f} dμ of dm
            against dμ, the control of what R does.
    """

    def value(self, on: SampledGeometry) -> torch.Tensor:
        """F itself."""
        f = self.potential.on(on, 0.0, self._ascends)
        return total(f.probability * self._integrand(on, f))


def gaussian_tau(
    points: torch.Tensor, n: int, probability: torch.Tensor | None = None
) -> torch.Tensor:
    """τ = tr Cov(x)/2n: that of the Gaussian on R^n with the total variance of points (B, D).

    On flat R^n the shrinking soliton is f = |x|²/4τ: its dm = (4πτ)^{−n/2} e^{−f} dx has variance
    2τ in each direction, 2nτ in all, W = 0, and of all τ this one makes W least: with dm fixed
    ∂W/∂τ = F − n/2τ, and F = n/2τ. In units of the networks data have total variance D: τ = D/2n.

    Args:
        points: (B, D).
        n: dimension of M.
        probability: of the points, (B,), that adds up to one; else they count alike.
    """
    share = torch.full_like(points[:, 0], 1 / len(points)) if probability is None else probability
    centred = points - share @ points
    return (share @ centred.square()).sum() / (2 * n)


class Tau(nn.Module):
    """τ, fixed, learned or scheduled.

    Along Ricci flow τ' = −1 in its time, which is in L². An optimiser's steps have such a time only
    under the projected flow (:mod:`training.flows`), which keeps it. Plain gradient descent on θ
    moves by learning rate × weight a step, which is a time only where ∂g/∂θ is an isometry, and
    Adam's steps have none. So in training a schedule is a choice: ``epochs`` spreads the whole life
    of the flow, from τ at the start to the floor, evenly over so many epochs.

    Args:
        value: τ at the start, positive; or ``"data"``, by :func:`gaussian_tau` of the training
            data, D/2n in units of the networks.
        learned: optimise log τ.
        rate: τ changes by ``rate`` for every :meth:`step`, an epoch in training ...
        floor: ... but not below this.
        epochs: in place of a rate: τ falls evenly, to the floor in this time.
    """

    def __init__(
        self,
        value: float | Literal["data"] = 1.0,
        learned: bool = False,
        rate: float = 0.0,
        floor: float = 1e-3,
        epochs: float | None = None,
    ):
        super().__init__()
        is_measured = value == "data"
        if not (is_measured or (not isinstance(value, str) and value > 0)) or not floor > 0:
            raise TrainingError(f"tau and its floor must be positive; got {value} and {floor}.")
        if epochs is not None and (rate or learned or not epochs > 0):
            raise TrainingError(
                f"tau falls in epochs > 0, by a rate, or is learned: one of them; got {epochs}."
            )
        log = torch.tensor(math.nan if is_measured else float(value), dtype=torch.float64).log()
        if learned:
            self.log_value = nn.Parameter(log)
        else:
            self.register_buffer("log_value", log)
        if epochs is not None:
            self.register_buffer("start", log.exp())
        self.rate, self.floor, self.epochs, self.of_data = rate, floor, epochs, is_measured

    __call__: Callable[[], torch.Tensor]

    def forward(self) -> torch.Tensor:
        """τ; NaN if it is that of data that it has not seen yet."""
        return self.log_value.exp()

    @torch.no_grad()
    def see(self, points: torch.Tensor, n: int) -> None:
        """τ = "data" becomes that of these points (B, D), in the units that the decoder has."""
        if self.of_data:
            self.log_value.copy_(gaussian_tau(points, n).log())
            if self.epochs is not None:
                self.start.copy_(self())

    @torch.no_grad()
    def step(self, time: float = 1.0) -> None:
        """Let ``time`` pass."""
        if self.epochs is not None:
            rate = (self.floor - self.start) / self.epochs
        elif self.rate:
            rate = self.rate
        else:
            return
        self.log_value.copy_((self() + rate * time).clamp_min(self.floor).log())


class PerelmanW(_Perelman):
    """W(g, f, τ) = ∫ [τ(R + |∇f|²) + f − n] u dμ, u = (4πτ)^{−n/2} e^{−f}, ∫ u dμ = 1, n = d.

    What was found: the same as of F, which τ times it holds (−153 in the first epoch, −1.7 when it
    starts later); and τ decides at which length. Left at 1, the variance of one feature, it is far
    from the data's, D/2n = 16 for the digits. Falling from there it changed no metric of theirs at
    a weight at which W does no harm (``digits_w.yaml``). As a flow it works: on a torus, in t = 0.5
    while τ falls from 1.3 to 0.8, W rises from −0.48 to −0.14, and Var(R) Vol² halves.

    Args:
        potential: LearnedPotential or FixedMeasure (default, of what the sample stands for).
        tau: τ > 0 in units of L²: a number, or a Tau.
        direction: what becomes of it when the loss descends: ``"descend"``, it goes down, as in the
            talk; ``"ricci"``, the decoder ascends it and the potential (and τ) descends, Perelman's
            saddle. The number returned is then minus the functional.
        estimator: of R, where d is large.
        curvature: whether R is in it; without, the control of what R does.
    """

    def __init__(
        self,
        potential: LearnedPotential | FixedMeasure | None = None,
        tau: float | Tau = 1.0,
        direction: str = "descend",
        estimator: curvcore.Hutchinson | None = None,
        curvature: bool = True,
    ):
        super().__init__(potential, direction, estimator, curvature)
        self.tau = tau if isinstance(tau, nn.Module) else Tau(tau)

    def value(self, on: SampledGeometry) -> torch.Tensor:
        """W itself."""
        tau = self.tau()
        if self._ascends:
            tau = reversed_gradient(tau)
        n = on.dimension
        log_factor = -n / 2 * torch.log(4 * math.pi * tau)
        f = self.potential.on(on, log_factor, self._ascends)
        return total(f.probability * (tau * self._integrand(on, f) + f.value - n))
