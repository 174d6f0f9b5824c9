"""What `make release-check` looks at, as far as it needs no build."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.release import contents, metadata, versions

ROOT = Path(__file__).parents[1]
MODULES = {f"{package}/{name}" for package in ("curvcore", "training", "verification")
           for name in ("__init__.py", "py.typed")}  # fmt: skip
TRACKED = MODULES | {"training/configs/a.yaml", "tests/test_a.py", "README.md", ".ci/run"}


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


def wheel(folder, files):
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in [*files, "curvcore-1.dist-info/METADATA"]:
            archive.writestr(file, "")
    return path


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
