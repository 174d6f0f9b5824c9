"""``python -m verification.gpu``: parts that pass, fail, hang or cannot run, and what it says."""

import json
import os
import time

import pytest

from verification import gpu


def part(code, name="part", modules=(), seconds=60, **options):
    """A part that is a line of Python: of the module ``timeit``, which runs its statement once."""
    arguments = ("timeit", "-n", "1", "-r", "1", code)
    return gpu.Part(name, arguments, modules, seconds, **options)


def test_each_way_to_end(tmp_path):
    log = tmp_path / "log"
    assert gpu.run(part("print('so far')"), log, 60).word == gpu.PASSED
    assert log.read_text().startswith("$ python -m timeit")
    assert "so far" in log.read_text()
    failed = gpu.run(part("import os; os._exit(3)"), log, 60)
    assert (failed.word, failed.reason, failed.is_failure) == ("failed", "exit code 3", True)
    absent = gpu.run(part("print()", modules=("json", "no_such_module")), log, 60)
    assert (absent.word, absent.reason) == (gpu.LEFT_OUT, "needs no_such_module")
    assert not absent.is_failure
    late = gpu.run(part("print()"), log, 0)
    assert (late.word, late.is_failure) == (gpu.NOT_RUN, True)


@pytest.mark.slow
def test_a_part_that_hangs_is_ended_with_all_it_has_started(tmp_path):
    file = tmp_path / "pid"
    code = (
        "import pathlib, subprocess; child = subprocess.Popen(['sleep', '60']); "
        f"pathlib.Path({str(file)!r}).write_text(str(child.pid)); child.wait()"
    )
    outcome = gpu.run(part(code), tmp_path / "log", 2)
    assert (outcome.word, outcome.is_failure) == ("ended", True)
    child = int(file.read_text())
    assert _is_gone(child)


def _is_gone(pid):
    """Within a second, for which the system may keep it as a zombie."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "Z":
                return True
        time.sleep(0.01)
    return False


def test_environment_reaches_the_part(tmp_path):
    code = "import os; assert os.environ['TRITON_INTERPRET'] == 'yes'"
    chosen = part(code, environment={"TRITON_INTERPRET": "yes"})
    assert gpu.run(chosen, tmp_path / "log", 60).word == gpu.PASSED


def test_the_rest_goes_on_and_the_summary_tells_why(tmp_path, capsys):
    chosen = [
        part("raise ValueError('broken here')", "first"),
        part("print()", "second", modules=("no_such_module",)),
        part("print()", "third", without=("jax",)),
    ]
    outcomes = gpu.run_all(chosen, tmp_path, 60, "cpu, torch 0")
    assert [outcome.word for outcome in outcomes.values()] == ["failed", gpu.LEFT_OUT, gpu.PASSED]
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("# cpu, torch 0")
    assert "| first | failed: exit code 1 |" in text
    assert "| second | left out: needs no_such_module |" in text
    assert "| jax |" in text
    assert "ValueError: broken here" in text
    assert capsys.readouterr().out.count("\n") == 3


def test_nobody_takes_the_time_of_later_parts(tmp_path, monkeypatch):
    allowed = []
    monkeypatch.setattr(gpu, "run", lambda part, log, left: allowed.append(left) or gpu.Outcome(""))
    chosen = [
        part("", "absent", ("no_such_module",), 100),
        part("", "first", seconds=30),
        part("", "second", seconds=20),
    ]
    gpu.run_all(chosen, tmp_path, 50, "cpu")
    assert allowed[1:] == pytest.approx([30, 50], abs=1)


def test_the_summary_tells_of_targets_and_of_what_is_to_come(tmp_path):
    verdict = {
        "subject": "d=2", "direction": "forward", "measure": "ms", "bound": 0.25,
        "fused": 0.3, "best": 0.2, "best_route": "fused graph", "is_met": False,
    }  # fmt: skip
    (tmp_path / "benchmark.json").write_text(json.dumps({"targets": [verdict]}))
    text = gpu.summary([part("print()")], {}, tmp_path, "cpu")
    assert "| part | not run: yet |" in text
    assert "| d=2, forward | 0.25 ms | 0.3 | 0.2 fused graph | no |" in text


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_times_add_up_and_what_is_absent_leaves_its_time_to_the_benchmark(
    device, tmp_path, monkeypatch
):
    def total(chosen):
        return sum(part.seconds for part in chosen if not part.missing)

    chosen = gpu.parts(device, tmp_path, 300)
    assert total(chosen) == pytest.approx(300)
    find_spec = gpu.find_spec
    monkeypatch.setattr(gpu, "find_spec", lambda name: None if name == "flint" else find_spec(name))
    shorter = gpu.parts(device, tmp_path, 300)
    assert [one.missing for one in shorter if one.missing] == [["flint"]]
    assert total(shorter) == pytest.approx(300)
    assert shorter[1].seconds == pytest.approx(chosen[1].seconds + gpu.CHECK)


def test_parts_on_cuda_and_without_what_they_can_go_without(tmp_path, monkeypatch):
    find_spec = gpu.find_spec
    absent = ("jax", "matplotlib", "xdist")
    monkeypatch.setattr(gpu, "find_spec", lambda name: None if name in absent else find_spec(name))
    chosen = {one.name: one for one in gpu.parts("cuda", tmp_path, 300)}
    assert [*chosen] == ["tests", "benchmark", "step_time_cuda", "step_time_cpu", "check"]
    benchmark = chosen["benchmark"]
    assert benchmark.without == ("jax", "matplotlib")
    assert not {"--peers", "--plot", "--size"} & set(benchmark.arguments)
    assert {"--growth", "--sweep", "--time-limit"} <= set(benchmark.arguments)
    assert "tests/curvcore/test_devices.py" in chosen["tests"].arguments
    assert "-n" not in chosen["tests"].arguments


def test_the_exit_code_is_that_of_the_worst_part(tmp_path, monkeypatch):
    passes, fails = part("print()", "passes"), part("raise SystemExit(1)", "fails")
    absent = part("print()", "absent", modules=("no_such_module",))
    for chosen, expected in (
        ([passes, absent], 0),
        ([passes, fails], 1),
        ([absent], 1),
    ):
        monkeypatch.setattr(gpu, "parts", lambda *_, chosen=chosen: chosen)
        assert gpu.main(["--device", "cpu", "--out", str(tmp_path / "new" / "folder")]) == expected


def test_bad_usage_exits_with_2(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SystemExit) as error:
        gpu.main(["--out", str(file)])
    assert error.value.code == 2
