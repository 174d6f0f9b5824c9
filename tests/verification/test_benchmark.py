"""``python -m verification.benchmark``: results compared before times are shown."""

import json
import os

import pytest
import torch
from typer.testing import CliRunner

from verification.benchmark import growth, routes, timing
from verification.benchmark.command import app
from verification.benchmark.measurement import Settings
from verification.benchmark.tables import DIRECTIONS

pytestmark = pytest.mark.slow

TINY = routes.Size(2, 8, 2, 5, 6)
QUICK = ("--size", "2,8,2,5,6", "--repeats", "2", "--quick")
EAGER = ("fused", "autodiff gauss", "autodiff intrinsic", "plain intrinsic")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def only(*names):
    return [argument for name in names for argument in ("--route", name)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_eager_route_agrees_and_json_holds_the_numbers(dtype, tmp_path):
    file = tmp_path / "benchmark.json"
    outcome = run(*QUICK, *only(*EAGER), "--dtype", dtype, "--json", file)
    assert outcome.exit_code == 0, outcome.output
    assert "PASS: all" in outcome.output
    record = json.loads(file.read_text())
    assert record["dtype"] == dtype
    assert record["passed"]
    found = {(line["route"], line["direction"]) for line in record["results"]}
    assert found == {(name, direction) for name in EAGER for direction in DIRECTIONS}
    for line in record["results"]:
        assert line["min_seconds"] <= line["median_seconds"] <= line["max_seconds"]
        assert line["peak_bytes"] > 0
        assert line["share_of_arithmetic_limit"] > 0


def test_wrong_curvature_fails_and_shows_no_time(monkeypatch):
    def wrong(decoder, z):
        return 1.01 * routes.plain_scalar_curvature(decoder, z)

    monkeypatch.setitem(routes._SCALARS, routes.PLAIN, (wrong, "plain", 3))
    outcome = run(*QUICK, *only(routes.PLAIN), "--dtype", "float64")
    assert outcome.exit_code == 1
    assert "FAIL: 2 of 2" in outcome.output
    row = next(line for line in outcome.output.splitlines() if line.startswith(routes.PLAIN))
    assert "s" not in row.removeprefix(routes.PLAIN).lower()


def test_wrong_gradient_fails(monkeypatch):
    def wrong(decoder, z):
        R = routes.plain_scalar_curvature(decoder, z)
        return R.detach() + 1.01 * (R - R.detach())

    monkeypatch.setitem(routes._SCALARS, routes.PLAIN, (wrong, "plain", 3))
    outcome = run(*QUICK, *only(routes.PLAIN), "--dtype", "float64")
    assert outcome.exit_code == 1
    assert "FAIL: 1 of 2" in outcome.output


def test_a_route_that_curvcore_does_not_know_is_noted(monkeypatch):
    def unknown(decoder, z):
        return routes._curvcore(decoder, z, derivatives="no such", formula="gauss")

    monkeypatch.setitem(routes._SCALARS, "fused", (unknown, "gauss", 0))
    outcome = run(*QUICK, *only("fused", "autodiff gauss"))
    assert outcome.exit_code == 0, outcome.output
    assert "fused not available: InputError" in outcome.output


def test_growth_in_chunks_takes_less_memory():
    settings = Settings("cpu", torch.float64, 0, 1, 1.0, ("fused",))
    lines = growth.measure(settings, growth.Scale((40, 4000), 40, 10**4))
    assert all(line.passed for line in lines)
    few, _, at_once, in_chunks = lines
    assert (at_once.chunk_size, in_chunks.chunk_size) == (None, 40)
    assert at_once.peak_bytes > 10 * few.peak_bytes
    assert in_chunks.peak_bytes < 2 * few.peak_bytes


def test_chunks_give_the_same_curvature_and_gradient(monkeypatch):
    decoder, z = TINY.decoder(torch.float64, "cpu", 0)
    whole = routes.build(routes.PLAIN, TINY, decoder, z)
    monkeypatch.setattr(routes, "CHUNK_BYTES", 2 * TINY.d**3 * TINY.D * 8)
    pieces = routes.build(routes.PLAIN, TINY, decoder, z)
    assert (whole.chunk, pieces.chunk) == (6, 2)
    torch.testing.assert_close(pieces.forward(), whole.forward())
    torch.testing.assert_close(pieces.backward(), whole.backward())


def test_arithmetic_limit_takes_the_cheaper_last_layer():
    assert routes._shapes(routes.Size(2, 64, 3, 3, 10))[-1] == (50, 64, 3)
    assert routes._shapes(routes.Size(2, 64, 3, 10**4, 20))[-2:] == [(64, 10**4, 64), (100, 64, 64)]


def test_repeats_are_interleaved():
    order = []
    tasks = {name: lambda name=name: order.append(name) for name in "ABC"}
    times = timing.interleaved(tasks, "cpu", repeats=3, budget=60)
    assert "".join(order) == "ABC" * 4  # the first three are the warm-up
    assert all(len(taken.seconds) == 3 for taken in times.values())


def test_peak_memory_is_the_worst_moment():
    def task():
        for _ in range(5):
            torch.ones(1000, dtype=torch.float64)

    assert 8000 <= timing.peak_memory(task, "cpu") < 16000


@pytest.mark.parametrize(
    "arguments",
    [
        ("--row", "6"),
        ("--size", "2,8,2,5"),
        ("--size", "2,1,2,5,6"),
        ("--route", "nonsense"),
        ("--device", "nonsense"),
        ("--dtype", "float16"),
        ("--json", os.sep),
        ("--repeats", "0"),
    ],
)
def test_bad_usage_exits_with_2(arguments):
    assert run(*arguments).exit_code == 2
