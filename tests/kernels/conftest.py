"""Kernels run on CUDA, or anywhere by Triton's interpreter: ``TRITON_INTERPRET=1``."""

import pytest
import torch

from curvcore import kernels
from curvcore.providers.fused import hidden_layers

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def pytest_collection_modifyitems(items):
    """Skip them where nothing runs them."""
    here = [item for item in items if "kernels" in item.path.parts]
    if kernels.serve(torch.empty(0, device=DEVICE)):
        # The interpreter computes what is masked as well, by numpy.
        ignored = "ignore::RuntimeWarning"
        # None is replaced by torch, unless a test asks for it.
        mark = pytest.mark.filterwarnings(ignored, "error::curvcore.FallbackWarning")
    else:
        mark = pytest.mark.skip(reason="kernels need CUDA, or Triton and TRITON_INTERPRET=1")
    for item in here:
        item.add_marker(mark)


@pytest.fixture
def device():
    return DEVICE


@pytest.fixture
def launches(monkeypatch):
    """The precision of every launch of the kernel of hidden layers; every width pays."""
    from curvcore.kernels import hidden_stack

    seen = {"forward": [], "adjoint": []}

    def noted(name, launch):
        def wrapper(*args, precision, **kwargs):
            seen[name].append(precision)
            return launch(*args, precision=precision, **kwargs)

        return wrapper

    for name in seen:
        monkeypatch.setattr(hidden_stack, name, noted(name, getattr(hidden_stack, name)))
    monkeypatch.setattr(hidden_layers, "pays", lambda width: width <= hidden_stack.WIDTH)
    return seen
