"""A Jacobian against finite differences, in whatever units the latent coordinates are.

The Jacobian under test decides nothing of what is believed. The rounding ν of Ψ is measured, by
moving z by a few units in its last place, and further where a component stands still that ∂Ψ says
to move: beside numbers that are far larger inside the decoder, Ψ moves in leaps. Each coordinate
has a step h_i of its own, at which Ψ moves by τ, a small multiple of its rounding: found by trying,
from the guess τ/|∂_iΨ|. No shorter step would tell anything, so no other is more likely to be short
enough; and in the units h all columns ∂_iΨ are of one size, so that a wrong one shows.

Quotients to both sides, at one, two and eight steps, tell by their spread how far they can be
trusted: it is large at a kink, where Ψ is curved over a step, and where rounding is more than was
measured. Where they do not agree to a quarter, nothing is said; nor where Ψ varies by less than τ
in all.
"""

from dataclasses import dataclass

import torch

from curvcore.errors import UnsupportedOperationError
from curvcore.providers.primitives import call_plainly

_TRIALS = 8
_LADDER = (1 / 64, 1 / 8, 1, 8, 64)
_MULTIPLES = (8, -8, 2, -2, 1, -1)


def check_jacobian(decoder, z, jacobian):
    """Raise UnsupportedOperationError unless ``jacobian`` (B, D, d) is that of ``decoder`` at z."""
    image = _Image(decoder, z)
    steps = _steps(image, jacobian)
    expected = (jacobian * steps.h[:, None]).movedim(2, 0)
    missed = (image.moved_in_each(steps.h) - expected).abs().amax(2).mT
    differs = steps.unmoved.any(1)
    differs |= _differs(image, jacobian, steps, steps.h * fixed_random(z.shape[1], z))
    # One column of many may be hidden in their sum.
    for i in (missed > steps.target / 16).any(0).nonzero()[:, 0].tolist():
        differs |= _differs(image, jacobian, steps, torch.diag_embed(steps.h)[:, i])
    if differs.any():
        raise _disagreement(image, jacobian, steps, differs)


@dataclass(frozen=True)
class _Steps:
    """Steps in each coordinate.

    Attributes:
        h: (B, d), which move Ψ by about τ; zero where there is none.
        guess: (B, d), which would move it by τ if ∂_iΨ were right.
        unmoved: (B, d), where Ψ does not move at any step at which ∂_iΨ says that it does.
        target, noise: τ and ν, (B, 1).
    """

    h: torch.Tensor
    guess: torch.Tensor
    unmoved: torch.Tensor
    target: torch.Tensor
    noise: torch.Tensor


class _Image:
    """Ψ near points z."""

    def __init__(self, decoder, z):
        self.decoder, self.z = decoder, z
        self.value = self.at(z)
        sizes = self.value.abs().nan_to_num(0, 0, 0).amax(1, keepdim=True)
        elsewhere = sizes.max().clamp(min=torch.finfo(z.dtype).tiny)
        self.size = torch.where(sizes > 0, sizes, elsewhere)

    def at(self, points):
        """Ψ(points), (N, D)."""
        return call_plainly(self.decoder, points.clone()).flatten(1)

    def moved(self, offset):
        """Ψ(z + offset) − Ψ(z), (B, D)."""
        return self.at(self.z + offset) - self.value

    def moved_in_each(self, h):
        """Ψ(z + h_i e_i) − Ψ(z), (d, B, D)."""
        return torch.stack([self.moved(offset) for offset in torch.diag_embed(h).unbind(1)])

    def distance(self, h):
        """|Ψ(z + h_i e_i) − Ψ(z)|, (B, d); infinite where Ψ is not finite."""
        return self.moved_in_each(h).abs().amax(2).mT.nan_to_num(torch.inf)

    def noise(self):
        """How far rounding carries differences of Ψ, that of z included: (B, 1)."""
        eps = torch.finfo(self.z.dtype).eps
        offset = 4 * eps * self.z * fixed_random(self.z.shape[1], self.z).sign()
        moved = torch.stack([self.moved(offset), self.moved(-offset)]).abs().amax((0, 2))
        return 4 * eps * self.size + 2 * moved.nan_to_num(0, 0, 0)[:, None]


def _steps(image, jacobian):
    """Steps with |Ψ(z + h_i e_i) − Ψ(z)| ≈ τ."""
    z, eps, noise = image.z, torch.finfo(image.z.dtype).eps, image.noise()
    columns, unit = jacobian.abs().amax(1), z.abs().amax(0)
    unit = torch.where(unit > 0, unit, 1)
    told = (columns > 0) & columns.isfinite()
    least, most = 32 * eps * z.abs(), torch.finfo(z.dtype).max ** 0.5
    far = min(1e8, most)  # in half precision less

    def target_and_guess(noise):
        target = torch.maximum(64 * noise, eps ** (2 / 3) * image.size)
        guess = torch.where(told, target / columns, eps**0.5 * unit)
        return target, guess.clamp(max=most).maximum(least)

    _, guess = target_and_guess(noise)
    noise = torch.maximum(noise, _leap(image, jacobian, guess, noise))
    target, guess = target_and_guess(noise)
    h = guess
    for _ in range(_TRIALS):
        moved = image.distance(h)
        found = (moved > target / 4) & (moved < 4 * target)
        if found.all():
            break
        better = h * (target / moved).clamp(1 / far, far)
        h = torch.where(found, h, better.clamp(max=most).maximum(least))
    unmoved = told & ~found & (_LADDER[-1] * guess < unit)
    if unmoved.any():
        for factor in (sign * n for n in _LADDER for sign in (1, -1)):
            unmoved &= image.distance(factor * guess) < abs(factor) * guess * columns / 4
    return _Steps(torch.where(found, h, 0), guess, unmoved, target, noise)


def _leap(image, jacobian, steps, noise):
    """By how much components first move that stand still at ``steps``, told to move: (B, 1).

    Only leaps of the size of rounding count, beside what a component is about one unit away: those
    of a rounding written into the decoder are larger, and its derivative is none of them.
    """
    z, eps = image.z, torch.finfo(steps.dtype).eps
    offset = steps * fixed_random(steps.shape[1], steps)
    stands = (jacobian @ offset[..., None])[..., 0].abs() > noise
    stands &= image.moved(offset) == 0
    leap = torch.zeros_like(noise)
    if not stands.any():
        return leap
    unit = z.abs().amax(0).clamp(min=1)
    around = unit * fixed_random(len(unit), z).sign()
    sizes = torch.stack([image.at(z + around), image.at(z - around)]).abs().nan_to_num(0, 0, 0)
    largest = 16 * eps * sizes.amax(0)
    while stands.any() and (offset.abs() < eps**0.5 * unit).all():
        offset = torch.where(stands.any(1, keepdim=True), 8 * offset, offset)
        moved = image.moved(offset).abs().nan_to_num(0, 0, 0)
        excused = torch.where(stands & (moved <= largest), moved, 0)
        leap = torch.maximum(leap, excused.amax(1, keepdim=True))
        stands &= moved == 0
    return leap


def _differs(image, jacobian, steps, direction):
    """At which points (B,) ∂_vΨ, v = ``direction``, is not what differences say."""
    expected = (jacobian @ direction[..., None])[..., 0]
    quotients = torch.stack([image.moved(n * direction) / n for n in _MULTIPLES])
    least, largest = quotients.aminmax(dim=0)
    doubt = (largest - least).amax(1, keepdim=True) + 2 * steps.noise
    mean = quotients[:2].mean(0)
    size = mean.abs().amax(1, keepdim=True)
    # False for NaN: not this check's affair.
    differs = ((expected - mean).abs() > doubt + size / 100) & (doubt < size / 4)
    return differs.any(1)


def _disagreement(image, jacobian, steps, differs):
    """The error, with what both say in the coordinate and component that are worst."""
    point = int(differs.nonzero()[0, 0])
    h = torch.where(steps.unmoved, steps.guess, steps.h)[point]
    moved = image.moved_in_each(h.expand(len(differs), -1))[:, point].mT
    claimed = jacobian[point] * h
    worst = int((moved - claimed).abs().nan_to_num(0, 0, 0).argmax())
    a, i = divmod(worst, len(h))
    by_jet, by_difference = float(jacobian[point, a, i]), float(moved[a, i] / h[i])
    return UnsupportedOperationError(
        f"The decoder's first derivative disagrees with finite differences at {int(differs.sum())} "
        f"of {len(differs)} points. At point {point} ∂Ψ_{a}/∂z_{i} is {by_jet:.3g}, and "
        f"{by_difference:.3g} by a difference over {float(h[i]):.1e}. Part of the decoder runs "
        "without gradient (torch.no_grad, inference_mode, detach), or torch has a wrong derivative "
        "formula for an operation in it, or takes it for constant (TorchScript, a custom kernel or "
        "autograd.Function). Write that part from torch's own operations, with gradients on."
    )


def fixed_random(size, like):
    """The same random vector every time, leaving torch's generators alone."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(size, generator=generator, dtype=torch.float64, device="cpu").to(like)
