"""One case tried: what serves it, how far off it is, what a call costs."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec

import torch

import curvcore
from verification.benchmark.timing import interleaved, seconds
from verification.packages import installed
from verification.packages.case import Served
from verification.packages.differences import reference

PROVIDERS = ("fused", "autodiff")
USELESS = 0.02  # relative errors that finite differences must be able to see
REPEATS, BUDGET = 20, 3.0  # calls timed, and seconds for them
COMPARED = 3  # points


@dataclass(frozen=True)
class Route:
    """What became of a case by one provider: a reason why not, or its worst errors.

    Attributes:
        refusal: the CurvatureError's words; "" where there was none.
        metric_excess, scalar_excess: worst error over what is allowed; at most 1 passes.
        scalar_error: worst |δR| / max(|R|, |II|²).
    """

    refusal: str = ""
    metric_excess: float = 0.0
    scalar_excess: float = 0.0
    scalar_error: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """A case tried, or why it was not.

    Attributes:
        case: the Case.
        version: of its package.
        skipped: why it was not tried; "".
        dimension, ambient: d and D.
        routes: provider -> Route.
        allowed: the largest relative error of R that finite differences allow.
        kinks: the words of the warning of kinks; "".
        first, later: seconds of the first call of ``scalar_curvature``, and of the fastest later
            one.
        passes: a later call over one call of the decoder.
        problems: what is wrong.
    """

    case: object
    version: str | None = None
    skipped: str = ""
    dimension: int = 0
    ambient: int = 0
    routes: dict | None = None
    allowed: float = 0.0
    kinks: str = ""
    first: float = 0.0
    later: float = 0.0
    passes: float = 0.0
    problems: tuple = ()

    @property
    def served(self):
        """By what it is served."""
        accepted = {name for name, route in (self.routes or {}).items() if not route.refusal}
        if "fused" in accepted:
            return Served.FUSED
        return Served.AUTODIFF if "autodiff" in accepted else Served.REFUSED

    @property
    def decides(self):
        """Whether finite differences can tell a wrong R."""
        return self.allowed <= USELESS

    @property
    def scalar_error(self):
        """The worst |δR| of the providers that take it."""
        return max(route.scalar_error for route in self.routes.values())


def trial(case):
    """The Outcome of one Case."""
    if find_spec(case.module) is None:
        return Outcome(case, skipped=f"{case.package} is not installed")
    version = installed.version(case.package)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outcome = _tried(case, version)
        except Exception as error:  # of the package, or no error of curvcore's own: a failure
            return Outcome(case, version, problems=(f"{type(error).__name__}: {_line(error)}",))
    kinks = [w.message for w in caught if w.category is curvcore.PiecewiseLinearWarning]
    outcome = replace(outcome, kinks=_line(kinks[0]) if kinks else "")
    return replace(outcome, problems=tuple(_problems(outcome)))


def _tried(case, version):
    """The Outcome without kinks and problems, which are for the caller to see."""
    decoder, options, z = case.built()
    times = _times(decoder, z, options)
    references = [
        reference(_values(decoder, options, z, n), z[n].flatten()) for n in range(COMPARED)
    ]
    return Outcome(
        case,
        version,
        dimension=references[0].dimension,
        ambient=references[0].ambient,
        routes={name: _route(decoder, z, options, references, name) for name in PROVIDERS},
        allowed=max(r.scalar_allowed for r in references),
        **times,
    )


def _values(decoder, options, z, n):
    """Rows (N, d) -> Ψ (N, D) with what else point n is given; without curvcore."""
    output, shape = options.get("output"), z.shape[1:]
    inputs = {name: value for name, value in options.items() if name != "output"}

    def of_rows(name, count):
        value = inputs[name]
        if not isinstance(value, torch.Tensor) or len(value) != len(z):
            return value
        return value[n : n + 1].expand(count, *value.shape[1:])

    def values(rows):
        own = {name: of_rows(name, len(rows)) for name in inputs}
        with torch.no_grad():
            found = decoder(rows.reshape(len(rows), *shape), **own)
        return _part(found, output).reshape(len(rows), -1)

    return values


def _part(found, output):
    if output is None:
        return found
    if callable(output):
        return output(found)
    if isinstance(output, str) and not isinstance(found, Mapping):
        return getattr(found, output)
    return found[output]


def _route(decoder, z, options, references, derivatives):
    """g and R by one provider against the references."""
    options = {"derivatives": derivatives, "on_degenerate": "nan"} | options
    try:
        geometry = curvcore.pullback(decoder, z, **options)
        metric, scalar = geometry.metric.detach(), geometry.scalar.tolist()
    except curvcore.CurvatureError as error:
        return Route(refusal=str(error))
    triples = list(zip(references, metric, scalar, strict=False))
    return Route(
        metric_excess=_worst(r.metric_error(g) / r.metric_allowed for r, g, _ in triples),
        scalar_excess=_worst(r.scalar_error(R) / r.scalar_allowed for r, _, R in triples),
        scalar_error=_worst(r.scalar_error(R) for r, _, R in triples),
    )


def _worst(numbers):
    """The largest; infinite where one is NaN."""
    return max(math.inf if math.isnan(x) else x for x in numbers)


def _times(decoder, z, options):
    """Seconds of the first call and of the fastest later one, and of that over the decoder's."""
    bound = curvcore.bind(decoder, **options)
    plain = {name: value for name, value in options.items() if name != "output"}

    def curvature():
        curvcore.scalar_curvature(bound, z, on_degenerate="nan")

    def decoder_pass():
        with torch.no_grad():
            decoder(z, **plain)

    try:
        first = seconds(curvature, z.device)
    except curvcore.CurvatureError:  # told of by the routes
        return {}
    decoder_pass()
    tasks = {"curvature": curvature, "pass": decoder_pass}
    times = interleaved(tasks, z.device, REPEATS, BUDGET)
    later, one_pass = (times[name].spread[0] for name in tasks)
    return {"first": first, "later": later, "passes": later / one_pass}


def _problems(outcome):
    case = outcome.case
    if outcome.served < case.served:
        yield f"promised {case.served}, got {outcome.served}"
    for name, route in outcome.routes.items():
        if not route.metric_excess <= 1:
            yield f"{name}: g off by {route.metric_excess:.1g} times what is allowed"
        if not route.scalar_excess <= 1:
            yield f"{name}: R off by {route.scalar_excess:.1g} times what is allowed"
    if outcome.served and not outcome.decides and not case.has_kinks:
        yield f"finite differences allow {outcome.allowed:.0e}, which decides nothing"
    if outcome.served and case.has_kinks != bool(outcome.kinks):
        yield "no warning of its kinks" if case.has_kinks else f"a warning: {outcome.kinks}"


def _line(error):
    return (str(error).splitlines() or [""])[0]
