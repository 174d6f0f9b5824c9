"""The interactive report of runs: what ``python -m training report`` writes.

==============  ==================================================================================
module          what it does
==============  ==================================================================================
``chapters``    data preparation: runs of one data set, seen at the same points
``movement``    data preparation: the latents at every snapshot of the training
``paths``       data preparation: geodesics between landmarks
``comparison``  data preparation: the table of metrics and which run is better
``colours``     data preparation: what points and maps can be coloured by
``figures``     plotly figures
``words``       what the page says in words
``numbers``     what its script draws
``fitted``      the report of an estimator
``page``        one HTML file of it all: ``page.html``, ``page.css``, ``page.js`` and ``flow.js``
==============  ==================================================================================

Needs plotly and matplotlib, ``pip install '.[plots]'``; the page needs a browser, and no network.
"""

from training.report.chapters import chapters_of
from training.report.page import check_new, write

__all__ = ["chapters_of", "check_new", "write"]
