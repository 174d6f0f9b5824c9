"""What ``verification.benchmark`` does on a GPU, as far as it can be tried without one."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from curvcore import kernels
from verification.benchmark import (
    counting,
    growth,
    measurement,
    routes,
    schedule,
    sweep,
    targets,
    timing,
)
from verification.benchmark.command import app
from verification.benchmark.directions import polarised
from verification.benchmark.measurement import Settings
from verification.benchmark.record import Record
from verification.decoders import UsageError

TINY = routes.Size(2, 8, 2, 5, 6)
QUICK = ("--size", "2,8,2,5,6", "--repeats", "2", "--quick", "--dtype", "float64")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# --- counting -----------------------------------------------------------------------------------


def test_operators_and_waits_are_counted_without_views():
    x = torch.ones(4, 4)

    def task():
        (x @ x).mT.reshape(2, 8)[0].sum().item()

    found = counting.count(task, "cpu")
    assert found == counting.Counts(launches=4, kernels=None, synchronisations=1, busy=None)


def test_a_call_at_which_derivatives_are_compared_again_is_not_counted():
    calls = []

    def task():
        calls.append(1)
        for _ in range(5 if len(calls) == 1 else 2):
            torch.ones(3)

    assert counting.count(task, "cpu").launches == 2


def test_launches_waits_and_kernels_of_a_trace():
    """Waiting after the call is the profiler's; the device's shadow of a mark is no kernel."""
    call = counting._CALL
    events = [
        (call, False, 100, 50),
        ("aten::mm", False, 101, 5),
        ("cudaLaunchKernel", False, 102, 1),
        ("cuLaunchKernelEx", False, 110, 1),
        ("cudaGraphLaunch", False, 120, 1),
        ("cudaMemcpyAsync", False, 125, 1),
        ("cudaStreamSynchronize", False, 126, 1),
        ("cudaDeviceSynchronize", False, 160, 1),
        ("cudaLaunchKernel", False, 90, 1),
        (call, True, 100, 90),
        ("gemm", True, 130, 7),
        ("tanh", True, 140, 3),
        ("Memcpy DtoH", True, 150, 2),
    ]
    found = counting.counts_of(events)
    assert found == counting.Counts(launches=4, kernels=2, synchronisations=1, busy=10e-9)
    assert counting.counts_of(events[:9]) is None


def test_operations_of_the_bare_products():
    z = torch.ones(TINY.batch, TINY.d)
    for backward in (False, True):
        products = routes.bare_products(TINY, z, backward=backward)
        with FlopCounterMode(display=False) as counter:
            products()
        assert routes.flop(TINY, backward=backward) == counter.get_total_flops()
    # Backward sends back two products for each, but none to the points.
    forward, first = routes.flop(TINY, backward=False), 2 * TINY.batch * TINY.d * TINY.width
    assert routes.flop(TINY, backward=True) == 3 * forward - first


# --- routes -------------------------------------------------------------------------------------


def test_eager_has_no_kernels_even_after_an_error(monkeypatch):
    served = []

    def scalar(decoder, z):
        served.append(kernels.serve(z))
        return decoder(z).sum(1)

    monkeypatch.setattr(kernels, "serve", lambda tensor: True)
    monkeypatch.setitem(routes._SCALARS, routes.EAGER, (scalar, "gauss", 0))
    route = routes.build(routes.EAGER, TINY, *TINY.decoder(torch.float32, "cpu", 0))
    route.forward()
    route.backward()
    route.decoder = None
    with pytest.raises(TypeError):
        route.forward()
    assert served == [False] * 3
    assert kernels.serve(None)


def test_a_route_is_compared_once_it_has_settled():
    calls = []
    route = SimpleNamespace(forward=lambda: calls.append(1), formula="gauss", warm_ups=2)
    reference = SimpleNamespace(error=lambda scalar, formula, dtype: (len(calls), formula))
    errors = measurement._compare(route, reference, torch.float64, ("forward",))
    assert errors == {"forward": (3, "gauss")}


def test_rows_are_gone_through_whole_and_a_million_points_in_chunks():
    for size in (*schedule.SIZES, *schedule.CUDA_SIZES):
        assert routes._chunk(size, torch.empty(0, dtype=torch.float32), 0) == size.batch
    many = routes.Size(2, 128, 3, 784, 2**20)
    assert routes._chunk(many, torch.empty(0), 0) * 5 * 784 * 4 <= 2**32 < 2**20 * 5 * 784 * 4


@pytest.mark.parametrize("d", [2, 3, 5])
def test_hessian_from_second_derivatives_along_lines(d):
    hessian = torch.randn(d, d, dtype=torch.float64)
    hessian = hessian + hessian.T
    directions, entries = polarised(d)
    along = [(v @ hessian @ v).item() for v in torch.tensor(directions, dtype=torch.float64)]
    found = [sum(factor * along[number] for number, factor in terms) for terms in entries]
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), hessian.flatten())


def test_torch_jet_by_its_documented_interface(monkeypatch):
    """jet(f, 2, (x,)) gives ((x,), ((v, 0),)) -> f(x), (∂_v f, ∂²_v f)."""
    from torch.func import jvp

    def jet(f, order, mock_args):
        def along(primals, series):
            ((v, zero),) = series
            assert (order, mock_args[0].shape, zero.count_nonzero()) == (2, v.shape, 0)
            value, (first, second) = jvp(lambda x: jvp(f, (x,), (v,)), primals, (v,))
            return value[0], (first, second)

        return along

    monkeypatch.setitem(sys.modules, "jet", SimpleNamespace(jet=jet))
    size = routes.Size(3, 8, 2, 7, 5)
    decoder, z = size.decoder(torch.float64, "cpu", 0)
    route = routes.build(routes.TORCH_JET, size, decoder, z)
    reference = routes.Reference(size, decoder, z, 5)
    for error, allowed in (
        reference.error(route.forward(), "gauss", torch.float64),
        reference.gradient_error(route.backward(), torch.float64),
    ):
        assert error <= allowed


# --- what is measured, and in which order -------------------------------------------------------


def test_all_sizes_come_before_what_is_slow_to_compile():
    names = (routes.FUSED, routes.EAGER, routes.COMPILED, routes.GRAPH, routes.PEER)
    soon, later = schedule.stages(schedule.CUDA_SIZES, names, "cuda")
    assert [stage.size for stage in soon] == [stage.size for stage in later]
    assert {stage.names for stage in soon} == {(routes.FUSED, routes.EAGER, routes.PEER)}
    assert {stage.names for stage in later} == {(routes.COMPILED, routes.GRAPH)}
    assert schedule.stages(schedule.SIZES[:1], names, "cpu") == (
        [schedule.Stage(schedule.SIZES[0], names)],
        [],
    )


def test_rows_and_routes_depend_on_the_device():
    assert schedule.sizes(False, [7], None, "cuda") == [routes.Size(2, 128, 3, 12288, 16384)]
    with pytest.raises(UsageError, match="5 rows on cpu"):
        schedule.sizes(False, [7], None, "cpu")
    assert routes.GRAPH in schedule.names(None, False, "cuda")
    assert routes.GRAPH not in schedule.names(None, False, "cpu")
    assert schedule.names([routes.GRAPH], False, "cpu") == (routes.GRAPH,)


def test_after_the_time_limit_routes_are_named_and_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(routes, "Reference", None)  # not even what they are compared with
    file = tmp_path / "benchmark.json"
    outcome = run(*QUICK, "--route", "fused", "--time-limit", 0, "--json", file, "--growth")
    assert outcome.exit_code == 0, outcome.output
    assert "fused not run: the time limit" in outcome.output
    record = json.loads(file.read_text())
    assert record["results"] == record["growth"] == []
    assert record["unavailable"] == {
        str(TINY): {"fused": measurement.NOT_RUN},
        "growth": {"fused": measurement.NOT_RUN},
    }


@pytest.mark.slow
def test_a_crash_is_recorded_and_the_rest_goes_on(monkeypatch, tmp_path):
    def crash(decoder, z):
        raise RuntimeError("illegal access")

    monkeypatch.setitem(routes._SCALARS, routes.FUSED, (crash, "gauss", 0))
    file = tmp_path / "benchmark.json"
    arguments = "--route", "fused", "--route", routes.PLAIN, "--json", file
    outcome = run(*QUICK, *arguments)
    assert outcome.exit_code == 1
    assert f"crashed at {TINY}, fused" in " ".join(outcome.output.split())
    record = json.loads(file.read_text())
    assert not record["passed"]
    assert "illegal access" in record["crashed"][f"{TINY}, fused"]
    assert {line["route"] for line in record["results"]} == {routes.PLAIN}


def test_growth_that_is_wrong_beyond_numbers_is_recorded(monkeypatch, tmp_path):
    wrong = growth.Growth(10, None, 1.0, 0, float("inf"), 1.0)
    monkeypatch.setattr(growth, "measure", lambda settings: [wrong])
    file = tmp_path / "benchmark.json"
    outcome = run(*QUICK, "--route", "fused", "--growth", "--json", file)
    assert outcome.exit_code == 1, outcome.output
    (recorded,) = json.loads(file.read_text())["growth"]
    assert (recorded["error"], recorded["passed"]) == ("inf", False)


def test_json_tells_the_work_of_a_call_and_where_it_ran(tmp_path):
    file = tmp_path / "benchmark.json"
    run(*QUICK, "--route", "fused", "--json", file)
    record = json.loads(file.read_text())
    forward, backward = record["results"]
    assert 0 < forward["counts"]["launches"] < backward["counts"]["launches"]
    assert forward["counts"]["synchronisations"] == 1
    expected = routes.flop(TINY, backward=False) / record["matmul_rate"]
    share = forward["share_of_matmul_rate"]
    assert share == pytest.approx(expected / forward["median_seconds"])
    assert record["environment"]["float32_matmul_precision"] == "highest"
    outcome = run(*QUICK, "--route", "fused", "--json", file, "--no-counts")
    assert "operators" not in outcome.output
    assert json.loads(file.read_text())["results"][0]["counts"] is None


@pytest.mark.slow
def test_sweeps_are_recorded_and_drawn(monkeypatch, tmp_path):
    for name in ("BATCHES", "DIMENSIONS", "AMBIENTS"):
        monkeypatch.setattr(sweep, name, (3, 4))
    picture, file = tmp_path / "benchmark.png", tmp_path / "benchmark.json"
    outcome = run(*QUICK, "--route", "fused", "--plot", picture, "--json", file)
    assert outcome.exit_code == 0, outcome.output
    assert picture.stat().st_size > 0
    swept = json.loads(file.read_text())["sweeps"]
    assert [one["against"] for one in swept] == ["batch", "d", "D"]
    for one in swept:
        assert [line["size"][one["against"]] for line in one["results"]] == [3, 4]


# --- targets ------------------------------------------------------------------------------------


def line(route, direction, milliseconds, *, size=targets.SMALL, limit=0.0, error=0.0):
    times = timing.Times((milliseconds / 1e3,))
    return measurement.Line(
        size, direction, route, size.batch, error, 1e-6, times, 0, 0.0, limit / 1e3, None
    )


def verdicts(*lines, grown=()):
    found = targets.judge(lines, grown)
    return {(v.direction, v.measure): (v.is_met, v.is_met_by_best, v.best_route) for v in found}


def test_targets_in_milliseconds_and_over_jax():
    found = verdicts(
        line(routes.FUSED, "forward", 0.26),
        line(routes.GRAPH, "forward", 0.20),
        line(routes.PEER, "forward", 0.45),
        line(routes.FUSED, "backward", 0.59),
    )
    assert found == {
        ("forward", targets.MS): (False, True, routes.GRAPH),
        ("forward", targets.OVER_JAX): (False, True, routes.GRAPH),
        ("backward", targets.MS): (True, True, routes.FUSED),
        ("backward", targets.OVER_JAX): (None, None, None),
    }


def test_targets_of_the_floor_by_right_results_alone():
    found = verdicts(
        line(routes.FUSED, "forward", 1.4, size=targets.WIDE, limit=1.0),
        line(routes.GRAPH, "forward", 1.2, size=targets.WIDE, limit=1.0, error=1.0),
        line(routes.FUSED, "backward", 1.49, size=targets.WIDE, limit=1.0),
    )
    assert found == {
        ("forward", targets.OF_FLOOR): (False, False, routes.FUSED),
        ("backward", targets.OF_FLOOR): (True, True, routes.FUSED),
    }


@pytest.mark.parametrize(("seconds", "met"), [(0.39, True), (0.41, False)])
def test_target_of_ten_million_points(seconds, met):
    grown = [growth.Growth(10**7, 65536, seconds, 0, 0.0, 1.0)]
    assert verdicts(grown=grown) == {("forward", "s"): (met, met, routes.FUSED)}


@pytest.mark.parametrize(
    ("device", "dtype", "judged"),
    [("cuda", torch.float32, True), ("cuda", torch.float64, False), ("cpu", torch.float32, False)],
)
def test_targets_are_of_gpus_in_float32(device, dtype, judged):
    settings = Settings(device, dtype, 0, 1, 1.0, (routes.FUSED,))
    record = Record(None, settings, None, lines=[line(routes.FUSED, "forward", 0.2)])
    assert bool(record.verdicts) is judged
