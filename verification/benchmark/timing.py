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
    """Seconds of the repeats of one task."""

    seconds: tuple

    @property
    def median(self):
        """The median time."""
        return statistics.median(self.seconds)

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
                times[name].append(seconds(task, device))
    return {name: Times(tuple(taken)) for name, taken in times.items()}


def seconds(task, device):
    """Wall time of one run, the device's queue emptied before and after."""
    synchronize(device)
    start = time.perf_counter()
    task()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device):
    """Wait for the device."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


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


def peak_memory(task, device):
    """Bytes held at the worst moment of one run, above what was held before it.

    On CUDA the allocator's own maximum; on a CPU the running sum of torch's allocations and
    releases, as the profiler sees them. What others allocate (JAX, scratch space of BLAS) is not
    in it.
    """
    if torch.device(device).type == "cuda":
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
