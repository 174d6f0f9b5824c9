"""Rigorous bounds of curvature on a box of latent space: halved until they are as close as asked.

On each part the decoder's own ``forward`` runs on Taylor models, by the jet rules and the Gauss
formula that run on tensors, so that R and √det g are enclosed at all of its points at once, and
their integrals. What is said of a region holds for every point of it.
"""

import hashlib
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from curvcore.display import Displayed
from curvcore.providers.bound import AmbientDecoder
from curvcore.providers.witness import check_rows_independent
from curvcore.types import Decoder
from curvcore.validation import check_decoder
from verification.decoders.subjects import converted
from verification.exact.balls_of_decoders import CertificationError
from verification.regions.cells import INTEGRALS, Cells, examined, halved, integral, whole
from verification.regions.geometry import values_at

GOALS = (*INTEGRALS, "scalar", "immersion")
_BOXES = 64  # to begin with, about
_AT_ONCE = 128  # boxes, of a task
_VERSION, _SIGNED = 1, 32  # of what files hold; points at which decoders are compared
_SMALLEST = 2.0**-20  # side, of the region's
_DEGREES = range(1, 13)


@dataclass(frozen=True, eq=False, repr=False)
class Region(Displayed):
    """What is certain of a decoder's pullback metric on a box.

    Attributes:
        box: (d, 2).
        scalar: (low, high), bounds of R; infinite where some of the box is ``doubtful``.
        volume_density: (low, high) of √det g.
        volume, total_curvature, total_squared_curvature: (low, high) of ∫dμ, ∫R dμ and ∫R² dμ.
        doubtful: parts of the box, (m, d, 2), on which √det g > 0 is not proved: any degenerate
            point is in one of them.
        reached: whether the goal was, or the time was up.
        boxes, examined: how many parts the region is in, and how many were looked at.
    """

    box: torch.Tensor
    scalar: tuple[float, float]
    volume_density: tuple[float, float]
    volume: tuple[float, float]
    total_curvature: tuple[float, float]
    total_squared_curvature: tuple[float, float]
    doubtful: torch.Tensor
    reached: bool
    boxes: int
    examined: int

    @property
    def is_immersion(self) -> bool:
        """Whether it is proved that no point of the box is degenerate."""
        return len(self.doubtful) == 0


def certify_region(
    decoder: Decoder,
    box: torch.Tensor,
    *,
    goal: str = "total_squared_curvature",
    relative: float = 0.01,
    seconds: float = 600.0,
    jobs: int = 1,
    degree: int = 5,
    state: str | Path | None = None,
) -> Region:
    """Rigorous bounds of R, √det g, ∫dμ, ∫R dμ and ∫R²dμ on a box, and whether ∇Ψ has full rank.

    The box is halved where most is lost, until the ends of what ``goal`` names are no further from
    their middle than ``relative`` of it, or the time is up; all bounds hold either way.

    Args:
        decoder: as of :func:`verification.certify`, without ``ambient=`` and ``likelihood=``, and
            without masks of attention.
        box: (d, 2), lower and upper ends; floats count as exact numbers.
        goal: ``"volume"``, ``"total_curvature"``, ``"total_squared_curvature"``: integrals;
            ``"scalar"``: bounds of R, to ``relative`` of the largest |R|; ``"immersion"``: no
            degenerate point, which needs no accuracy.
        relative: accuracy, between 0 and 1.
        seconds: after so many no new part is begun.
        jobs: processes. More than one take decoders that can be pickled.
        degree: of the Taylor models, 1 to 12. Few parts of many terms, or many of few.
        state: an ``.npz`` file that is written meanwhile, and gone on from where it is there.

    Returns:
        Region.

    Raises:
        CertificationError: an operation has no version for Taylor models, or rounds numbers that do
            not depend on z; the file is of another decoder, box or degree.
    """
    decoder, box = _checked(decoder, box, goal, relative, degree, jobs)
    work = _Work(decoder, box, degree, None if state is None else Path(state))
    deadline = time.monotonic() + seconds
    with _workers(decoder, box, degree, jobs) as examine:
        if work.cells is None:
            work.begin(examine)
        reached = _refine(work, examine, goal, relative, deadline, jobs)
    return _region(work, box, reached)


def _refine(work, examine, goal, relative, deadline, jobs):
    """Halve cells until the goal is reached, or nothing is left to do, or the time is up."""
    while True:
        reached, wanted = _wanted(work.cells, work.box, goal, relative)
        smallest = (work.cells.halves <= _SMALLEST).any(1)
        if reached:
            return True
        wanted = wanted[~smallest[wanted]]
        if not len(wanted) or time.monotonic() > deadline:
            return False
        work.halve(wanted[: _AT_ONCE * jobs], examine)


def _wanted(cells, box, goal, relative):
    """Whether the goal is reached, and else which cells to halve, those that lose most first."""
    irregular = (~cells.are_regular).nonzero()[0]
    if len(irregular) or goal == "immersion":
        return not len(irregular), irregular
    if goal == "scalar":
        extreme = _extreme(cells, relative)
        return not len(extreme), extreme
    k = INTEGRALS.index(goal)
    shares = cells.shares()
    losses = cells.errors[:, k] * shares
    low, high = integral(cells, box, goal)
    if high - low <= relative * abs(low + high):
        return True, np.empty(0, int)
    allowed = relative * abs((cells.means[:, k] * shares).sum())
    order = np.argsort(losses)
    kept = np.searchsorted(np.cumsum(losses[order]), allowed / 2)
    return False, order[kept:][::-1]


def _extreme(cells, relative):
    """Cells that may hold a larger or a smaller R than is known to be taken, by more than that."""
    low, high = cells.scalar.T
    largest, least = low.max(), high.min()  # R takes at least, and at most, these
    margin = relative * max(abs(high.max()), abs(low.min()))
    excess = np.maximum(high - largest, least - low) - margin
    order = np.argsort(-excess)
    return order[excess[order] > 0]


class _Work:
    """The cells so far, in memory and in a file."""

    def __init__(self, decoder, box, degree, path):
        self.box, self._path = box, path
        self._signature = _signature(decoder, box, degree)
        self.cells, self.examined = None, 0
        if path is not None and path.exists():
            self._read()

    def begin(self, examine):
        """Examine the parts to begin with."""
        self.cells = examine(*whole(len(self.box), _BOXES))
        self._grown(len(self.cells))

    def halve(self, chosen, examine):
        """Put the parts of some cells in their place."""
        parts = examine(*halved(self.cells.of(chosen)))
        left = np.ones(len(self.cells), bool)
        left[chosen] = False
        self.cells = Cells.joined([self.cells.of(left), parts])
        self._grown(len(parts))

    def _grown(self, count):
        self.examined += count
        if self._path is not None:
            self._write()

    def _read(self):
        try:
            with np.load(self._path, allow_pickle=False) as file:
                arrays = dict(file)
            signature, examined = arrays.pop("signature"), int(arrays.pop("examined"))
            cells = Cells(**arrays)
        except Exception as error:  # numpy and zipfile raise many kinds
            raise CertificationError(f"{self._path} is not a state of certify_region.") from error
        if str(signature) != self._signature:
            raise CertificationError(
                f"{self._path} is of another decoder, box or degree. Name another file."
            )
        self.cells, self.examined = cells, examined

    def _write(self):
        """In one go, so that a file is whole whenever the work is interrupted."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._path.parent, delete=False) as file:
            np.savez(
                file,
                signature=self._signature,
                examined=self.examined,
                **self.cells.arrays(),
            )
        os.replace(file.name, self._path)


def _signature(decoder, box, degree):
    """A digest that tells decoders apart: of their parameters, and of Ψ at points of the box."""
    random = torch.rand(_SIGNED, len(box), generator=torch.Generator().manual_seed(0))
    points = torch.lerp(box[:, 0], box[:, 1], random.double())
    tensors = [box, torch.tensor([_VERSION, degree])]
    if isinstance(decoder, torch.nn.Module):
        tensors += decoder.state_dict().values()
    with torch.no_grad():
        tensors.append(decoder(points))
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


# --- processes ------------------------------------------------------------------------------------


@contextmanager
def _workers(decoder, box, degree, jobs) -> Iterator:
    """A function that examines cells, a number at a time, here or in processes."""
    if jobs == 1:
        yield lambda *cells: Cells.joined(
            [examined(decoder, box, degree, *piece) for piece in _pieces(*cells)]
        )
        return
    try:
        pickled = pickle.dumps(decoder)
    except Exception as error:  # whatever a decoder's own objects raise
        raise CertificationError(
            f"jobs={jobs} takes a decoder that can be pickled, a module or a function of a file; "
            f"this one cannot be: {error}. Write jobs=1."
        ) from error
    with ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=_enter, initargs=(pickled, box, degree)
    ) as pool:
        yield lambda *cells: Cells.joined(list(pool.map(_examined_there, _pieces(*cells))))


def _pieces(centres, halves):
    for first in range(0, len(centres), _AT_ONCE):
        yield centres[first : first + _AT_ONCE], halves[first : first + _AT_ONCE]


_THERE = {}


def _enter(pickled, box, degree):
    torch.set_num_threads(1)
    _THERE["arguments"] = pickle.loads(pickled), box, degree


def _examined_there(piece):
    return examined(*_THERE["arguments"], *piece)


# --- checks and results ---------------------------------------------------------------------------


def _checked(decoder, box, goal, relative, degree, jobs):
    if isinstance(decoder, AmbientDecoder):
        raise CertificationError(
            "certify_region takes decoders into Euclidean space, without ambient= and likelihood=."
        )
    box = torch.as_tensor(box).detach().cpu().double()
    if box.ndim != 2 or box.shape[1] != 2 or not len(box):
        raise CertificationError(f"box must be (d, 2); got {tuple(box.shape)}.")
    if not (box.isfinite().all() and (box[:, 0] < box[:, 1]).all()):
        raise CertificationError(f"box must be finite, low < high; got {box.tolist()}.")
    if goal not in GOALS:
        raise CertificationError(f"goal must be one of {', '.join(GOALS)}; got {goal!r}.")
    if not 0 < relative < 1:
        raise CertificationError(f"relative must be between 0 and 1; got {relative}.")
    if degree not in _DEGREES:
        raise CertificationError(f"degree must be between 1 and 12; got {degree}.")
    if not isinstance(jobs, int) or jobs < 1:
        raise CertificationError(f"jobs must be a positive integer; got {jobs!r}.")
    try:
        decoder = converted(decoder, torch.float64)
    except RuntimeError as error:
        raise CertificationError(
            f"The decoder cannot be copied: {error} Of weight_norm take the one in "
            "torch.nn.utils.parametrizations."
        ) from error
    points = torch.lerp(box[:, 0], box[:, 1], torch.linspace(0, 1, 5, dtype=box.dtype)[:, None])
    check_decoder(decoder, points)
    with torch.no_grad():
        check_rows_independent(decoder, points, values_at(decoder, points))
    return decoder, box


def _region(work, box, reached):
    cells = work.cells
    doubtful = cells.of(~cells.are_regular)
    bounds = {name: integral(cells, box, name) for name in INTEGRALS}
    return Region(
        box=box,
        scalar=_range(cells.scalar),
        volume_density=_range(cells.density.clip(min=0)),
        **bounds,
        doubtful=_boxes(doubtful, box),
        reached=reached,
        boxes=len(cells),
        examined=work.examined,
    )


def _range(bounds):
    return float(bounds[:, 0].min()), float(bounds[:, 1].max())


def _boxes(cells, box):
    """Ends (m, d, 2), a little outside."""
    ends = cells.centres - cells.halves, cells.centres + cells.halves
    ends = torch.from_numpy(np.stack(ends, -1))
    low, high = box[:, :1], box[:, 1:]
    moved = low + (high - low) * (ends + 1) / 2
    slack = 8 * torch.finfo(box.dtype).eps * box.abs().amax(1)
    return torch.stack([moved[..., 0] - slack, moved[..., 1] + slack], -1)
