"""``python -m verification.referee``: what is right, the protocol, scores, the page."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import curvcore
from verification.referee import command, environments, page, score, shooting, trial, truth, worker
from verification.referee.cases import CASES, QUANTITIES
from verification.referee.environments import NotInstalledError
from verification.referee.peers import ADAPTERS, LIBRARIES, Library

BY_NAME = {case.name: case for case in CASES}
CURVCORE = LIBRARIES[0]
FEW = ("metric", "riemann", "scalar", "gradient_z")


@pytest.fixture(scope="module")
def torus():
    """The Truth of the torus without geodesics."""
    return score.truth_of(replace(BY_NAME["torus"], quantities=FEW, dtypes=("float64",), reach=0.0))


# --- what is right --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [case.name for case in CASES if case.manifold])
def test_closed_forms_agree_with_differences_of_values(name):
    case = replace(BY_NAME[name], quantities=())
    values, _ = truth.known(case)
    scalar = case.closed_forms().closed_form(case.closed_forms().scalar, _tensor(case.points))
    assert np.allclose(values["scalar"], scalar, rtol=1e-13)


def test_a_wrong_closed_form_is_noticed():
    case = replace(BY_NAME["torus"], quantities=(), parameters=(("R", 2.0), ("r", 0.75 + 1e-9)))
    with pytest.raises(truth.TruthError, match="off its closed form"):
        truth.known(case)


def test_certificates_agree_and_a_wrong_decoder_is_noticed(monkeypatch):
    case = replace(BY_NAME["tanh"], quantities=(), reach=0.0)
    case.__dict__["points"] = case.points[:2]
    truth.known(case)
    monkeypatch.setattr(truth.Balls, "tanh", truth.Balls.sin)
    with pytest.raises(truth.TruthError, match="not what certificates enclose"):
        truth.known(case)


def test_geodesics_are_great_circles():
    """From the equator, beyond the antipode: cos s p + sin s v/s, s = |v|."""
    polar, turn = 0.75, 4.0
    found = shooting.end(BY_NAME["sphere"], np.array([[np.pi / 2, 0.0]]), np.array([[polar, turn]]))
    s = np.hypot(polar, turn)
    x, y, z = -np.sin(s) * polar / s, np.cos(s), np.sin(s) * turn / s
    assert np.abs(found - [[np.arccos(x), np.arctan2(z, y) + 2 * np.pi]]).max() < 1e-13


def _tensor(array):
    import torch

    return torch.tensor(array)


# --- adapters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(ADAPTERS.glob("*.py")), ids=lambda path: path.stem)
def test_adapters_are_short_and_call_public_names(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    imports = re.findall(r"^\s*(?:from|import) (\S+)", text, re.MULTILINE)
    assert not {name.partition(".")[0] for name in imports} & {"verification", "training"}
    if path.stem != "curvcore":
        assert "curvcore" not in {name.partition(".")[0] for name in imports}
    assert not re.search(r"\w\._[a-z]", text.replace("self._", ""))


def test_every_adapter_has_an_entry_and_every_entry_an_adapter():
    stems = {path.stem for path in ADAPTERS.glob("*.py")} - {"__init__"}
    assert {library.adapter for library in LIBRARIES} == stems
    assert len({library.name for library in LIBRARIES}) == len(LIBRARIES)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_requirements_are_pinned_and_absences_name_quantities(library):
    assert all(
        "==" in wanted or re.search("@[0-9a-f]{40}$", wanted) for wanted in library.requirements
    )
    named = [name for names in library.absent for name in names.split()]
    assert set(named) <= set(QUANTITIES)
    assert len(named) == len(set(named))


# --- the protocol ---------------------------------------------------------------------------------


def test_curvcore_by_the_protocol(torus, tmp_path, monkeypatch):
    monkeypatch.setattr(trial.cases, "IN_BATCHES", ("scalar",))
    record = trial.trial(CURVCORE, [torus], tmp_path)
    assert [r["quantity"] for r in record["results"]] == list(FEW)
    assert {r["verdict"] for r in record["results"]} == {score.RIGHT}
    assert all(r["error"] < 1e-13 for r in record["results"])
    assert record["results"][2]["seconds"].keys() == {"8", "64"}
    json.dumps(record, allow_nan=False)


ADAPTER = """
import numpy as np

class Peer:
    def __init__(self, function, weights, dtype, shape):
        {first}

    def array(self, values):
        return values

    def numpy(self, values):
        return values

    def metric(self, z):
        return np.full((len(z), 2, 2), np.nan)

    def scalar(self, z):
        raise ValueError("no curvature today")

    def riemann(self, z):
        return np.zeros((2, 2))
"""


def peer_with(tmp_path, first="pass"):
    path = tmp_path / "adapter.py"
    path.write_text(ADAPTER.format(first=first))

    class Own(Library):
        path = tmp_path / "adapter.py"

    return Own("own", "own", "numpy", "1", absent={"gradient_z": "not our business"})


def test_what_goes_wrong_is_told(torus, tmp_path):
    record = trial.trial(peer_with(tmp_path), [torus], tmp_path)
    found = {r["quantity"]: r for r in record["results"]}
    assert found["metric"]["verdict"] == score.FAULT
    assert found["metric"]["error"] == "nan"
    assert found["scalar"]["got"] == "ValueError: no curvature today"
    assert found["riemann"]["got"] == "shape (2, 2) for (8, 2, 2, 2, 2)"
    assert (found["gradient_z"]["verdict"], found["gradient_z"]["why"]) == (
        score.ABSENT,
        "not our business",
    )
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(
    ("first", "words"),
    [("import nothing_of_the_kind", "No module named"), ("exit(3)", "exit code 3")],
)
def test_a_peer_that_breaks_is_a_fault_of_every_quantity(torus, tmp_path, first, words):
    record = trial.trial(peer_with(tmp_path, first), [torus], tmp_path)
    assert len(record["results"]) == len(FEW)
    assert all(words in r["got"] for r in record["results"])


def test_a_call_has_its_time():
    with pytest.raises(worker.LateError, match="within 1 s"):
        worker.limited(lambda: [None for _ in iter(int, 1)], [], 1)


# --- scores ---------------------------------------------------------------------------------------


def answer(value):
    return {"value": value.tolist(), "dtype": "float64", "seconds": {"8": 0.5, "64": "late"}}


def scored(torus, value, quantity="riemann", dtype="float64", library=CURVCORE):
    return score.scored(library, torus, dtype, quantity, answer(value))


def test_one_wrong_number_is_a_fault_and_is_shown(torus):
    value = torus.values["riemann"].copy()
    assert scored(torus, value)["verdict"] == score.RIGHT
    value[3, 0, 1, 0, 1] *= 1.001
    result = scored(torus, value)
    assert result["verdict"] == score.FAULT
    assert result["index"] == [3, 0, 1, 0, 1]
    assert result["got"] == pytest.approx(1.001 * result["right"], rel=1e-3)


def test_half_of_the_digits_of_the_dtype_are_asked(torus):
    value = torus.values["scalar"] * (1 + 1e-6)
    assert scored(torus, value, "scalar", "float32")["verdict"] == score.RIGHT
    assert scored(torus, value, "scalar", "float64")["verdict"] == score.FAULT
    single = replace(CURVCORE, precision="float32")
    assert scored(torus, value, "scalar", "float64", single)["verdict"] == score.RIGHT


def test_the_error_is_that_of_the_worst_point(torus):
    value = torus.values["scalar"].copy()
    value[5] += 2 * torus.units["scalar"][5]
    assert scored(torus, value, "scalar")["error"] == pytest.approx(2, rel=1e-3)


# --- environments ---------------------------------------------------------------------------------


def test_a_failing_install_is_recorded(torus, tmp_path, monkeypatch):
    calls = []

    def run(command):
        calls.append([str(part) for part in command])
        if "pip" in calls[-1]:
            raise NotInstalledError("ERROR: No matching distribution found for absent==1")

    monkeypatch.setattr(environments, "_run", run)
    library = Library("absent", "curvcore", "absent", "1", ("absent==1",))
    record = trial.trial(library, [torus], tmp_path)
    assert record["not_run"] == "ERROR: No matching distribution found for absent==1"
    assert "results" not in record
    assert calls[1][-1] == "absent==1"


def test_an_environment_is_kept_until_its_requirements_change(tmp_path, monkeypatch):
    made = []

    def run(command):
        if "venv" in command:
            made.append(command[-1])
            command[-1].mkdir()

    monkeypatch.setattr(environments, "_run", run)
    library = Library("some", "curvcore", "some", "1", ("some==1",))
    first = environments.interpreter(library, tmp_path)
    assert environments.interpreter(library, tmp_path) == first
    assert environments.interpreter(replace(library, requirements=("some==2",)), tmp_path) != first
    assert len(made) == 2


@pytest.mark.parametrize("shim", [None, "false"])
def test_a_python_that_there_is_not(tmp_path, monkeypatch, shim):
    monkeypatch.setattr(environments.shutil, "which", lambda name: shim)
    library = replace(LIBRARIES[1], python=(sys.version_info[0], sys.version_info[1] + 1))
    with pytest.raises(NotInstalledError, match="or newer"):
        environments.interpreter(library, tmp_path)


def test_the_reason_is_the_last_error_of_pip_or_git():
    output = "ERROR: Could not find a version\nERROR: No matching distribution in /tmp/a\nhint: y\n"
    assert environments.reason(output) == "ERROR: No matching distribution in …"
    output = "  fatal: unable to access 'https://x.y/z': no host\nerror: subprocess-exited\n"
    assert environments.reason(output) == "fatal: unable to access 'https://x.y/z': no host"


# --- the page -------------------------------------------------------------------------------------


RECORDS = [
    {
        "library": "curvcore", "release": "1", "settings": "defaults", "versions": {"torch": "2"},
        "never_run": False,
        "results": [
            {"case": "torus", "dtype": "float64", "quantity": "scalar", "verdict": "right",
             "error": 2e-16, "seconds": {"8": 0.001, "64": 0.002}},
        ],
    },
    {
        "library": "other", "release": "3", "settings": "best", "versions": {}, "never_run": False,
        "results": [
            {"case": "torus", "dtype": "float64", "quantity": "scalar", "verdict": "fault",
             "error": 1.0, "got": 0.0, "right": 0.88, "index": [4],
             "seconds": {"8": 0.001, "64": 0.004}},
            {"case": "torus", "dtype": "float64", "quantity": "ricci", "verdict": "not offered",
             "why": "no <tensors>"},
        ],
    },
    {"library": "third", "release": "2", "settings": "", "not_run": "no wheel", "never_run": True},
]  # fmt: skip


def test_the_page(tmp_path):
    made = page.blocks(RECORDS)
    text = page.markdown(made)
    assert "| torus, float64 | 2e-16<br>1 / 2 ms | **fault** 1e+00<br>1 / 4 ms |" in text
    assert "not run: no wheel. The adapter was written from its sources" in text
    assert "| other | scalar of torus, float64 | 0.0 at [4] | 0.88 |" in text
    assert "| other | 3 | 0 of 1 | 1 | × 2 |" in text
    assert "| other | ricci | no <tensors> |" in text
    hypertext = page.hypertext(made)
    assert "no &lt;tensors&gt;" in hypertext
    assert '<td class="fault">fault 1e+00<br>1 / 4 ms</td>' in hypertext
    assert "http" not in hypertext


def test_the_command_makes_the_page_anew(tmp_path):
    (tmp_path / "other-3.json").write_text(json.dumps(RECORDS[1]))
    result = run("--page", "--out", str(tmp_path), "--docs", str(tmp_path))
    assert result.exit_code == 0, result.output
    text = (tmp_path / "referee.md").read_text("utf-8")
    assert "no <tensors>" in text
    assert f"| curvcore | {curvcore.__version__} |  |  |  | not run: not asked yet |" in text


def run(*arguments):
    return CliRunner().invoke(command.app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "mathematica"), "there are curvcore"),
        (("--out", "nowhere"), "no folder nowhere"),
    ],
)
def test_bad_usage(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_fault_of_curvcore_is_exit_code_1(torus, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "truth_of", lambda case: torus)
    monkeypatch.setattr(command, "trial", lambda *arguments: {**RECORDS[1], "library": "curvcore"})
    result = run("--only", "curvcore", "--out", str(tmp_path), "--docs", str(tmp_path))
    assert result.exit_code == 1
    assert "scalar of torus, float64: got 0.0, right is 0.88" in result.output
    assert json.loads(Path(tmp_path, "curvcore-3.json").read_text())["release"] == "3"


def test_the_committed_page_is_that_of_the_committed_records():
    made = page.blocks(command.records_in(command.ROOT / "results" / "referee"))
    assert (command.ROOT / "docs" / "referee.md").read_text("utf-8") == page.markdown(made)
    assert (command.ROOT / "docs" / "referee.html").read_text("utf-8") == page.hypertext(made)
    assert all(path.stat().st_size < 60_000 for path in _committed())


def _committed():
    return sorted((command.ROOT / "results" / "referee").glob("*.json"))
