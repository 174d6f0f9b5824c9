"""What a call asks of the device: launches, waits, and how long the device was at work.

On CUDA the profiler tells; elsewhere torch's operations are counted, each of which would be a
launch or more on a GPU.
"""

from dataclasses import dataclass

import torch
from torch.profiler import DeviceType, ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode

from verification.benchmark.timing import is_cuda

_CALL = "curvcore_benchmark_call"
# Operations that end in a number, or a shape, that the host needs.
_READS = (
    "aten::_local_scalar_dense",
    "aten::is_nonzero",
    "aten::equal",
    "aten::nonzero",
    "aten::masked_select",
)
# Parts of the names that the CUDA runtime and driver have for launching.
_LAUNCHES = ("LaunchKernel", "GraphLaunch", "Memset", "Memcpy")


@dataclass(frozen=True)
class Counts:
    """Of one call.

    Attributes:
        launches: what the host sends: kernels, copies, graphs; without CUDA, torch's operations.
        kernels: kernels that ran, those of a graph one by one; None without CUDA.
        synchronisations: how often the host waits.
        busy: seconds that the kernels took together; None without CUDA.
    """

    launches: int
    kernels: int | None
    synchronisations: int
    busy: float | None


def count(task, device):
    """The Counts of ``task()``, which has warmed up; None where nothing can be seen.

    Of two calls the one with fewer launches: now and then curvcore compares its derivatives again.
    """
    found = [_count_once(task, device) for _ in range(2)]
    return None if None in found else min(found, key=lambda counts: counts.launches)


def _count_once(task, device):
    if is_cuda(device):
        return _by_profiler(task, device)
    with Operations() as seen:
        task()
    return Counts(seen.launches, None, seen.reads, None)


class Operations(TorchDispatchMode):
    """Counts operations but views and empty tensors, which launch nothing, and reads."""

    def __init__(self):
        super().__init__()
        self.launches = self.reads = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name()
        self.launches += not (function.is_view or "empty" in name or "unsafe_view" in name)
        self.reads += name.split(".")[0] in _READS
        return function(*args, **kwargs or {})


def _by_profiler(task, device):
    torch.cuda.synchronize(device)
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with profile(activities=activities, acc_events=True) as profiler:
        with record_function(_CALL):
            task()
        torch.cuda.synchronize(device)
    found = profiler.profiler.kineto_results.events()
    return counts_of(
        [
            (e.name(), e.device_type() == DeviceType.CUDA, e.start_ns(), e.duration_ns())
            for e in found
        ]
    )


def counts_of(events):
    """The Counts of (name, on the device or not, start, duration in ns), or None without kernels.

    Of the host those count that begin while the call lasts: the profiler's own waiting comes after.
    On the device all do but copies, fills, and the shadows of what the host has marked by name.
    """
    marks = {event[0] for event in events if not event[1]}
    kernels = [e for e in events if e[1] and e[0] not in marks and not e[0].startswith("Mem")]
    calls = [event for event in events if event[0] == _CALL and not event[1]]
    if not calls or not kernels:
        return None
    _, _, start, duration = calls[0]
    asked = [
        name
        for name, on_device, begin, _ in events
        if not on_device and start <= begin <= start + duration and name.startswith("cu")
    ]
    return Counts(
        launches=sum(any(part in name for part in _LAUNCHES) for name in asked),
        kernels=len(kernels),
        synchronisations=sum("Synchronize" in name for name in asked),
        busy=sum(event[3] for event in kernels) / 1e9,
    )
