"""What an atlas knows of a latent, chunk by chunk."""

import contextlib
import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypedDict

import numpy as np
import torch

from curvcore.api import estimated_geometry, pullback
from curvcore.atlases.sources import check_rows
from curvcore.errors import CurvatureError, InputError
from curvcore.estimated import EstimatedGeometry
from curvcore.geometry import FORMULAS
from curvcore.hutchinson import Hutchinson
from curvcore.packing import count
from curvcore.providers import DERIVATIVES
from curvcore.providers.outputs import ambient_dimension
from curvcore.types import Derivatives, Formula
from curvcore.validation import check_choice, check_decoder

# Points at a time, and numbers in their derivatives: what is fastest on a CPU, measured at
# 2 → 128 × 3 → 784, and bounds memory.
CHUNK, ENTRIES = 2048, 2**24
ALL_EIGENVALUES = 16  # of g are kept up to this d


class Options(TypedDict, total=False):
    """What decides which numbers come out, beside decoder and latents.

    ==================  ===========================================================================
    option              what
    ==================  ===========================================================================
    ``derivatives``     as in :func:`curvcore.pullback`
    ``formula``         likewise
    ``unit``            the length that 1 in Ψ stands for: results are those of ``unit``·Ψ
    ``probes``          estimate R from so many random directions at every point, 4 at least, where
                        d is large (:class:`curvcore.Hutchinson`); by default R itself
    ``seed``            of the probes, 0 by default
    ``dtype``           to compute in; by default that of the decoder's parameters, or of the points
    ``device``          to compute on; by default that of the decoder's parameters
    ==================  ===========================================================================
    """

    derivatives: Derivatives
    formula: Formula
    unit: float
    probes: int | None
    seed: int
    dtype: torch.dtype | None
    device: Any


@dataclass(frozen=True)
class Fields:
    """Numbers of B points, as numpy arrays; NaN where the metric is degenerate, but for ``metric``.

    Attributes:
        z: the latents (B, d).
        scalar: R (B,).
        error: what rounding may have done to R, or the standard error of its estimate, (B,).
        log_volume: log √det g (B,).
        metric: g (B, d, d), NaN only where it is not finite.
        degenerate: where g is degenerate to working precision, (B,).
    """

    z: np.ndarray
    scalar: np.ndarray
    error: np.ndarray
    log_volume: np.ndarray
    metric: np.ndarray
    degenerate: np.ndarray


@dataclass(frozen=True)
class Evaluator:
    """A decoder with all that decides which numbers come out.

    Args:
        decoder: as in :func:`curvcore.pullback`.
        derivatives, formula: likewise.
        unit: the length that 1 in Ψ stands for.
        dtype: to compute in.
        device: likewise.
        chunk_size: points at a time.
        probes: of an estimate of R, at every point; None for R itself.
        seed: of the probes.
    """

    decoder: object
    derivatives: str
    formula: str
    unit: float
    dtype: torch.dtype
    device: torch.device
    chunk_size: int
    probes: int | None
    seed: int

    @classmethod
    def of(
        cls, decoder, source, *, derivatives="auto", formula="gauss", unit=1.0, probes=None,
        seed=0, dtype=None, device=None,
    ):  # fmt: skip
        """The Evaluator of checked Options for these latents.

        Raises:
            InputError: an option is unknown, or the latents are of another dimension.
            DecoderError: the decoder is of another dtype, or what it returns is no (B, ...).
        """
        check_choice("derivatives", derivatives, DERIVATIVES)
        check_choice("formula", formula, FORMULAS)
        _check_probes(probes, seed, formula)
        is_number = isinstance(unit, Real) and not isinstance(unit, bool)
        if not is_number or not 0 < unit < math.inf:
            raise InputError(f"unit must be a positive length; got {unit!r}.")
        dtype = _dtype_of(decoder, source) if dtype is None else dtype
        check_choice("dtype", dtype, (torch.float32, torch.float64))
        device = torch.device(_device_of(decoder) if device is None else device)
        first = _tensor(source.read(0, 1)).to(device, dtype)
        check_decoder(decoder, first)
        d = source.shape[1]
        directions = d if probes is None else probes
        numbers = (1 + d + count(directions, 2)) * _components(decoder, first)
        chunk = max(1, min(CHUNK, ENTRIES // numbers))
        return cls(decoder, derivatives, formula, float(unit), dtype, device, chunk, probes, seed)

    def options(self):
        """What changes the numbers, beside decoder and latents."""
        return {
            "derivatives": self.derivatives,
            "formula": self.formula,
            "unit": self.unit,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": self.device.type,
            "chunk_size": self.chunk_size,
            "probes": self.probes,
            "seed": None if self.probes is None else self.seed,
        }

    @torch.no_grad()
    def values(self, rows):
        """Ψ at rows of a source, (B, ...)."""
        return self.decoder(_tensor(rows).to(self.device, self.dtype))

    def fields(self, source, start, stop):
        """The Fields of rows ``start`` to ``stop``, one of each chunk."""
        for first in range(start, stop, self.chunk_size):
            rows = source.read(first, min(stop, first + self.chunk_size))
            check_rows(rows, first)
            yield self._fields(_tensor(rows).to(self.device, self.dtype), first)

    def _geometry(self, z, first):
        """At the points from row ``first`` on, which decides what their probes are."""
        options = {"derivatives": self.derivatives, "on_degenerate": "nan"}
        if self.probes is None:
            return pullback(self.decoder, z, formula=self.formula, **options)
        number = np.random.SeedSequence((self.seed, first)).generate_state(1).item()
        generator = torch.Generator(z.device).manual_seed(number)
        estimator = Hutchinson(self.probes, generator=generator)
        return estimated_geometry(self.decoder, z, estimator, **options)

    @torch.no_grad()
    def _fields(self, z, first):
        geometry = self._geometry(z, first)
        scalar, error = scalar_and_error(geometry)
        d, unit = z.shape[1], self.unit
        tensors = (
            z,
            scalar / unit / unit,
            error / unit / unit,
            geometry.log_volume_density + d * math.log(unit),
            geometry.metric * unit * unit,
            geometry.is_degenerate,
        )
        return Fields(*(tensor.cpu().numpy() for tensor in tensors))


def scalar_and_error(geometry):
    """R and its estimated error, (B,) each: the one place where an atlas gets them from."""
    if isinstance(geometry, EstimatedGeometry):
        return geometry.estimate.value, geometry.estimate.standard_error
    return geometry.scalar, geometry.scalar_error


def _check_probes(probes, seed, formula):
    if probes is None:
        return
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise InputError(f"seed must be an integer from 0 on; got {seed!r}.")
    if isinstance(probes, bool) or not isinstance(probes, Integral) or probes < 4:
        raise InputError(
            f"probes must be None or an integer from 4 on, for a standard error; got {probes!r}."
        )
    if formula != "gauss":
        raise InputError(f"probes need formula='gauss'; got formula={formula!r}.")


def columns_of(fields):
    """The columns of an atlas, by name: arrays (B,)."""
    d = fields.z.shape[1]
    columns = {f"z_{i}": fields.z[:, i] for i in range(d)}
    columns |= {
        "scalar": fields.scalar,
        "scalar_error": fields.error,
        "log_volume": fields.log_volume,
    }
    values = _eigenvalues(fields.metric)
    kept = range(d) if d <= ALL_EIGENVALUES else (0, d - 1)
    columns |= {f"eigenvalue_{i}": values[:, i] for i in kept}
    return columns | {"degenerate": fields.degenerate}


def column_types(d, dtype):
    """The dtype of every column, by name, of latents in R^d."""
    points, numbers, metric = (np.empty((0, *(d,) * rank), dtype) for rank in (1, 0, 2))
    fields = Fields(points, numbers, numbers, numbers, metric, np.empty(0, bool))
    return {name: column.dtype for name, column in columns_of(fields).items()}


def _eigenvalues(metric):
    """Those of g, ascending, (B, d); NaN where g is not finite."""
    finite = np.isfinite(metric).all(axis=(1, 2))
    regular = np.where(finite[:, None, None], metric, 0).astype(np.float64)
    values = np.where(finite[:, None], np.linalg.eigvalsh(regular), np.nan)
    return values.astype(metric.dtype)


@contextlib.contextmanager
def one_thread():
    """Within this context torch computes on one thread: how many there are changes last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def module_of(decoder):
    """The module that a decoder, or the method that it is, belongs to; None if there is none."""
    owner = getattr(decoder, "__self__", decoder)
    return owner if isinstance(owner, torch.nn.Module) else None


def _device_of(decoder):
    return next((parameter.device for parameter in _parameters_of(decoder)), "cpu")


def _dtype_of(decoder, source):
    """That of the first floating parameter, or of the points."""
    own = (p.dtype for p in _parameters_of(decoder) if p.is_floating_point())
    return next(own, torch.float32 if source.dtype == np.float32 else torch.float64)


def _parameters_of(decoder):
    module = module_of(decoder)
    return () if module is None else module.parameters()


def _components(decoder, z):
    """D; InputError if the decoder does not take points of this dimension."""
    try:
        return ambient_dimension(decoder, z)
    except CurvatureError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"The decoder takes no points of dimension {z.shape[1]} ({reason}). Give latents (N, d)"
            " with the d of the decoder."
        ) from error


def _tensor(rows):
    """Rows of a source; those of another's making may be read-only, which torch warns of."""
    return torch.from_numpy(np.require(rows, requirements="W"))
