"""What a run measures, and in which order: by row and by route."""

from dataclasses import dataclass

from verification.benchmark import routes
from verification.benchmark.timing import is_cuda
from verification.decoders import UsageError

SIZES = (
    routes.Size(2, 64, 3, 3, 1024),
    routes.Size(2, 128, 3, 784, 1024),
    routes.Size(2, 512, 3, 784, 512),
    routes.Size(8, 128, 3, 784, 128),
    routes.Size(2, 128, 3, 12288, 1024),
)
CUDA_SIZES = (
    routes.Size(2, 128, 3, 784, 1024),
    routes.Size(2, 64, 3, 3, 65536),
    routes.Size(2, 128, 3, 784, 65536),
    routes.Size(2, 512, 3, 784, 32768),
    routes.Size(8, 128, 3, 784, 4096),
    routes.Size(16, 256, 3, 784, 1024),
    routes.Size(2, 128, 3, 12288, 16384),
)


@dataclass(frozen=True)
class Stage:
    """Routes that are measured together on one size."""

    size: routes.Size
    names: tuple


def sizes(quick, row, size, device):
    """The sizes that ``--row`` and ``--size`` ask for, or the first two, or all of this device.

    Raises:
        UsageError: there is no such row, or a size makes no sense.
    """
    rows = CUDA_SIZES if is_cuda(device) else SIZES
    if row and max(row) > len(rows):
        raise UsageError(f"--row {max(row)}: there are {len(rows)} rows on {device}.")
    chosen = [rows[number - 1] for number in row or ()] + [_own_size(text) for text in size or ()]
    return chosen or list(rows[:2] if quick else rows)


def _own_size(text):
    try:
        numbers = [int(part) for part in text.split(",")]
        own = routes.Size(*numbers)
    except (ValueError, TypeError):
        raise UsageError(
            f"--size {text!r}: five integers d,width,depth,D,batch such as 2,64,3,784,1024."
        ) from None
    if min(numbers) < 1 or own.d < 2 or min(own.width, own.D) < own.d:
        raise UsageError(f"--size {text!r}: needs 2 <= d <= width, D, and all at least 1.")
    return own


def names(route, peers, device):
    """The names of the routes, in the order of :data:`routes.NAMES`.

    Raises:
        UsageError: there is no such route, or its software is not installed.
    """
    asked = set(route or ())
    unknown = asked - set(routes.NAMES)
    if unknown:
        raise UsageError(f"--route {unknown.pop()!r}: there are {', '.join(routes.NAMES)}.")
    installed = routes.installed_peers()
    if peers and routes.PEER not in installed:
        raise UsageError("--peers needs JAX: pip install jax")
    absent = asked & set(routes.PEERS) - set(installed)
    if absent:
        name = absent.pop()
        raise UsageError(f"--route {name!r} needs {routes.PEERS[name]}, which is not installed.")
    usual = routes.ON_CUDA if is_cuda(device) else routes.ELSEWHERE
    wanted = (asked or set(usual)) | (set(installed) if peers else set())
    return tuple(name for name in routes.NAMES if name in wanted)


def stages(sizes, names, device):
    """The Stages in their order: (what is quickly there, what has to be compiled for every size).

    On CUDA, where time may be short, all sizes come first without the routes that take long to
    compile; elsewhere all routes of a size are measured together.
    """
    if not is_cuda(device):
        return [Stage(size, names) for size in sizes], []
    slow = tuple(name for name in names if name in routes.SLOW_TO_COMPILE)
    quick = tuple(name for name in names if name not in slow)
    return tuple([Stage(size, chosen) for size in sizes if chosen] for chosen in (quick, slow))
