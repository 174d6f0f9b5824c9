"""Settings of the whole suite."""

import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parents[1]))  # for ``tests.support``

# Two workers on two cores: threads inside torch would only get in each other's way.
torch.set_num_threads(1)

settings.register_profile(
    "reproducible",
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", parent=settings.get_profile("reproducible"), derandomize=False)
settings.load_profile("reproducible")

with warnings.catch_warnings():
    # torch loads its forward-mode rules on first use, by way of its own deprecated torch.jit.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", FutureWarning)
    torch.func.jacfwd(torch.sin)(torch.ones(1))

GOLDEN = 0.6180339887498949  # its multiples, modulo 1, fall evenly on whatever a grid is made of
FAST = 0.2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of a grid, the first case and about a fifth of the others are fast; what is left is slow."""
    seen = Counter()
    for item in items:
        if item.get_closest_marker("grid"):
            function = item.nodeid.partition("[")[0]
            if seen[function] * GOLDEN % 1 > FAST:
                item.add_marker("slow")
            seen[function] += 1


def pytest_runtest_setup(item):
    """The same random numbers in every run, whatever ran before."""
    torch.manual_seed(0)
