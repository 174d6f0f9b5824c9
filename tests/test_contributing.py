"""CONTRIBUTING.md: its examples apply and pass the tests that it names; its gaps are gaps."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import reduce
from pathlib import Path

import pytest
import torch
import yaml

from curvcore.providers.fused.jet_tensor import RULES
from training import functionals
from training.presets import NAMED
from verification.manifolds import catalogue

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COPIED = ("curvcore", "docs", "results", "tests", "training", "verification", "pyproject.toml")
FORMS = [
    ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml"
    for name in ("bug", "wrong_number", "feature", "question")
]
MOST = 40  # lines that an example changes

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def section(title):
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


EXAMPLES = dict(
    part.split("\n", 1) for part in section("Six examples").split("\n### ") if "```diff" in part
)
GAPS = section("Good first tasks")


def diff_of(title):
    (diff,) = blocks(EXAMPLES[title], "diff")
    return diff


def commands_of(title):
    (block,) = blocks(EXAMPLES[title], "sh")
    return block.replace("\\\n", " ").splitlines()


def apply(diff, tree, *options):
    """``git apply`` in a tree, as if it were in no other repository."""
    return subprocess.run(
        ["git", "apply", *options, "-"], cwd=tree, input=diff, text=True, capture_output=True,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(Path(tree).parent)},
    )  # fmt: skip


def run(command, tree):
    """The exit status and output of a command of the page, in that tree."""
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"], command
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=tree, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture
def tree(tmp_path):
    """A copy of the repository, without its history."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "_build", "*.png")
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy2(source, target)
    return tmp_path


def changed(diff):
    return [line for line in diff.splitlines() if re.match(r"[+-](?!\+\+|--)", line)]


def test_there_are_six_examples():
    assert len(EXAMPLES) == 6


@needs_git
@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_is_short_and_applies_to_the_tree_as_it_stands(title):
    diff = diff_of(title)
    assert 10 < len(changed(diff)) <= MOST
    done = apply(diff, ROOT, "--check")
    assert done.returncode == 0, done.stderr
    assert apply(diff, ROOT, "--check", "--reverse").returncode != 0, "the example is in the tree"


@needs_git
@pytest.mark.slow
@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_passes_its_tests_and_these_fail_without_its_code(title, tree):
    diff, commands = diff_of(title), commands_of(title)
    tests = next(command for command in commands if "pytest" in command)
    apply(diff, tree, "--include", "tests/*")
    assert run(f"{tests} -x", tree)[0] != 0, f"{tests} passes without the code"
    apply(diff, tree, "--exclude", "tests/*")
    assert apply(diff, tree, "--check", "--reverse").returncode == 0
    for command in commands:
        status, output = run(command, tree)
        assert status == 0, f"{command}\n{output}"


@needs_git
@pytest.mark.slow
def test_examples_are_linted(tree):
    """All at once: they do not get in each other's way."""
    pytest.importorskip("ruff")
    for title in EXAMPLES:
        assert apply(diff_of(title), tree).returncode == 0, title
    for command in ("python -m ruff check -q .", "python -m ruff format -q --check ."):
        status, output = run(command, tree)
        assert status == 0, output


# --- what is said to be missing ------------------------------------------------------------------


def test_gaps_among_the_rules_are_gaps():
    names = re.findall(r"`torch\.([\w.]+)`", GAPS)
    assert len(names) > 10
    functions = {name: reduce(getattr, name.split("."), torch) for name in names}
    assert not [name for name, function in functions.items() if function in RULES]


def test_manifolds_that_are_missing():
    names = {name.lower() for name in re.findall(r"(\w+)'s surface", GAPS)}
    assert len(names) > 1
    assert not [entry for entry in catalogue() if any(name in entry for name in names)]


def test_functionals_without_a_preset():
    (task,) = re.findall(r"^\| `training/presets.py` \| (.+?) \|", GAPS, re.MULTILINE)
    names = set(re.findall(r"`(\w+)`", task))
    assert names
    assert names <= set(functionals.__all__)
    assert not names & {type(make().functional).__name__ for make in NAMED.values()}


def test_there_are_eight_to_twelve_gaps_and_each_says_where_to_begin():
    begins = re.findall(r"^\| `([\w/.]+)` \| .+ \| .+ \|$", GAPS, re.MULTILINE)
    assert 8 <= len(begins) <= 12
    assert not [name for name in begins if not (ROOT / name).exists()]


def test_files_that_the_page_names_exist():
    names = re.findall(r"`([\w.]+(?:/[\w.]+)+)`", PAGE)
    names = [name for name in names if not name.startswith("..")]
    assert len(names) > 20
    assert not [name for name in names if not (ROOT / name).exists()]


# --- forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_are_what_github_reads(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert fields
    assert all(part["attributes"]["label"] for part in fields)
    assert len({part["id"] for part in fields}) == len(fields)


def test_the_form_for_a_wrong_number_asks_for_what_settles_it():
    path = ROOT / ".github" / "ISSUE_TEMPLATE" / "wrong_number.yml"
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    required = {part["id"] for part in form["body"] if part.get("validations", {}).get("required")}
    assert {"decoder", "points", "dtype", "versions", "expected", "check"} <= required
    assert "python -m verification.check --decoder" in path.read_text(encoding="utf-8")
