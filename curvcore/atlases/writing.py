"""Writing an atlas: every rank its shards."""

import os
import shutil
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from curvcore.atlases import manifest as manifests
from curvcore.atlases import shards
from curvcore.atlases.evaluation import Evaluator, Options, columns_of, one_thread
from curvcore.atlases.sources import as_source
from curvcore.errors import AtlasError, InputError
from curvcore.providers.kinks import one_warning_of_kinks

ROWS_PER_SHARD = 2**16


def atlas(
    decoder: Callable[[torch.Tensor], Any],
    points: Any,
    out: str | os.PathLike[str],
    *,
    rows_per_shard: int = ROWS_PER_SHARD,
    progress: Callable[[int, int], Any] | None = None,
    **options: Unpack[Options],
) -> Path:
    """Write R and its error, log √det g and the eigenvalues of g at any number of latents to files.

    A folder of Parquet files of ``rows_per_shard`` rows each, in the order of the points, with a
    manifest, ``_atlas.json``, of what it is of. A row, in the dtype computed in:

    ===================  ========================================================================
    column               what
    ===================  ========================================================================
    ``z_0``, ...         the latent
    ``scalar``           R, NaN where g is degenerate
    ``scalar_error``     what rounding may have done to R, ``PullbackGeometry.scalar_error``; of an
                         estimate its standard error
    ``log_volume``       log √det g
    ``eigenvalue_0``...  of g, ascending; all d up to d = 16, else the least and the greatest one
    ``degenerate``       whether g is degenerate to working precision, or not finite
    ===================  ========================================================================

    A shard is written whole or not at all, so that the same call goes on with what was stopped at
    any moment. In processes with RANK and WORLD_SIZE in their environment, as of ``torchrun``,
    rank r of n takes shards r, r + n, ...: no process waits for another, and each may be started
    again by itself. What a shard holds depends on neither, to the last bit, on machines of one
    kind: each process computes on one thread. Memory does not grow with the number of points.

    Args:
        decoder: as in :func:`curvcore.pullback`, the same in every process.
        points: a tensor or array (N, d), the path of a .npy, which is not read whole, a
            :class:`LatentGrid`, or another :class:`curvcore.atlases.LatentSource`.
        out: the folder, new, or of the same atlas, to be gone on with.
        rows_per_shard: a work item.
        progress: called with (rows done, all rows) of this process after every few points.
        **options: :class:`curvcore.atlases.Options`: derivatives, formula, unit, probes, ...

    Returns:
        The folder, once the shards of this process are in it.

    Raises:
        InputError: points that are not finite, or not of the decoder's dimension; more than the
            disk has room for; an unknown option.
        AtlasError: the folder holds another atlas, or a damaged shard.
        DecoderError, RowsNotIndependentError, UnsupportedOperationError: of the decoder.
    """
    shards.arrow()
    _check_rows_per_shard(rows_per_shard)
    source, folder = as_source(points), Path(out)
    with one_thread(), one_warning_of_kinks():
        evaluator = Evaluator.of(decoder, source, **options)
        wanted = manifests.described(evaluator, source, int(rows_per_shard))
        _check_disk(folder, wanted)
        _make(folder)
        _fill(folder, manifests.agreed(folder, wanted), evaluator, source, progress)
    return folder


def _check_rows_per_shard(rows):
    if isinstance(rows, bool) or not isinstance(rows, Integral) or rows < 1:
        raise InputError(f"rows_per_shard must be a positive integer; got {rows!r}.")


def _fill(folder, manifest, evaluator, source, progress):
    """Write the shards of this rank that are not there; those that are must be whole."""
    numbers = range(rank_of_this()[0], shards.count(manifest), rank_of_this()[1])
    total = sum(_length(manifest, number) for number in numbers)
    there = [number for number in numbers if shards.path_of(folder, number).exists()]
    done = 0
    for number in there:
        shards.read(folder, manifest, number)
        shards.remove_left(folder, number)
        done += _length(manifest, number)
        _tell(progress, done, total)
    for number in sorted(set(numbers).difference(there)):
        chunks = []
        for fields in evaluator.fields(source, *shards.rows_of(manifest, number)):
            chunks.append(columns_of(fields))
            done += len(fields.z)
            _tell(progress, done, total)
        columns = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        shards.write(folder, manifest, number, columns)


def _length(manifest, number):
    start, stop = shards.rows_of(manifest, number)
    return stop - start


def _tell(progress, done, total):
    if progress is not None:
        progress(done, total)


def rank_of_this():
    """The rank of this process and how many there are, as torchrun says."""
    texts = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    try:
        rank, count = map(int, texts)
    except ValueError:
        rank, count = 0, 0
    if not 0 <= rank < count:
        raise InputError(
            f"RANK and WORLD_SIZE in the environment are {texts[0]} and {texts[1]}: the rank must "
            "be one of 0 to WORLD_SIZE − 1. Unset both, or start with torchrun."
        )
    return rank, count


def _check_disk(folder, manifest):
    """Raise unless the shards that are not there yet have room."""
    needed = shards.bytes_of(manifest, shards.there(folder))
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise InputError(
            f"{manifest['rows']} latents need {needed / 1e9:.3g} GB, and the disk of {folder} has "
            f"{free / 1e9:.3g} GB free. Give fewer, or choose another disk."
        )


def _make(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise AtlasError(f"{folder} is, or lies in, a file. Choose another folder.") from error
