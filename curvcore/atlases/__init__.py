"""Atlases: R, its error, the volume and the eigenvalues of g at latents of any number, in files.

:func:`atlas` streams latents through a decoder into a folder of Parquet files, one a work item, on
any number of processes; :func:`read_atlas` reads them back, checked. Like pandas, polars or dask::

    pandas.read_parquet(folder)    polars.read_parquet(folder / "*.parquet")

Needs pyarrow: ``pip install 'curvcore[atlas]'``.
"""

from curvcore.atlases import files
from curvcore.atlases.cells import annotate, annotate_h5ad
from curvcore.atlases.evaluation import Options, one_thread
from curvcore.atlases.reading import read_atlas
from curvcore.atlases.sources import LatentGrid, LatentSource
from curvcore.atlases.writing import atlas, rank_of_this

__all__ = [
    "LatentGrid",
    "LatentSource",
    "Options",
    "annotate",
    "annotate_h5ad",
    "atlas",
    "files",
    "one_thread",
    "rank_of_this",
    "read_atlas",
]
