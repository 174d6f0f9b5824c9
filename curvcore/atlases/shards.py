"""The shards of an atlas: Parquet files of consecutive rows, each with a digest of what it holds.

``shard-00000003.parquet`` holds rows 3n to 4n, n the rows of a shard, as one row group, without
compression, since these numbers have next to nothing to compress: so its size is known before.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np

from curvcore.atlases.files import remove_parts, whole
from curvcore.atlases.manifest import identity_of
from curvcore.errors import AtlasError

_KEY = b"curvcore"  # of the schema's metadata
_SHARD, _COLUMN = 4096, 512  # bytes of a file beside its numbers, at most


def arrow():
    """pyarrow and pyarrow.parquet.

    Raises:
        ModuleNotFoundError: what to install.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        how = "An atlas needs pyarrow: pip install 'curvcore[atlas]'"
        raise ModuleNotFoundError(how, name="pyarrow") from error
    return pyarrow, parquet


def count(manifest):
    """How many shards an atlas has."""
    return math.ceil(manifest["rows"] / manifest["rows_per_shard"])


def path_of(folder, number):
    """The file of a shard."""
    return Path(folder, f"shard-{number:08d}.parquet")


def rows_of(manifest, number):
    """The first row of a shard, and the row after its last."""
    size = manifest["rows_per_shard"]
    return number * size, min(manifest["rows"], (number + 1) * size)


def there(folder):
    """How many shards are in a folder, which need not be there itself."""
    return sum(1 for _ in Path(folder).glob("shard-*.parquet"))


def bytes_of(manifest, done=0):
    """The most that an atlas takes on a disk, less so many shards that are there."""
    size = manifest["rows_per_shard"]
    rows = max(0, manifest["rows"] - done * size)
    numbers = rows * sum(map(_bits, manifest["columns"].values())) // 8
    return numbers + math.ceil(rows / size) * (_SHARD + _COLUMN * len(manifest["columns"]))


def write(folder, manifest, number, columns):
    """Write a shard of columns by name, arrays of its rows."""
    pyarrow, parquet = arrow()
    path = path_of(folder, number)
    record = {"atlas": identity_of(manifest), "shard": number, "sha256": _digest(columns)}
    table = pyarrow.table(columns).replace_schema_metadata({_KEY: json.dumps(record).encode()})
    remove_left(folder, number)
    with whole(path, _mark(path)) as part:
        parquet.write_table(
            table, part, row_group_size=len(table), compression="none", use_dictionary=False,
            write_statistics=False,  # of a footer that is damaged they would mislead readers
            write_page_checksum=True,
        )  # fmt: skip


def remove_left(folder, number):
    """Remove what a process left that was killed while it wrote a shard, or right after."""
    remove_parts(folder, _mark(path_of(folder, number)))


def _mark(path):
    return f"{path.stem}."  # other ranks are at other shards


def read(folder, manifest, number):
    """The table of a shard, which is what was written.

    Raises:
        AtlasError: it is damaged, or belongs to another atlas.
    """
    pyarrow, parquet = arrow()
    path = path_of(folder, number)
    try:
        table = parquet.read_table(path, partitioning=None, memory_map=False)
        record = json.loads((table.schema.metadata or {})[_KEY])
        columns = {name: table[name].to_numpy() for name in manifest["columns"]}
        is_whole = record["sha256"] == _digest(columns)
        belongs = (record["atlas"], record["shard"]) == (identity_of(manifest), number)
    except FileNotFoundError:
        raise
    except (OSError, pyarrow.ArrowException, KeyError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise _damaged(path, reason or type(error).__name__) from error
    if not is_whole:
        raise _damaged(path, "its numbers are not those that were written")
    if not belongs:
        raise AtlasError(f"{path} is a shard of another atlas. Remove it and run the same again.")
    return table


def _damaged(path, reason):
    return AtlasError(f"{path} is damaged: {reason}. Remove it and run the same again.")


def _digest(columns):
    digest = hashlib.sha256()
    for name, column in columns.items():
        digest.update(f"{name} {column.dtype} {len(column)}".encode())
        digest.update(np.ascontiguousarray(column))
    return digest.hexdigest()


def _bits(dtype):
    return 1 if dtype == "bool" else 8 * np.dtype(dtype).itemsize
