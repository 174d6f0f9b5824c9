"""Wrong lines in distances, means and random walks."""

from verification.mutants.mutation import mutations

DISTANCES, STATISTICS = "tests/curvcore/test_distances.py", "tests/curvcore/test_statistics.py"

CURVES = mutations(
    "statistics/curves.py",
    DISTANCES,
    (
        "minimal[active] = done, definite",
        "minimal[active] = done, done",
        "saddles pass for minima",
    ),
    (
        "outer = hessian[:, :, -1, :, -1] - beside.mT @ solved",
        "outer = hessian[:, :, -1, :, -1]",
        "the Hessian of a distance whose curve stays",
    ),
)
FIELDS = mutations(
    "statistics/fields.py",
    DISTANCES,
    (
        'torch.einsum("bljmk,jb,kb->blm", riemann, speed, speed)',
        'torch.einsum("bljmk,jb,kb->blm", 0 * riemann, speed, speed)',
        "the second variation of a flat space",
    ),
)
PAIRS = mutations(
    "statistics/pairs.py",
    DISTANCES,
    (
        "curves = shortest(self._field, ends, torch.cat([torch.zeros_like(c), c], 1))",
        "curves = shortest(self._field, ends, torch.cat([torch.zeros_like(c)] * 2, 1))",
        "only straight lines to begin with",
    ),
    (
        "error = torch.where(stationary & inside, error, torch.inf)",
        "error = error",
        "a curve that leaves the box has an error bar",
    ),
    (
        "shifts = product(*([0, -p, p] if p > 0 else [0] for p in self._periods.tolist()))",
        "shifts = product(*([0] for p in self._periods.tolist()))",
        "no way across the end of a period",
    ),
)
NEIGHBOURS = mutations(
    "statistics/neighbours.py",
    DISTANCES,
    (
        "run[torch.arange(len(rows)), rows] = torch.inf",
        "run[torch.arange(len(rows)), rows] = 0",
        "a point among its own neighbours",
    ),
)
MEANS = mutations(
    "statistics/means.py",
    STATISTICS,
    (
        "if trial.stationary.all() and self.weights @ trial.length**2 < value:",
        "if True:",
        "steps that raise the objective",
    ),
    (
        "gradient = self.weights @ gradient",
        "gradient = gradient.mean(0)",
        "weights are not looked at",
    ),
)
SAMPLING = mutations(
    "statistics/sampling.py",
    STATISTICS,
    (
        'bent = z + v - torch.einsum("bkij,bi,bj->bk", christoffel, v, v) / 2',
        "bent = z + v",
        "a walk without drift",
    ),
    (
        "kept = level * density.max() < density",
        "kept = level < density",
        "volume by another bound",
    ),
)

MUTATIONS = [*CURVES, *FIELDS, *PAIRS, *NEIGHBOURS, *MEANS, *SAMPLING]
