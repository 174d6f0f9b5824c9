"""``python -m verification.mutants``: its list fits the code, and its verdicts are right."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verification import check
from verification.mutants import command, trial
from verification.mutants.catalogue import MUTATIONS
from verification.mutants.mutation import Mutation, StaleMutationError, mutations
from verification.mutants.trial import Outcome, SelectionError, Verdict

FILES = sorted({mutation.file for mutation in MUTATIONS})

# --- the list -----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
def test_every_mutation_applies_to_one_place_and_is_python(file):
    source = (trial.ROOT / "curvcore" / file).read_text(encoding="utf-8")
    for mutation in MUTATIONS:
        if mutation.file == file:
            assert mutation.applied(source) != source


def test_no_mutation_stands_there_twice():
    assert len({(m.file, m.fragment, m.replacement) for m in MUTATIONS}) == len(MUTATIONS)


def test_fragments_are_of_one_line():
    assert not [m for m in MUTATIONS if "\n" in m.fragment + m.replacement]


def test_every_selection_exists():
    for mutation in MUTATIONS:
        if mutation.equivalent:
            continue
        first, *sections = mutation.test.split()
        if first == "check":
            assert set(sections) <= set(check.SECTIONS), mutation
            continue
        path, *name = first.split("::")
        tests = (trial.ROOT / path).read_text(encoding="utf-8")
        assert all(f"\ndef {n.partition('[')[0]}(" in tests for n in name), mutation


def test_every_mutation_says_what_is_wrong_or_why_it_is_not():
    for mutation in MUTATIONS:
        assert mutation.why
        assert bool(mutation.test) != bool(mutation.equivalent), mutation


# --- one mutation -------------------------------------------------------------------------------

SOURCE = "def double(x):\n    return x + x\n\n\ndef unused(y):\n    return y * y\n"
RIGHT = Mutation("sums.py", "x + x", "x - x", "0", "tests/curvcore/test_sums.py")


def test_a_mutation_changes_one_line():
    assert RIGHT.applied(SOURCE) == SOURCE.replace("x + x", "x - x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fragment": "x * x"}, "0 times"),
        ({"fragment": "return"}, "2 times"),
        ({"replacement": "x +"}, "no Python"),
        ({"replacement": "x  +  x"}, "changes nothing"),
    ],
)
def test_a_mutation_that_does_not_fit_is_named(change, message):
    with pytest.raises(StaleMutationError, match=message) as caught:
        replace(RIGHT, **change).applied(SOURCE)
    assert "sums.py" in str(caught.value)


def test_rows_have_a_selection_of_their_own_or_that_of_the_file():
    rows = ("a", "b", "why"), ("c", "d", "why", "check proofs"), ("e", "f", "why", "", "argument")
    found = mutations("sums.py", "tests/curvcore/test_sums.py", *rows)
    assert [m.test for m in found] == ["tests/curvcore/test_sums.py", "check proofs", ""]
    assert [m.equivalent for m in found] == ["", "", "argument"]


# --- a trial, in a repository of one function ---------------------------------------------------

TEST = "from curvcore import sums\n\n\ndef test_double():\n    assert sums.double(2) == 4\n"
CHECK = """
import sys
from curvcore.sums import unused

def app(arguments):
    sys.exit(0 if unused(3) == 9 else 1)
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    files = {
        "curvcore/__init__.py": "from curvcore import sums\n",
        "curvcore/sums.py": SOURCE,
        "tests/curvcore/test_sums.py": TEST,
        "tests/curvcore/test_other.py": "def test_nothing():\n    pass\n",
        "verification/__init__.py": "",
        "verification/check.py": CHECK,
        "training/__init__.py": "",
        "pyproject.toml": "[tool.pytest.ini_options]\nmarkers = ['slow']\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(trial, "ROOT", tmp_path)
    return tmp_path


def test_a_mutation_is_caught_by_its_test_and_made_in_a_copy(repository):
    outcome = trial.trial(RIGHT)
    assert (outcome.verdict, outcome.by) == (Verdict.CAUGHT, RIGHT.test)
    assert "test_double" in outcome.failure
    assert (repository / "curvcore" / "sums.py").read_text() == SOURCE


@pytest.mark.slow
def test_a_wrong_guess_falls_back_on_everything(repository):
    outcome = trial.trial(replace(RIGHT, test="tests/curvcore/test_other.py"))
    assert (outcome.verdict, outcome.by) == (Verdict.CAUGHT, trial.EVERYTHING[0])
    outcome = trial.trial(replace(RIGHT, fragment="y * y", replacement="y + y"))
    assert (outcome.verdict, outcome.by) == (Verdict.CAUGHT, "check")


def test_what_nothing_notices_survives(repository):
    outcome = trial.trial(replace(RIGHT, replacement="2 * x"))
    assert outcome.verdict is Verdict.SURVIVES


def test_what_cannot_be_imported_is_not_caught(repository):
    outcome = trial.trial(replace(RIGHT, fragment="def unused(y)", replacement="def unused(y=z)"))
    assert outcome.verdict is Verdict.BROKEN
    assert "NameError" in outcome.failure


@pytest.mark.slow
def test_a_loop_without_end_is_caught(repository, monkeypatch):
    monkeypatch.setattr(trial, "LIMIT", 5)
    outcome = trial.trial(replace(RIGHT, fragment="return x + x", replacement="while x: pass"))
    assert outcome.verdict is Verdict.CAUGHT
    assert "within 5 s" in outcome.failure


def test_what_is_argued_to_be_equivalent_is_not_tried(repository):
    outcome = trial.trial(replace(RIGHT, test="", equivalent="x − x = 2x for x = 0"))
    assert outcome.verdict is Verdict.EQUIVALENT


def test_a_test_that_fails_anyway_catches_nothing(repository):
    (repository / "tests/curvcore/test_sums.py").write_text(TEST.replace("== 4", "== 5"))
    with pytest.raises(SelectionError, match="without mutation"):
        trial.control([RIGHT.test])


def test_a_selection_of_no_test_is_an_error(repository):
    for selection in ("tests/curvcore/test_none.py", RIGHT.test + "::test_none"):
        with pytest.raises(SelectionError, match="selects no test"):
            trial.trial(replace(RIGHT, test=selection))


def test_selections_are_joined():
    selections = [
        "check proofs",
        "tests/a.py",
        "check gradients",
        "tests/b.py::test_x",
        "tests/a.py",
    ]
    first, *others = trial.joined(selections, 2)
    assert first == "check gradients proofs"
    assert sorted(others) == ["tests/a.py", "tests/b.py::test_x"]


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def verdicts(monkeypatch, repository):
    """What trials give, by the replacement of a mutation."""
    found = {"x - x": Verdict.CAUGHT}
    monkeypatch.setattr(
        command, "trial", lambda mutation: Outcome(found[mutation.replacement], mutation.test)
    )
    monkeypatch.setattr(command, "ROOT", repository)
    monkeypatch.setattr(command, "control", lambda selections: None)
    monkeypatch.setattr(command, "MUTATIONS", [RIGHT])
    return found


def run(*arguments):
    return CliRunner().invoke(command.app, list(arguments))


def test_all_caught_is_a_pass(verdicts):
    outcome = run()
    assert outcome.exit_code == 0, outcome.output
    assert re.search(r"PASS: 1 caught of 1", outcome.output)


@pytest.mark.parametrize("verdict", [Verdict.SURVIVES, Verdict.BROKEN])
def test_a_survivor_is_a_failure_and_is_shown(verdicts, verdict):
    verdicts["x - x"] = verdict
    outcome = run()
    assert outcome.exit_code == 1, outcome.output
    assert f"FAIL: 1 {verdict.value}" in outcome.output
    assert "x - x" in outcome.output


def test_an_argued_survivor_is_a_pass_and_its_argument_is_shown(verdicts, monkeypatch):
    argued = replace(RIGHT, test="", equivalent="since x = 0")
    monkeypatch.setattr(command, "MUTATIONS", [argued])
    verdicts["x - x"] = Verdict.EQUIVALENT
    outcome = run()
    assert outcome.exit_code == 0, outcome.output
    assert "since x = 0" in outcome.output


def test_some_can_be_chosen(verdicts, monkeypatch):
    other = replace(RIGHT, fragment="y * y", replacement="y")
    monkeypatch.setattr(command, "MUTATIONS", [RIGHT, other])
    assert "1 caught of 1" in run("--only", "x - x").output
    outcome = run("--only", "z - z")
    assert outcome.exit_code == 2
    assert "names no mutation" in outcome.output


def test_a_stale_fragment_is_bad_usage_and_named(verdicts, monkeypatch):
    monkeypatch.setattr(command, "MUTATIONS", [replace(RIGHT, fragment="x * x")])
    outcome = run()
    assert outcome.exit_code == 2
    assert "sums.py" in outcome.output


def test_without_tests_there_is_nothing_to_run(verdicts, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "ROOT", Path(tmp_path, "elsewhere"))
    outcome = run()
    assert outcome.exit_code == 2
    assert "checkout" in outcome.output
