"""Several threads, and processes made by fork: what one computes, all do."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import curvcore
import curvcore.modes
from tests.support.tolerance import assert_close

THREADS, CALLS = 4, 24


def decoder():
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 6))
    return network.double()


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False], ids=["one decoder", "a decoder each"])
@pytest.mark.parametrize("derivatives", ["fused", "autodiff"])
def test_threads_compute_what_one_does(derivatives, shared):
    """torch's forward mode, which autodiff and the first fused jet use, is not safe in threads."""
    decoders = [decoder()] * CALLS if shared else [decoder() for _ in range(CALLS)]
    z = torch.randn(3, 2, dtype=torch.float64)

    def scalar(network):
        return curvcore.scalar_curvature(network, z, derivatives=derivatives)

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(scalar, decoders))
    for network, one in zip(decoders, found, strict=True):
        expected = scalar(network)
        assert_close(one, expected, scale=1e3 * (1 + expected.detach().abs()))


def test_warnings_and_modes_stay_in_their_thread():
    """A thread without gradient beside one with it; both see their own."""
    network, z = decoder(), torch.randn(3, 2, dtype=torch.float64)
    start = threading.Barrier(2)

    def scalar(with_gradient):
        with torch.set_grad_enabled(with_gradient):
            start.wait()
            return [curvcore.scalar_curvature(network, z).requires_grad for _ in range(20)]

    with ThreadPoolExecutor(2) as pool:
        with_gradient, without = pool.map(scalar, [True, False])
    assert all(with_gradient)
    assert not any(without)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_computes_the_same():
    """Also while another thread is in forward mode: its lock is not inherited."""
    network, z = decoder(), torch.randn(3, 2, dtype=torch.float64)
    expected = curvcore.scalar_curvature(network, z)
    with curvcore.modes.one_thread_of_forward_mode():
        child = os.fork()
        if child == 0:  # pytest must not go on here
            different = True
            try:
                found = [
                    curvcore.scalar_curvature(network, z, derivatives=name)
                    for name in ("fused", "autodiff")
                ]
                different = any((one - expected).abs().max() > 1e-9 for one in found)
            finally:
                os._exit(int(different))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
