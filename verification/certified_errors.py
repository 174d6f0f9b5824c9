"""How many digits of R are right, on certified truth: of trained decoders and of random ones."""

import itertools
import math
import time
from collections import Counter

import numpy as np
import torch
from torch import nn

import curvcore
from curvcore.providers import PROVIDERS
from verification.decoders import converted, fuzzing
from verification.decoders.cancelling import cancelling
from verification.decoders.random import Architecture, architectures
from verification.exact.certificates import certify
from verification.results import Finding

FORMULAS = ("gauss", "intrinsic")
POINTS = 16
RANDOM = 30  # decoders; ten times as many in full
CANCELLING = 3  # of each kind
WIDE = Architecture(width=128, depth=3, ambient=784)


def findings(subject, dtypes, full, seed):
    """Yield the Findings of the section; for a user's decoder of that alone.

    Args:
        subject: a decoders.Subject.
        dtypes: torch dtypes of the routes.
        full: ten times as many random decoders.
        seed: of them.

    Raises:
        curvcore.CurvatureError: the subject's decoder has operations without an exact version.
    """
    yield from of_decoder(subject.name, *_as_trained(subject), dtypes)
    if subject.is_users:
        return
    started = time.perf_counter()
    certificate = certify(*WIDE.build(POINTS))
    yield Finding(
        section="certificates",
        subject="2 → 128 × 3 → 784",
        statement=f"R, g, √det g at {POINTS} points to 20 digits",
        figure=f"{time.perf_counter() - started:.1f} s, {certificate.bits} bits",
        passed=True,
    )
    yield of_random_decoders(10 * RANDOM if full else RANDOM, seed)
    yield of_cancelling_decoders(RANDOM if full else CANCELLING, seed)


def of_decoder(name, decoder, z, dtypes):
    """Yield a Finding for every provider, formula and dtype: the worst error, in digits."""
    certificate = certify(decoder, z)
    for dtype, derivatives, formula in itertools.product(dtypes, PROVIDERS, FORMULAS):
        with torch.no_grad():
            geometry = curvcore.pullback(
                converted(decoder, dtype), z.to(dtype), derivatives=derivatives, formula=formula,
                on_degenerate="nan",
            )  # fmt: skip
        scalar = geometry.scalar.double()
        regular = np.isfinite(scalar.numpy())
        same = certificate.contains(scalar)  # not to be told from R, which may be zero
        error = np.where(same, 0, certificate.relative_error(scalar))[regular]
        allowed = fuzzing.FACTOR * geometry.scalar_error.double()
        within = (same | (certificate.absolute_error(scalar) <= allowed.numpy()))[regular]
        beyond = "" if within.all() else f", at {(~within).sum()} points beyond its own estimate"
        yield Finding(
            section="certificates",
            subject=name,
            statement=f"R by {derivatives}, {formula}, {str(dtype).removeprefix('torch.')}",
            figure=_digits(error, len(z)) + beyond,
            passed=bool(within.all()) and len(error) > 0,
        )


def of_random_decoders(count, seed):
    """The outcomes of :mod:`verification.decoders.fuzzing`, counted."""
    return _counted(f"{count} random decoders", architectures(count, seed))


def of_cancelling_decoders(count, seed):
    """The same of so many of each kind of :mod:`verification.decoders.cancelling`."""
    chosen = [*cancelling(count, seed)]
    return _counted(f"{len(chosen)} decoders in which much cancels", chosen)


def _counted(subject, architectures):
    counts = Counter()
    for architecture in architectures:
        counts += fuzzing.outcomes(architecture)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in fuzzing.OUTCOMES)
    return Finding(
        section="certificates",
        subject=subject,
        statement=f"R is within {fuzzing.FACTOR} times its own estimate, NaN, or an error",
        figure=listed,
        passed=counts["wrong"] == 0 and counts["right"] > 0,
    )


def _as_trained(subject):
    """The decoder and its first points, in the dtype of its parameters."""
    decoder, z = subject.decoder, subject.points[:POINTS]
    if isinstance(decoder, nn.Module):
        z = z.to(next((p.dtype for p in decoder.parameters()), z.dtype))
    return decoder, z


def _digits(error, count):
    """ "correct to 5.1 digits at worst (15 of 16 points)"."""
    if not len(error):
        return f"no regular point of {count}"
    worst = max(error.max(), 1e-17)
    some = "" if len(error) == count else f" ({len(error)} of {count} points)"
    return f"correct to {max(0.0, -math.log10(worst)):.1f} digits at worst{some}"
