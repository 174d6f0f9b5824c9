"""Kernels that Triton's interpreter runs are translated by its compiler as well, without a GPU."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", minversion="3.3")  # from there on a source is given like this

PROGRAM = """
from itertools import product
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from curvcore.kernels import hidden_stack

constants = dict(
    C=6, D=2, KIND="tanh", IS_FIRST=True, P=32, H=64, BM=64, BN=64, BK=32, BE=32,
)
numbers = "begin", "end", "points", "width", "out_width", "products"
kernels = hidden_stack._forward, hidden_stack._adjoint
for kernel, constants["PRECISION"] in product(kernels, ("ieee", "tf32x3")):
    names = kernel.arg_names
    kinds = {**dict.fromkeys(constants, "constexpr"), **dict.fromkeys(numbers, "i32")}
    source = ASTSource(
        kernel,
        {name: kinds.get(name, "*fp32") for name in names},
        {(names.index(name),): value for name, value in constants.items()},
    )
    compiled = compile(source, target=GPUTarget("cuda", 90, 32), options=dict(maxnreg=168))
    print(compiled.metadata.shared)
"""


def test_hidden_stack():
    """Of both precisions; three programs share the 227 KB of a multiprocessor."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    shared = [int(line) for line in run.stdout.split()]
    assert len(shared) == 4
    assert max(shared) <= 227 * 1024 / 3
