"""Geodesics to sixteen digits: Gragg's midpoint rule, extrapolated, in balls of 256 bits.

z̈^k = −g^{km} ⟨Ψ_m, D²Ψ(ż, ż)⟩ with derivatives by central differences, as in
:mod:`verification.referee.truth`: nothing of curvcore is used. Each of the steps is extrapolated
from 2, 4, …, 16 substeps (Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I*,
II.9), and steps are halved until the end stays.
"""

import flint
import numpy as np

from verification.referee.truth import TruthError, balls, decoder_of, floats

BITS, STEP_BITS = 256, 50
STEPS, MOST_STEPS, COLUMNS = 6, 192, 8
TOLERANCE = 1e-14


def geodesics(case):
    """name -> arrays: velocities and their ends, ends nearby, and how far these are.

    The nearby ones are no farther than the injectivity radius, so the geodesic is shortest.
    """
    psi, z = decoder_of(case), case.points[: len(case.directions)]
    with flint.ctx.workprec(BITS):
        lengths = floats(_lengths(psi, balls(z), balls(case.directions)))
        unit = case.directions / lengths[:, None]
        velocities, nearby = case.reach * unit, case.near * unit
        distances = floats(_lengths(psi, balls(z), balls(nearby)))
        return {
            "velocities": velocities,
            "exponential": end(case, z, velocities),
            "ends": end(case, z, nearby),
            "distance": distances,
        }


def end(case, z, v):
    """exp_z(v), (B, d) floats.

    Raises:
        TruthError: it goes on moving.
    """
    psi = decoder_of(case)
    with flint.ctx.workprec(BITS):
        start = np.stack([balls(z), balls(v)])
        coarse, steps = floats(_integrated(psi, start, STEPS)[0]), 2 * STEPS
        while steps <= MOST_STEPS:
            fine = floats(_integrated(psi, start, steps)[0])
            if np.abs(fine - coarse).max() <= TOLERANCE * np.abs(v).max():
                return fine
            coarse, steps = fine, 2 * steps
    raise TruthError(f"{case.name}: geodesics have not converged")


def _lengths(psi, z, v):
    """|v|_g."""
    step = flint.arb(2) ** -STEP_BITS
    pushed = (psi(z + step * v) - psi(z - step * v)) / (2 * step)
    return np.frompyfunc(lambda x: x.sqrt(), 1, 1)((pushed**2).sum(1))


def _integrated(psi, state, steps):
    for _ in range(steps):
        state = _middles(_extrapolated(psi, state, flint.arb(1) / steps))
    return state


def _middles(array):
    """The balls' middles: what is carried along as balls widens more than it errs."""
    return np.frompyfunc(lambda x: x.mid(), 1, 1)(array)


def _extrapolated(psi, state, time):
    """One step: the limit, in h², of the midpoint rule (Aitken and Neville)."""
    row = []
    for k in range(COLUMNS):
        new = [_midpoint(psi, state, time, 2 * (k + 1))]
        for m, old in enumerate(row):
            ratio = flint.arb(k + 1) / (k - m)
            new.append(new[m] + (new[m] - old) / (ratio**2 - 1))
        row = new
    return row[-1]


def _midpoint(psi, state, time, substeps):
    h = time / substeps
    before, now = state, _middles(state + h * _slope(psi, state))
    for _ in range(substeps - 1):
        before, now = now, _middles(before + 2 * h * _slope(psi, now))
    return now


def _slope(psi, state):
    """(ż, z̈)."""
    z, v = state
    step = flint.arb(2) ** -STEP_BITS
    bent = (psi(z + step * v) - 2 * psi(z) + psi(z - step * v)) / step**2
    columns = []
    for unit in step * balls(np.eye(z.shape[1])):
        columns.append((psi(z + unit) - psi(z - unit)) / (2 * step))
    jacobian = np.stack(columns, -1)
    metric = np.einsum("bai,baj->bij", jacobian, jacobian)
    pulled = np.einsum("bai,ba->bi", jacobian, bent)
    solved = [
        flint.arb_mat(g.tolist()).solve(flint.arb_mat([[x] for x in p])).tolist()
        for g, p in zip(metric, pulled, strict=True)
    ]
    return np.stack([v, -np.array(solved, dtype=object)[..., 0]])
