"""The command ``atlas``: R at any number of latents of a run, into files."""

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import curvcore
from training import runs
from training.errors import TrainingError
from training.models import is_periodic

POINTS = 10**6  # of a grid, about
MARGIN = 0.05  # of the box of a grid beyond the encoded points
BLOCK = 4096  # rows that one seed draws


def run_atlas(options):
    """Do what options of the command ``atlas`` ask for; what to say of it.

    Raises:
        TrainingError: the run or the points cannot be had.
        CurvatureError: of :func:`curvcore.atlas`.
    """
    module, data = runs.load(options.run, options.checkpoint, options.trust)
    arguments = {"unit": module.scale.scale.item(), "dtype": _dtype_of(module)}
    arguments |= {"probes": options.probes, "seed": options.seed}
    decoder = module.autoencoder.decoder.to(_device_of_this(options.device))
    if Path(options.points).suffix == ".h5ad":
        arguments["obsm"] = options.obsm
        with _progress("cells") as progress:
            out = curvcore.atlases.annotate_h5ad(
                decoder, options.points, options.out, progress=progress, **arguments
            )
        return f"{options.points}: R, its error, log √det g and g in raw units -> {out}"
    source = _source(options, module, data)
    rank, ranks = curvcore.atlases.rank_of_this()
    name = "latents" if ranks == 1 else f"rank {rank} of {ranks}"
    with _progress(name, shown=rank == 0) as progress:
        curvcore.atlas(decoder, source, options.out, progress=progress, **arguments)
    part = "" if ranks == 1 else f"shards {rank}, {rank + ranks}, ... of "
    return f"{part}an atlas in raw units -> {options.out}"


def _device_of_this(kind):
    """The device of this process: of several GPUs the one of its rank on this machine."""
    if kind == "cpu":
        return torch.device(kind)
    if not torch.cuda.is_available():
        raise TrainingError("--device cuda: torch sees no CUDA device here. Leave --device out.")
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device(kind, rank % torch.cuda.device_count())


def _source(options, module, data):
    """The latents that ``--points`` names."""
    text = options.points
    if text == "grid":
        return _grid(module, data, options.per_axis)
    if text.isdecimal():
        return _random(module, data, int(text), options.seed)
    if Path(text).suffix == ".npz":
        return _of_npz(text)
    if Path(text).suffix != ".npy":
        raise TrainingError(
            "--points must be a .npy, .npz or .h5ad file of latents, the word grid, or a number; "
            f"got {text}."
        )
    return text


def _grid(module, data, per_axis):
    """Nodes over the box of the encoded training points, or over the torus."""
    z, dtype = _encoded(module, data), np.dtype(str(_dtype_of(module)).removeprefix("torch."))
    d = z.shape[1]
    count = per_axis or max(2, round(POINTS ** (1 / d)))
    if is_periodic(module.autoencoder):
        return curvcore.LatentGrid([(0, 1)] * d, count, periodic=True, dtype=dtype)
    low, high = z.min(0), z.max(0)
    margin = MARGIN * (high - low)
    box = np.stack([low - margin, high + margin], axis=1)
    return curvcore.LatentGrid(box, count, dtype=dtype)


def _random(module, data, count, seed):
    """Latents as the encoder distributes them; on a torus evenly, as kernels know no periods."""
    z = _encoded(module, data)
    if is_periodic(module.autoencoder):
        return RandomLatents(np.zeros_like(z[:1]), count, seed, uniform=True)
    return RandomLatents(z, count, seed)


def _of_npz(path):
    """The latents ``z`` that ``encode`` has written."""
    try:
        with np.load(path) as file:
            return np.asarray(file["z"])
    except FileNotFoundError:
        raise TrainingError(f"There is no file {path}.") from None
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{path} holds no latents z, as encode writes them.") from error


class RandomLatents:
    """A :class:`curvcore.atlases.LatentSource` of random latents, the same in every process.

    Drawn from the kernel density of :func:`training.densities.density_of`: a point of ``centres``
    and h C^{1/2} ξ, ξ normal, C the covariance of the centres and h = n^{−1/(d+4)}; or, if
    ``uniform``, evenly from [0, 1)^d.
    """

    def __init__(self, centres, count, seed, uniform=False):
        self.shape, self.dtype = (count, centres.shape[1]), centres.dtype
        self._centres, self._seed, self._uniform = centres, seed, uniform
        self._spread = _bandwidth(centres.astype(np.float64))

    def read(self, start, stop):
        """Rows ``start`` to ``stop``."""
        first, last = start // BLOCK, (stop - 1) // BLOCK
        rows = np.concatenate([self._block(number) for number in range(first, last + 1)])
        return rows[start - first * BLOCK : stop - first * BLOCK].astype(self.dtype)

    def _block(self, number):
        random = np.random.default_rng([self._seed, number])
        d = self.shape[1]
        if self._uniform:
            return random.random((BLOCK, d))
        centres = self._centres[random.integers(len(self._centres), size=BLOCK)]
        return centres + random.standard_normal((BLOCK, d)) @ self._spread.T

    def digest(self):
        """Of the distribution and the seed."""
        digest = hashlib.sha256(np.ascontiguousarray(self._centres))
        return f"random {digest.hexdigest()} {self.shape} {self._seed} {self._uniform}"


def _bandwidth(centres):
    """h C^{1/2}, also where C is singular: (d, d)."""
    n, d = centres.shape
    if n < 2:
        return np.zeros((d, d))
    values, vectors = np.linalg.eigh(np.cov(centres.T).reshape(d, d))
    return n ** (-1 / (d + 4)) * vectors * np.sqrt(values.clip(0))


@torch.no_grad()
def _encoded(module, data):
    """The latents of the training points, (n, d), of the same bits on any number of ranks."""
    with curvcore.atlases.one_thread():
        return module.encode(data.training_points()).numpy()


def _dtype_of(module):
    return next(module.autoencoder.parameters()).dtype


class _progress:  # noqa: N801  (used as a function)
    """A context with a bar, of which ``progress(done, total)`` tells the state, on a terminal."""

    def __init__(self, name, shown=True):
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"),
            TextColumn("left"), TimeRemainingColumn(),
            console=console, disable=not (shown and console.is_terminal),
        )  # fmt: skip
        self._task = self._bar.add_task(name, total=None, said="")

    def __enter__(self):
        return self._show

    def __exit__(self, *exception):
        if self._bar.live.is_started:
            self._bar.stop()

    def _show(self, done, total):
        self._bar.start()  # not before: what is found wrong first is one line
        speed = self._bar.tasks[0].speed
        rate = "" if not speed or not math.isfinite(speed) else f", {speed:,.0f}/s"
        self._bar.update(self._task, completed=done, total=total, said=f"{done:,}/{total:,}{rate}")
