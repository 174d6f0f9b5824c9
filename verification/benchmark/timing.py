"""Honest times and memory: interleaved repeats, medians, spread, the allocator's peak."""

import ctypes
import math
import os
import statistics
import time
from dataclasses import dataclass

import torch

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own chatter


@dataclass(frozen=True)
class Times:
    """Seconds of the repeats of one task: whole calls, and by the events of the GPU.

    Between two CUDA events, before and after a call, lies its work and what the GPU waited for.
    """

    seconds: tuple
    gpu_seconds: tuple = ()

    @property
    def median(self):
        """The median time."""
        return statistics.median(self.seconds)

    @property
    def gpu_median(self):
        """The median time by events; None without a GPU."""
        return statistics.median(self.gpu_seconds) if self.gpu_seconds else None

    @property
    def spread(self):
        """Fastest and slowest repeat."""
        return min(self.seconds), max(self.seconds)


def interleaved(tasks, device, repeats, budget):
    """Times of every task, run in turn, A B C A B C ..., so that a slow minute slows all alike.

    Args:
        tasks: name -> function without arguments, already warmed up.
        device: torch device, waited for before and after every repeat.
        repeats: rounds; a task takes part in all of them if its time allows.
        budget: seconds for one task, which a slow task may exceed to reach two repeats.

    The first, untimed run of each task decides how many of the rounds it takes part in, evenly
    spread over them.
    """
    share = {}
    for name, task in tasks.items():
        affordable = int(budget / max(seconds(task, device), 1e-9))
        share[name] = max(min(2, repeats), min(repeats, affordable))
    times = {name: [] for name in tasks}
    for turn in range(repeats):
        for name, task in tasks.items():
            if (turn + 1) * share[name] // repeats > turn * share[name] // repeats:
                times[name].append(_measured(task, device))
    return {name: _as_times(taken) for name, taken in times.items()}


def seconds(task, device):
    """Wall time of one run, the device's queue emptied before and after."""
    return _measured(task, device)[0]


def _measured(task, device):
    """Wall time of one run, and time between events; None without a GPU."""
    synchronize(device)
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if is_cuda(device) else None
    start = time.perf_counter()
    if events:
        events[0].record()
    task()
    if events:
        events[1].record()
    synchronize(device)
    taken = time.perf_counter() - start
    return taken, (events[0].elapsed_time(events[1]) / 1e3 if events else None)


def _as_times(taken):
    by_events = tuple(between for _, between in taken if between is not None)
    return Times(tuple(whole for whole, _ in taken), by_events)


def synchronize(device):
    """Wait for the device."""
    if is_cuda(device):
        torch.cuda.synchronize(device)


def is_cuda(device):
    """Whether a device is a GPU of CUDA."""
    return torch.device(device).type == "cuda"


def matmul_rate(dtype, device, repeats=5):
    """Floating-point operations a second of one large product: 8192³ on CUDA, elsewhere 1024³."""
    size = 8192 if is_cuda(device) else 1024
    left, right = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    out = torch.empty_like(left)

    def product():
        torch.mm(left, right, out=out)

    product()
    taken = statistics.median(seconds(product, device) for _ in range(repeats))
    return 2 * size**3 / taken


def settle_allocator():
    """Let the C library keep the memory that is freed, so that all tasks find theirs at hand.

    Otherwise glibc gives it back to the system, at moments that depend on what other tasks freed
    before, and the next task pays for every page again.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if hasattr(library, "mallopt"):
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(mmap_threshold, 2**25)


def release_memory(device):
    """Give back what torch keeps of a GPU's memory: other software has an allocator of its own."""
    if is_cuda(device):
        torch.cuda.empty_cache()


def peak_memory(task, device):
    """Bytes held at the worst moment of one run, above what was held before it.

    On CUDA the allocator's own maximum; on a CPU the running sum of torch's allocations and
    releases, as the profiler sees them. What others allocate (JAX, scratch space of BLAS) is not
    in it.
    """
    if is_cuda(device):
        return _cuda_peak(task, device)
    options = {"activities": [torch.profiler.ProfilerActivity.CPU], "profile_memory": True}
    with torch.profiler.profile(**options, acc_events=True) as profiler:  # else torch 2.11 warns
        task()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = worst = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        worst = max(worst, held)
    return worst


def _cuda_peak(task, device):
    synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    task()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def geometric_mean(numbers):
    """(∏ xᵢ)^(1/n)."""
    return math.exp(statistics.fmean(map(math.log, numbers)))
