"""The cases: a decoder, points, what is asked of it, and the closed forms where there are some."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from verification.manifolds import catalogue
from verification.referee.plain import DECODERS

DERIVATIVES = ("jacobian", "hessian")
TENSORS = ("metric", "christoffel", "riemann", "ricci", "scalar")
GRADIENTS = ("gradient_z", "gradient_weights")
GEODESICS = ("exponential", "distance")
QUANTITIES = (*DERIVATIVES, *TENSORS, *GRADIENTS, *GEODESICS)
IN_BATCHES = ("metric", "christoffel", "scalar", *GRADIENTS)  # timed at MANY points too
POINTS, PAIRS, MANY = 8, 4, 64
BOTH = ("float64", "float32")


@dataclass(frozen=True)
class Case:
    """A decoder of :mod:`verification.referee.plain` and what is asked of it.

    Attributes:
        name: a key of DECODERS.
        words: what it is, for the page.
        box: an interval (low, high) for each coordinate.
        quantities: names of QUANTITIES.
        dtypes: those in which it is asked. Geodesics are asked in float64 only.
        manifold, parameters: name in the catalogue of closed forms, and numbers by symbol; "".
        heading: the box of the directions of geodesics, for want of one −1 to 1.
        reach, near: lengths of exponentials and of distances; near is below the injectivity radius.
    """

    name: str
    words: str
    box: tuple
    quantities: tuple = (*DERIVATIVES, *TENSORS)
    dtypes: tuple = ("float64",)
    manifold: str = ""
    parameters: tuple = ()
    heading: tuple = ()
    reach: float = 0.0
    near: float = 0.0

    @property
    def dimension(self):
        """d."""
        return len(self.box)

    @property
    def function(self):
        """Ψ(xp, weights, z)."""
        return DECODERS[self.name][0]

    @property
    def weights(self):
        """Arrays in float64, of numbers of float32."""
        return DECODERS[self.name][1]

    @cached_property
    def points(self):
        """(POINTS, d)."""
        return self._sample(POINTS, 0)

    @cached_property
    def many(self):
        """(MANY, d), for times alone."""
        return self._sample(MANY, 1)

    @cached_property
    def directions(self):
        """(PAIRS, d), of whatever length."""
        return self._sample(PAIRS, 2, self.heading or ((-1.0, 1.0),) * self.dimension)

    def asked(self, dtype):
        """The quantities that are asked in a dtype."""
        return [q for q in self.quantities if dtype == "float64" or q not in GEODESICS]

    def closed_forms(self):
        """The Manifold, with the numbers of this case for its parameters; None without one."""
        if not self.manifold:
            return None
        found = catalogue()[self.manifold]
        numbers = dict(self.parameters)
        return replace(found, parameters={s: numbers[s.name] for s in found.parameters})

    def _sample(self, count, seed, box=None):
        low, high = np.array(box or self.box).T
        unit = np.random.RandomState(seed).uniform(size=(count, self.dimension))
        return _dyadic(low + (high - low) * unit)


def _dyadic(array):
    """The nearest numbers of float32."""
    return array.astype(np.float32).astype(np.float64)


POLAR, TURN = (0.8, 2.3), (-3.0, 3.0)
ALL = (*DERIVATIVES, *TENSORS)
CASES = (
    Case("sphere", "S² of radius 5/4; exponentials go beyond the antipode", (POLAR, TURN),
         (*ALL, *GEODESICS), manifold="sphere-2", parameters=(("r", 1.25),),
         heading=((-0.3, 0.3), (0.5, 1.0)), reach=5.0, near=1.0),
    Case("torus", "of radii 2 and 3/4", (TURN, TURN), (*ALL, "gradient_z", *GEODESICS), BOTH,
         "torus", (("R", 2.0), ("r", 0.75)), reach=2.0, near=0.75),
    Case("pseudosphere", "1.25² times the hyperbolic plane's metric", (TURN, (1.1, 1.7)),
         (*ALL, *GEODESICS), manifold="pseudosphere", parameters=(("a", 1.25),), reach=0.5,
         near=0.5),
    Case("veronese", "RP² in R⁹", (POLAR, TURN), manifold="veronese", parameters=(("a", 1.25),)),
    Case("paraboloid", "the graph of |z|²/2.5 over R³", ((-1.2, 1.2),) * 3, (*ALL, "gradient_z"),
         manifold="paraboloid-3", parameters=(("p", 1.25),)),
    Case("three-sphere", "S³ of radius 5/4", (POLAR, POLAR, TURN), manifold="sphere-3",
         parameters=(("r", 1.25),)),
    Case("product", "S² × S², d = 4", (POLAR, TURN, POLAR, TURN), manifold="sphere-2-x-sphere-2",
         parameters=(("a", 1.25), ("b", 0.75))),
    Case("tanh", "2 → 16 → 16 → 5, random weights", ((-1.0, 1.0),) * 2,
         (*ALL, *GRADIENTS, *GEODESICS), BOTH, reach=0.2, near=0.1),
    Case("layer-norm", "2 → 16 → 16 → 5, LayerNorm and SiLU", ((-1.0, 1.0),) * 2,
         (*ALL, *GRADIENTS), BOTH),
    Case("images", "2 → 64 → 64 → 784, tanh", ((-1.0, 1.0),) * 2, (*TENSORS, "gradient_z"), BOTH),
)  # fmt: skip
