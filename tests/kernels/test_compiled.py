"""Kernels that Triton's interpreter runs are translated by its compiler as well, without a GPU."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", minversion="3.3")  # from there on a source is given like this

COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

def shared(kernel, constants, numbers=("points",), **options):
    names = kernel.arg_names
    kinds = {**dict.fromkeys(constants, "constexpr"), **dict.fromkeys(numbers, "i32")}
    source = ASTSource(
        kernel,
        {name: kinds.get(name, "*fp32") for name in names},
        {(names.index(name),): value for name, value in constants.items()},
    )
    return compile(source, target=GPUTarget("cuda", 90, 32), options=options).metadata.shared
"""

HIDDEN_STACK = """
from itertools import product
from curvcore.kernels import hidden_stack

constants = dict(
    C=6, D=2, KIND="tanh", IS_FIRST=True, P=32, H=64, BM=64, BN=64, BK=32, BE=32,
)
numbers = "begin", "end", "points", "width", "out_width", "products"
kernels = hidden_stack._forward, hidden_stack._adjoint
for kernel, constants["PRECISION"] in product(kernels, ("ieee", "tf32x3")):
    print(shared(kernel, constants, numbers, maxnreg=168))
"""

PROJECTION = """
from curvcore.kernels import projection

for d, size in (3, 7), (8, 256):
    shape = projection._shape(d, size)
    warps = shape.pop("num_warps")
    for kernel in projection._forward, projection._adjoint:
        print(shared(kernel, dict(N=size, D=d, **shape), num_warps=warps))
"""

CURVATURE = """
from curvcore.kernels import curvature

for kernel in curvature._forward, curvature._adjoint:
    print(shared(kernel, dict(N=100, P=8, BLOCK=128)))
"""

CHAIN_RULE = """
from curvcore.kernels import chain_rule

constants = dict(D=3, KIND="gelu_tanh", IS_FIRST=False, HAS_BIAS=True, BLOCK=512)
for kernel in chain_rule._forward, chain_rule._adjoint:
    print(shared(kernel, constants, ("size", "width")))
"""

# Three programs of hidden layers share the 227 KB of a multiprocessor; of the others any number.
CASES = [(HIDDEN_STACK, 4, 227 / 3), (PROJECTION, 4, 4), (CURVATURE, 2, 4), (CHAIN_RULE, 2, 4)]


@pytest.mark.grid
@pytest.mark.parametrize(
    ("program", "kernels", "kilobytes"),
    CASES,
    ids=["hidden_stack", "projection", "curvature", "chain_rule"],
)
def test_kernels_compile(program, kernels, kilobytes):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE + program]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    shared = [int(line) for line in run.stdout.split()]
    assert len(shared) == kernels
    assert max(shared) <= kilobytes * 1024
