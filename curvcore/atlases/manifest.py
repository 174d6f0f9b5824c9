"""What an atlas is of: written before its shards, and compared when it is gone on with."""

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import torch

from curvcore._version import __version__
from curvcore.atlases.evaluation import column_types, module_of
from curvcore.atlases.files import temporary
from curvcore.errors import AtlasError

MANIFEST = "_atlas.json"  # readers of Parquet folders pass over names that begin so
FORMAT = 1
_PROBES = 4  # latents at which values of the decoder are compared
_CLOSE = 1e-3  # relative: another machine rounds otherwise
_MEANING = {
    "format": "it was written by another curvcore",
    "curvcore": "it was written by another curvcore",
    "torch": "it was computed by another torch",
    "points": "its latents are others",
    "decoder": "its decoder is another",
}


def described(evaluator, source, rows_per_shard):
    """The manifest of the atlas that these make."""
    types = column_types(source.shape[1], _numpy_dtype(evaluator))
    return {
        "format": FORMAT,
        "curvcore": __version__,
        "torch": torch.__version__,
        "rows": int(source.shape[0]),
        "dimension": int(source.shape[1]),
        "rows_per_shard": rows_per_shard,
        **evaluator.options(),
        "columns": {name: dtype.name for name, dtype in types.items()},
        "points": source.digest(),
        "decoder": decoder_digest(evaluator.decoder),
        "values": _values(evaluator, source),
    }


def agreed(folder, manifest):
    """The manifest in ``folder``, this one if there was none; the first of all ranks writes it.

    Raises:
        AtlasError: the folder holds another atlas, or something else.
    """
    path = Path(folder, MANIFEST)
    if not path.exists():
        _check_empty(folder)
        with temporary(path) as part:
            part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            _publish(part, path)
    found = read(folder)
    _check_same(folder, found, manifest)
    return found


def read(folder):
    """The manifest of an atlas.

    Raises:
        AtlasError: there is none, or it is damaged.
    """
    path = Path(folder, MANIFEST)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        rows, size = manifest["rows"], manifest["rows_per_shard"]
        if type(rows) is not int or type(size) is not int or rows < 1 or size < 1:
            raise ValueError(f"it speaks of {rows} rows, {size} a shard")
        return manifest | {"columns": dict(manifest["columns"])}
    except (FileNotFoundError, NotADirectoryError):
        raise AtlasError(f"{folder} is no atlas: there is no {path}.") from None
    except (ValueError, TypeError, KeyError) as error:
        raise AtlasError(f"{path} is damaged: {error}.") from error


def identity_of(manifest):
    """A text that tells this atlas from others."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def decoder_digest(decoder):
    """Of the parameters, buffers and layers of a module; "" for other callables."""
    module = module_of(decoder)
    if module is None:
        return ""
    digest = hashlib.sha256(f"{module} {getattr(decoder, '__name__', '')}".encode())
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _values(evaluator, source):
    """|Ψ| at a few latents: what tells apart decoders that say nothing else of themselves."""
    rows = np.linspace(0, source.shape[0] - 1, _PROBES).round().astype(int)
    points = np.concatenate([source.read(row, row + 1) for row in rows.tolist()])
    return [str(float(x)) for x in evaluator.values(points).flatten(1).double().norm(dim=1)]


def _check_same(folder, found, wanted):
    for name in wanted:
        if name == "values":
            same = _are_close(found.get(name), wanted[name])
        else:
            same = found.get(name) == wanted[name]
        if not same:
            text = f"{name} is {found.get(name)} there and {wanted[name]} here"
            reason = _MEANING.get("decoder" if name == "values" else name, text)
            raise AtlasError(
                f"{folder} holds another atlas: {reason}. Choose another folder, or go on with "
                "what it was begun with."
            )


def _are_close(found, wanted):
    if not isinstance(found, list) or len(found) != len(wanted):
        return False
    pairs = [(float(x), float(y)) for x, y in zip(found, wanted, strict=True)]
    return all(math.isclose(x, y, rel_tol=_CLOSE) or (x != x and y != y) for x, y in pairs)


def _check_empty(folder):
    """Raise unless the folder is empty, but for what a rank that came first has just begun."""
    others = [path.name for path in Path(folder).iterdir() if not path.name.startswith(".")]
    if others and not Path(folder, MANIFEST).exists():
        raise AtlasError(
            f"{folder} is not empty, and no atlas: it holds {min(others)}. Choose a new folder."
        )


def _publish(part, path):
    """Give the file its name, unless another rank was first."""
    try:
        os.link(part, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        os.replace(part, path)


def _numpy_dtype(evaluator):
    return np.dtype(evaluator.options()["dtype"])
