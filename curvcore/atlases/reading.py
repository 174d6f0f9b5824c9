"""Reading an atlas, checked."""

from pathlib import Path
from typing import Any

from curvcore.atlases import manifest as manifests
from curvcore.atlases import shards
from curvcore.errors import AtlasError, InputError


def read_atlas(folder: Any, columns: list[str] | None = None) -> Any:
    """All rows of an atlas in their order, as a ``pyarrow.Table``: ``.to_pandas()`` and others.

    Every shard is compared with the digest that was written with it. What does not fit in memory is
    read by polars or dask, of which none looks at digests.

    Args:
        folder: of the atlas.
        columns: the names of those that are wanted; all by default.

    Raises:
        AtlasError: it is no atlas, or one of which shards are missing, or damaged.
    """
    pyarrow, _ = shards.arrow()
    manifest = manifests.read(folder)
    if isinstance(columns, str):
        raise InputError(f"columns must be a list of names; got {columns!r}: write [{columns!r}].")
    if unknown := set(columns or ()) - set(manifest["columns"]):
        raise AtlasError(
            f"{folder} has no column {min(unknown)}; it has {', '.join(manifest['columns'])}."
        )
    numbers = range(shards.count(manifest))
    missing = [n for n in numbers if not shards.path_of(folder, n).exists()]
    if missing:
        raise AtlasError(
            f"{folder} is not finished: {len(missing)} of {len(numbers)} shards are missing, the "
            f"first {Path(shards.path_of(folder, missing[0])).name}. Run the same again."
        )
    names = list(manifest["columns"]) if columns is None else columns
    tables = [shards.read(folder, manifest, n).select(names) for n in numbers]
    return pyarrow.concat_tables(tables).replace_schema_metadata(None)
