"""Terms by name, with the functionals, measures and weights of ``training/configs``.

==============  ==========================  ======
name            functional                  weight
==============  ==========================  ======
``curvature``   TotalSquaredCurvature       1e-2
``isometry``    RelaxedDistortion           1e-1
``harmonic``    DeTurckGauge                1e-1
``volume``      UniformVolume               1e-1
``perelman_f``  PerelmanF                   1e-3
``perelman_w``  PerelmanW, f learned        1e-3
==============  ==========================  ======

Perelman's are over the box of the encoded points, with the data's τ, and grow from epoch 5 to 20,
when the decoder has left the mean of the data; the others are over the encoded points.
"""

import copy
from numbers import Real

from training.errors import TrainingError
from training.functionals import (
    DeTurckGauge,
    LearnedPotential,
    PerelmanF,
    PerelmanW,
    RelaxedDistortion,
    Tau,
    TotalSquaredCurvature,
    UniformVolume,
)
from training.measures import UniformBox
from training.terms import Term

NAMED = {
    "curvature": lambda weight=1e-2: Term(TotalSquaredCurvature(), weight),
    "isometry": lambda weight=1e-1: Term(RelaxedDistortion(), weight),
    "harmonic": lambda weight=1e-1: Term(DeTurckGauge(), weight),
    "volume": lambda weight=1e-1: Term(UniformVolume(), weight),
    "perelman_f": lambda weight=1e-3: _late(PerelmanF(), weight),
    "perelman_w": lambda weight=1e-3: _late(PerelmanW(LearnedPotential(), Tau("data")), weight),
}


def _late(functional, weight):
    return Term(functional, weight, UniformBox(), start=5, full=20)


def terms_of(terms):
    """name -> Term, each a new one.

    Args:
        terms: a name of the table above, or several; or name -> weight, or name -> Term, where the
            name is free; or None.
    """
    if terms is None:
        return {}
    if isinstance(terms, str):
        terms = (terms,)
    if not isinstance(terms, dict):
        return {name: _named(name)() for name in terms}
    return {name: _term(name, value) for name, value in terms.items()}


def _term(name, value):
    if isinstance(value, Term):
        return copy.deepcopy(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TrainingError(f"terms[{name!r}] must be a weight or a Term; got {value!r}.")
    return _named(name)(float(value))


def _named(name):
    if name not in NAMED:
        raise TrainingError(
            f"There is no term {name!r}: the names are {', '.join(NAMED)}. Any other functional "
            "is a training.terms.Term in a dict."
        )
    return NAMED[name]
