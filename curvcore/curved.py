"""The tensors of an immersion into a space with a metric of its own, in a frame."""

from curvcore import riemann
from curvcore.caching import cached_quantity
from curvcore.formulas import Formulas, check_order


class CurvedFormulas(Formulas):
    """Formulas with what an ambient metric adds to them (:mod:`curvcore.ambient`).

    Args:
        derivatives, formula: as of Formulas.
        jet: the AmbientJet that they are of.
        frame: what they are in, a :class:`curvcore.frames.Frame` or the coordinate frame.
        regular: fills tensors (B, ...) where g is degenerate.
    """

    def __init__(self, derivatives, formula, jet, frame, regular):
        super().__init__(derivatives, formula)
        self._jet, self._frame, self._regular = jet, frame, regular

    @cached_quantity
    def _products_of_pairs(self):
        check_order(self._jet, 2, self.formula)
        bending = self._frame.of_pairs(self._regular(self._jet.bending()))
        return riemann.normal_products(self._form_of_pairs) - bending[..., :, None, :, None]

    @cached_quantity
    def _metric_derivative(self):
        check_order(self._jet, 2, self.formula)
        return self._frame.lowered(self._regular(self._jet.metric_derivative()), 3)

    @cached_quantity
    def _metric_second_derivative(self):
        check_order(self._jet, 3, self.formula)
        return self._frame.lowered(self._regular(self._jet.metric_second_derivative()), 4)
