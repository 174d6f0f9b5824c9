"""What `make release-check` looks at, as far as it needs no build."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.release import __main__ as release
from tests.release import contents, installed, metadata, versions

ROOT = Path(__file__).parents[1]
MODULES = {f"{package}/{name}" for package in ("curvcore", "training", "verification")
           for name in ("__init__.py", "py.typed")}  # fmt: skip
TRACKED = MODULES | {
    "training/configs/a.yaml",
    "tests/test_a.py",
    "README.md",
    ".ci/run",
    ".github/a.yml",
}


def test_version_citation_and_changelog_agree():
    assert versions.disagreement(ROOT) is None


@pytest.mark.parametrize("name", versions.PLACES)
def test_another_version_in_one_file_is_told(name, tmp_path):
    version = versions.stated_version(ROOT)
    for place in versions.PLACES:
        text = (ROOT / place).read_text(encoding="utf-8")
        (tmp_path / place).parent.mkdir(exist_ok=True)
        other = text.replace(version, "0.0.9", 1) if place == name else text
        (tmp_path / place).write_text(other, encoding="utf-8")
    assert f"{name} 0.0.9" in versions.disagreement(tmp_path)


@pytest.mark.parametrize(
    ("above", "told"),
    [
        ("", None),
        ("## Unreleased\n\n### Added\n\n", None),
        ("## Unreleased\n\n### Added\n\n- A thing.\n\n", "- A thing."),
        ("## [9.9.0] - soon\n\nWords.\n\n", "Words."),
    ],
)
def test_entries_that_no_version_has_are_told(above, told, tmp_path):
    text = f"# Changelog\n\nIn a manner.\n\n{above}## 0.2.0 - 2026-11-29\n\n- Other things.\n"
    (tmp_path / "CHANGELOG.md").write_text(text, encoding="utf-8")
    expected = [f"CHANGELOG.md, above the newest version: {told}"] if told else []
    assert versions.unreleased(tmp_path) == expected


def wheel(folder, files, stated=""):
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.writestr(file, "")
        archive.writestr("curvcore-1.dist-info/METADATA", stated)
    return path


REQUIRED = [
    "torch>=2.6", "numpy >= 1.26", 'h5py>=3.11; extra == "cells"',
    "triton>=3.2; (sys_platform == 'linux') and extra == 'cells'",
]  # fmt: skip


def of_requirements(folder, required):
    """What is told of a wheel that requires this, as far as it is of that."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    short = text[: text.index("[project.optional-dependencies]")]
    cells = """cells = ["h5py>=3.11", "triton>=3.2; sys_platform == 'linux'"]\n"""
    (folder / "pyproject.toml").write_text(
        f"{short}[project.optional-dependencies]\n{cells}", encoding="utf-8"
    )
    (folder / "curvcore").mkdir(exist_ok=True)
    (folder / "curvcore" / "_version.py").write_text('__version__ = "1"\n', encoding="utf-8")
    stated = "".join(f"Requires-Dist: {requirement}\n" for requirement in required)
    told = metadata.of_wheel(wheel(folder, (), stated), folder)
    return [line for line in told if line.startswith("Requires-Dist")]


def test_a_wheel_that_requires_what_pyproject_says_has_no_failure(tmp_path):
    assert of_requirements(tmp_path, REQUIRED) == []


def test_another_requirement_is_told(tmp_path):
    assert of_requirements(tmp_path, [*REQUIRED[1:], "torch>=2.5", "scipy"]) == [
        "Requires-Dist lacks torch>=2.6",
        "Requires-Dist has scipy, pyproject.toml has not",
        "Requires-Dist has torch>=2.5, pyproject.toml has not",
    ]
    assert of_requirements(tmp_path, [*REQUIRED[:2], "h5py>=3.11", REQUIRED[3]]) == [
        'Requires-Dist lacks h5py>=3.11; extra == "cells"',
        "Requires-Dist has h5py>=3.11, pyproject.toml has not",
    ]


def test_a_whole_wheel_has_no_failure(tmp_path):
    files = {file for file in TRACKED if file.split("/")[0] in ("curvcore", "training")}
    files |= {file for file in TRACKED if file.startswith("verification")}
    assert contents.of_wheel(wheel(tmp_path, files), TRACKED) == []


def test_what_a_wheel_lacks_or_has_too_much_is_told(tmp_path):
    path = wheel(tmp_path, (MODULES - {"curvcore/py.typed"}) | {"tests/test_a.py"})
    lacking, beside, typed = contents.of_wheel(path, TRACKED - {"curvcore/py.typed"})
    assert lacking == "not in the wheel, though tracked: training/configs/a.yaml"
    assert beside == "in the wheel, and should not be: tests/test_a.py"
    assert typed == "tracked nowhere: curvcore/py.typed"


def test_what_a_source_distribution_lacks_is_told(tmp_path):
    path = tmp_path / "a.tar.gz"
    (tmp_path / "file").touch()
    with tarfile.open(path, "w:gz") as archive:
        for file in [*TRACKED - {"README.md", ".ci/run"}, "PKG-INFO", "notes.txt"]:
            archive.add(tmp_path / "file", f"curvcore-1/{file}")
    lacking, beside = contents.of_sdist(path, TRACKED)
    assert lacking == "not in the sdist, though tracked: README.md"
    assert beside == "in the sdist, and should not be: notes.txt"


@pytest.fixture
def clone(tmp_path):
    """A repository with one commit, in which folders named runs are ignored."""
    if shutil.which("git") is None:
        pytest.skip("git, which makes the repository that is looked at, is not installed")
    files = {".gitignore": "__pycache__/\nruns/\n", "curvcore/__init__.py": "", "README.md": "a"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "a"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    return tmp_path


def test_untracked_modules_under_ignored_names_are_told(clone):
    for folder in ("runs", "__pycache__", "flows/__pycache__"):
        (clone / "curvcore" / folder).mkdir(parents=True)
        (clone / "curvcore" / folder / "a.py").touch()
    assert contents.untracked(clone) == ["not tracked by git, so in no release: curvcore/runs/a.py"]


def test_a_clone_with_changes_is_told(clone):
    (clone / "notes.txt").touch()
    assert contents.working_tree(clone) == []
    (clone / "README.md").write_text("b")
    (clone / "curvcore" / "__init__.py").unlink()
    (line,) = contents.working_tree(clone)
    assert line.endswith(": README.md, curvcore/__init__.py")


@pytest.mark.parametrize(("arguments", "first"), [([], "working tree"), (["--dirty"], "versions")])
def test_the_working_tree_is_looked_at_unless_it_may_be_dirty(
    arguments, first, clone, tmp_path, monkeypatch
):
    monkeypatch.setattr(versions, "disagreement", lambda root: None)
    name, _ = next(release._checks(clone, tmp_path, release._options(arguments)))
    assert name == first


def test_the_first_block_of_readme_runs_without_names_from_elsewhere(tmp_path):
    programs = Path(sys.executable).parent
    page = tmp_path / "README.md"
    for code, failures in [("a = 1", 0), ("decoder", 1), ("import a_package_of_an_extra", 1)]:
        page.write_text(f"```python\n{code}\n```\n```python\n1 / 0\n```\n", encoding="utf-8")
        assert len(installed.first_block(programs, tmp_path)) == failures


def test_what_is_not_there_is_told(tmp_path):
    (failure,) = installed.where(Path(sys.executable).parent, tmp_path, ["not_a_package_at_all"])
    assert "not_a_package_at_all" in failure


def test_relative_links_of_a_rendered_page_are_found():
    links = metadata._Links()
    links.feed('<a href="https://a.org"></a><a href="docs/a.md"></a><img src="b.png"><a href="#c">')
    assert links.relative == ["docs/a.md", "b.png", "#c"]


def test_readme_without_what_an_index_cannot_follow(monkeypatch):
    given = {}
    setuptools = pytest.importorskip("setuptools")
    monkeypatch.setattr(setuptools, "setup", lambda **options: given.update(options))
    code = compile((ROOT / "setup.py").read_text(encoding="utf-8"), ROOT / "setup.py", "exec")
    names = {"__file__": str(ROOT / "setup.py")}
    exec(code, names)
    text = "See [a](docs/a.md), ![b](b.png)[c](https://c.org) and `f[i](x)`\n```\nf[i](x)\n```"
    short = names["CODE_OR_LINK"].sub(names["_for_an_index"], text)
    assert short == "See a, [c](https://c.org) and `f[i](x)`\n```\nf[i](x)\n```"
    assert "](docs/" not in given["long_description"]
