"""Figures of runs: what ``python -m training plot`` writes.

===============  ===============================================================================
module           what it does
===============  ===============================================================================
``views``        data preparation: arrays of what is to be seen of a run; no matplotlib
``projections``  data preparation: many dimensions seen in two or three; no matplotlib
``curves``       data preparation: the history of every term, from metrics.csv; no matplotlib
``panels``       drawing: one set of axes each
``spaces``       drawing: axes in three dimensions
``insets``       drawing: pieces that are specks once more, larger
``figures``      drawing: whole figures of one run, or of two side by side
``files``        from the folders of runs to files
``fitted``       of an estimator
===============  ===============================================================================

Figures are matplotlib ``Figure`` objects without pyplot's state: they need no display.
"""

from training.pictures.figures import figures_of, side_by_side
from training.pictures.files import check_new, views_of, write
from training.pictures.views import View

__all__ = ["View", "check_new", "figures_of", "side_by_side", "views_of", "write"]
