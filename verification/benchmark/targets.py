"""What curvcore sets out to reach on one H100 or H200 in float32, and whether a run reached it."""

from dataclasses import asdict, dataclass

from rich.text import Text

from verification import report
from verification.benchmark import routes

SMALL = routes.Size(2, 128, 3, 784, 1024)
GRAPH_OF_SURFACE = routes.Size(2, 64, 3, 3, 65536)
LARGE = routes.Size(2, 128, 3, 784, 65536)
WIDE = routes.Size(2, 512, 3, 784, 32768)
# Points of the growth target, and the seconds that they may take.
MANY, SECONDS = 10**7, 0.4
MS, OVER_JAX, OF_FLOOR = "ms", "over jax", "of the floor"
# The routes that a user of curvcore may take.
OWN = (routes.FUSED, routes.EAGER, routes.COMPILED, routes.GRAPH)


@dataclass(frozen=True)
class Target:
    """A bound on one size and direction.

    Attributes:
        measure: ``MS`` (milliseconds) and ``OF_FLOOR`` (multiples of the bare products) are bounded
            from above, ``OVER_JAX`` (the peer's time over curvcore's) from below.
    """

    size: routes.Size
    direction: str
    measure: str
    bound: float

    def is_met(self, value):
        """Whether a value keeps the bound; unknown where there is none."""
        if value is None:
            return None
        return value >= self.bound if self.measure == OVER_JAX else value <= self.bound


TARGETS = (
    Target(SMALL, "forward", MS, 0.25),
    Target(SMALL, "forward", OVER_JAX, 2),
    Target(SMALL, "backward", MS, 0.6),
    Target(SMALL, "backward", OVER_JAX, 2),
    Target(GRAPH_OF_SURFACE, "forward", OVER_JAX, 2),
    Target(GRAPH_OF_SURFACE, "backward", OVER_JAX, 2),
    Target(LARGE, "forward", OF_FLOOR, 2),
    Target(LARGE, "backward", OF_FLOOR, 3),
    Target(WIDE, "forward", OF_FLOOR, 1.3),
    Target(WIDE, "backward", OF_FLOOR, 1.5),
)


@dataclass(frozen=True)
class Verdict:
    """A target and what was found: by the route ``"fused"``, and by the best of curvcore's own."""

    subject: str
    direction: str
    measure: str
    bound: float
    fused: float | None
    best: float | None
    best_route: str | None
    is_met: bool | None
    is_met_by_best: bool | None


def judge(lines, grown):
    """The Verdicts on what was measured: right Lines and Growths; [] if nothing has a target."""
    right = [line for line in lines if line.passed]
    sizes = {line.size for line in right}
    verdicts = [_verdict(target, right) for target in TARGETS if target.size in sizes]
    return verdicts + _growth_verdict(grown)


def _verdict(target, lines):
    lines = [x for x in lines if (x.size, x.direction) == (target.size, target.direction)]
    peers = [line.times.median for line in lines if line.route == routes.PEER]
    found = {line.route: _value(target, line, peers) for line in lines if line.route in OWN}
    found = {route: value for route, value in found.items() if value is not None}
    choose = max if target.measure == OVER_JAX else min
    route = choose(found, key=found.get) if found else None
    fused, best = found.get(routes.FUSED), found.get(route)
    return Verdict(
        str(target.size), target.direction, target.measure, target.bound,
        fused, best, route, target.is_met(fused), target.is_met(best),
    )  # fmt: skip


def _value(target, line, peers):
    """What is bounded, of one line; None without the peer."""
    if target.measure == MS:
        return 1e3 * line.times.median
    if target.measure == OF_FLOOR:
        return line.times.median / line.limit
    return peers[0] / line.times.median if peers else None


def _growth_verdict(grown):
    many = [g.seconds for g in grown if g.points == MANY and g.chunk_size and g.passed]
    if not many:
        return []
    seconds = many[0]
    subject = f"{MANY:,} points in chunks"
    met = seconds <= SECONDS
    return [Verdict(subject, "forward", "s", SECONDS, seconds, seconds, routes.FUSED, met, met)]


def show(console, verdicts):
    """Print one row per target."""
    if not verdicts:
        return
    table = report.empty_table("Targets")
    for column in ("", "direction", "target", "fused", "best", ""):
        table.add_column(column, no_wrap=True)
    for v in verdicts:
        sign = "≥" if v.measure == OVER_JAX else "≤"
        best = "" if v.best is None else f"{v.best:.3g} {v.best_route}"
        table.add_row(
            v.subject,
            v.direction,
            f"{sign} {v.bound:g} {v.measure}",
            "" if v.fused is None else f"{v.fused:.3g}",
            best,
            _word(v),
        )
    console.print(table)


def _word(verdict):
    if verdict.is_met:
        return Text("met", style="green")
    if verdict.is_met_by_best:
        return Text("met by the best", style="yellow")
    if verdict.best is None:
        return Text("not measured", style="yellow")
    return Text("missed", style="bold red")


def as_dicts(verdicts):
    """Plain data for JSON."""
    return [asdict(verdict) for verdict in verdicts]
