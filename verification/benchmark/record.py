"""What a run of the benchmark found, written to JSON as it grows: a run may be cut off."""

import math
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

import curvcore
from verification import report
from verification.benchmark import distances, estimates, growth, images, scale, sweep, targets
from verification.benchmark.environment import describe
from verification.benchmark.measurement import Settings
from verification.benchmark.timing import is_cuda


@dataclass
class Record:
    """Lines, Growths, Sweeps; by size why routes are missing; what crashed, by where."""

    path: Path | None
    settings: Settings
    load: float | None
    lines: list = field(default_factory=list)
    grown: list = field(default_factory=list)
    scaled: list = field(default_factory=list)
    estimated: list = field(default_factory=list)
    of_images: list = field(default_factory=list)
    of_distances: list = field(default_factory=list)
    sweeps: list = field(default_factory=list)
    unavailable: dict = field(default_factory=dict)
    crashed: dict = field(default_factory=dict)

    @property
    def results(self):
        """What passed or failed."""
        scaled = self.scaled + self.estimated + self.of_images
        return self.lines + self.grown + scaled + self.of_distances

    @property
    def passed(self):
        """Whether all that was measured is right and nothing crashed."""
        return not self.crashed and all(result.passed for result in self.results)

    @property
    def verdicts(self):
        """Which targets were met: they are of GPUs, in float32."""
        if not is_cuda(self.settings.device) or self.settings.dtype != torch.float32:
            return []
        return targets.judge(self.lines, self.grown)

    def add(self, size, measured):
        """What was Measured at a size, in one of its stages."""
        self.lines += measured.lines
        self.unavailable.setdefault(str(size), {}).update(measured.unavailable)
        self.crashed |= {f"{size}, {name}": text for name, text in measured.crashed.items()}

    def write(self):
        """All so far, if a file was asked for."""
        if self.path is not None:
            report.write_json(self.path, _finite(self._as_dict()))

    @cached_property
    def _environment(self):
        return describe(self.settings.device)

    def _as_dict(self):
        settings = self.settings
        device = settings.device
        return {
            "curvcore": curvcore.__version__,
            "torch": torch.__version__,
            "python": sys.version.split()[0],
            "device": torch.cuda.get_device_name(device) if is_cuda(device) else device,
            "environment": self._environment,
            "matmul_rate": settings.matmul_rate,
            "load_at_start": self.load,
            "threads": torch.get_num_threads(),
            "dtype": str(settings.dtype).removeprefix("torch."),
            "seed": settings.seed,
            "passed": self.passed,
            "unavailable": self.unavailable,
            "crashed": self.crashed,
            "results": [line.as_dict() for line in self.lines],
            "growth": growth.as_dicts(self.grown),
            "scale": scale.as_dicts(self.scaled),
            "estimates": estimates.as_dicts(self.estimated),
            "images": images.as_dicts(self.of_images),
            "distances": distances.as_dicts(self.of_distances),
            "sweeps": sweep.as_dicts(self.sweeps),
            "targets": targets.as_dicts(self.verdicts),
        }


def _finite(value):
    """Plain data whose numbers JSON can hold: others as text."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
