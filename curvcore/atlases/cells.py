"""Curvature at the latents of cells: ``AnnData`` and ``.h5ad`` files.

=======================================  =====================================================
where                                    what
=======================================  =====================================================
``obs["curvcore_scalar"]``               R, NaN where g is degenerate
``obs["curvcore_scalar_error"]``         what rounding may have done to R
``obs["curvcore_log_volume"]``           log √det g
``obsm["curvcore_metric"]``              g_ij, i ≤ j in lexicographic order, (N, d(d+1)/2)
``uns["curvcore"]``                      the options, the version, a digest of the decoder
=======================================  =====================================================

Needs anndata: ``pip install 'curvcore[anndata]'``.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from curvcore._version import __version__
from curvcore.atlases.evaluation import Evaluator, Options, one_thread
from curvcore.atlases.files import whole
from curvcore.atlases.manifest import decoder_digest
from curvcore.atlases.sources import as_source
from curvcore.errors import InputError
from curvcore.providers.kinks import one_warning_of_kinks

_OF_CELLS = {"scalar": "scalar", "scalar_error": "error", "log_volume": "log_volume"}
_PREFIX = "curvcore"


def annotate(
    decoder: Callable[[torch.Tensor], Any],
    adata: Any,
    *,
    obsm: str = "X_latent",
    progress: Callable[[int, int], Any] | None = None,
    **options: Unpack[Options],
) -> None:
    """Add R, its error, log √det g and g at the latents of cells to an ``AnnData``, in place.

    Args:
        decoder: as in :func:`curvcore.pullback`.
        adata: with latents (N, d) in ``adata.obsm[obsm]``.
        obsm: the name of the latents.
        progress, options: as in :func:`curvcore.atlas`.

    Raises:
        InputError: there are no such latents, or they are not finite, or of another dimension.
        DecoderError, RowsNotIndependentError, UnsupportedOperationError: of the decoder.
    """
    latents = _latents(adata.obsm, obsm, "adata")
    columns, metric, record = _annotations(decoder, latents, obsm, options, progress)
    for name, column in columns.items():
        adata.obs[name] = column
    adata.obsm[f"{_PREFIX}_metric"] = metric
    adata.uns[_PREFIX] = record


def annotate_h5ad(
    decoder: Callable[[torch.Tensor], Any],
    path: Any,
    out: Any,
    *,
    obsm: str = "X_latent",
    progress: Callable[[int, int], Any] | None = None,
    **options: Unpack[Options],
) -> Path:
    """:func:`annotate` of a ``.h5ad`` file: a new one, the old one with what is added.

    The expression matrix is copied, never read; the new file is written whole or not at all.

    Args:
        decoder, obsm, progress, options: as in :func:`annotate`.
        path: of the file.
        out: of the new one.

    Returns:
        ``out``.

    Raises:
        InputError: as :func:`annotate`; ``path`` is no .h5ad, ``out`` is there already, or the disk
            has no room for it.
    """
    h5py, io = _anndata()
    path, out = Path(path), Path(out)
    if out.exists() or out.suffix != ".h5ad" or not out.absolute().parent.is_dir():
        raise InputError(f"{out} must be a new .h5ad file in a folder that exists.")
    try:
        with h5py.File(path) as file:
            latents = _latents(file["obsm"], obsm, path, io)
            _columns_of(file)
    except (OSError, KeyError) as error:
        raise InputError(f"{path} is no .h5ad file: {str(error).splitlines()[0]}.") from error
    columns, metric, record = _annotations(decoder, latents, obsm, options, progress)
    free = shutil.disk_usage(out.absolute().parent).free
    if path.stat().st_size + metric.nbytes > free:
        raise InputError(f"The disk of {out} has {free / 1e9:.3g} GB free: too little for it.")
    with whole(out) as part:
        shutil.copyfile(path, part)
        with h5py.File(part, "r+") as file:
            for name, column in columns.items():  # the others stay as whoever wrote them did
                io.write_elem(file["obs"], name, column)
            order = dict.fromkeys([*_columns_of(file), *columns])
            file["obs"].attrs["column-order"] = np.array(list(order), h5py.string_dtype())
            io.write_elem(file["obsm"], f"{_PREFIX}_metric", metric)
            io.write_elem(file.require_group("uns"), _PREFIX, record)
    return out


def _annotations(decoder, latents, obsm, options, progress):
    """Columns of obs by name, the packed metric, and the record."""
    source, d = as_source(latents), latents.shape[1]
    upper, pieces, done = np.triu_indices(d), [], 0
    with one_thread(), one_warning_of_kinks():
        evaluator = Evaluator.of(decoder, source, **options)
        for fields in evaluator.fields(source, 0, len(latents)):
            pieces.append(
                [getattr(fields, name) for name in _OF_CELLS.values()]
                + [fields.metric[:, upper[0], upper[1]]]
            )
            done += len(fields.z)
            if progress is not None:
                progress(done, len(latents))
    *columns, metric = (np.concatenate(piece) for piece in zip(*pieces, strict=True))
    columns = {f"{_PREFIX}_{n}": x for n, x in zip(_OF_CELLS, columns, strict=True)}
    record = {"version": __version__, "obsm": obsm, "decoder": decoder_digest(decoder)}
    return columns, metric, record | evaluator.options()


def _latents(group, name, where, io=None):
    """The array (N, d) of that name, in ``adata.obsm`` or in the group of a file."""
    if name not in group:
        listed = ", ".join(sorted(group)) or "none"
        raise InputError(f"{where} has no latents obsm[{name!r}]; it has {listed}.")
    latents = group[name] if io is None else io.read_elem(group[name])
    latents = latents.toarray() if hasattr(latents, "toarray") else np.asarray(latents)
    if latents.ndim != 2 or not np.issubdtype(latents.dtype, np.floating):
        raise InputError(
            f"obsm[{name!r}] must be latents (N, d) of floating point; got {latents.shape} of "
            f"{latents.dtype}."
        )
    return latents


def _columns_of(file):
    """The names of the columns of obs; KeyError in a file of anndata before 0.7."""
    return [str(name) for name in file["obs"].attrs["column-order"]]


def _anndata():
    try:
        import h5py
        from anndata import io
    except ImportError as error:
        how = "A .h5ad file needs anndata: pip install 'curvcore[anndata]'"
        raise ModuleNotFoundError(how, name="anndata") from error
    return h5py, io
