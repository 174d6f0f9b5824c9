"""What the wheel says of itself, against pyproject.toml and the files that it was made of."""

import configparser
import email
import re
import tomllib
import zipfile
from html.parser import HTMLParser

from packaging.markers import Marker
from packaging.requirements import Requirement

from tests.release.building import last_line, run
from tests.release.versions import stated_version

# For work on curvcore itself, not for those who use it.
FOR_DEVELOPERS = {"browser", "dev", "docs", "packages"}


def of_wheel(path, root):
    """Failures of name, version, Python, licence, classifiers, requirements, console script."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(path) as archive:
        folder = next(n for n in archive.namelist() if ".dist-info/" in n).partition("/")[0]
        files = set(archive.namelist())
        stated = email.message_from_bytes(archive.read(f"{folder}/METADATA"))
        scripts = _scripts(archive, f"{folder}/entry_points.txt")
    expected = {
        "Name": project["name"],
        "Version": stated_version(root),
        "Summary": project["description"],
        "Requires-Python": project["requires-python"],
        "License-Expression": project["license"],
        "License-File": "LICENSE",
        "Description-Content-Type": "text/markdown",
    }
    wrong = [f"{k}: {stated[k]}, not {v}" for k, v in expected.items() if stated[k] != v]
    if f"{folder}/licenses/LICENSE" not in files:
        wrong.append("the wheel has no licence file")
    if scripts != project["scripts"]:
        wrong.append(f"console scripts: {scripts}, not {project['scripts']}")
    if set(stated.get_all("Provides-Extra", [])) != set(project["optional-dependencies"]):
        wrong.append(f"extras: {stated.get_all('Provides-Extra')}")
    wrong += _requirements(stated.get_all("Requires-Dist", []), project)
    return wrong + _classifiers(stated.get_all("Classifier", []), project)


def _scripts(archive, name):
    parser = configparser.ConfigParser()
    if name in archive.namelist():
        parser.read_string(archive.read(name).decode())
    return dict(parser["console_scripts"]) if parser.has_section("console_scripts") else {}


def _requirements(stated, project):
    """The wheel asks for the dependencies and extras of pyproject.toml, and for nothing else."""
    expected = {Requirement(text) for text in project["dependencies"]}
    for extra, texts in project["optional-dependencies"].items():
        expected |= {_of_extra(Requirement(text), extra) for text in texts}
    found = {Requirement(text) for text in stated}
    wrong = [f"Requires-Dist lacks {text}" for text in sorted(map(str, expected - found))]
    beside = sorted(map(str, found - expected))
    return wrong + [f"Requires-Dist has {text}, pyproject.toml has not" for text in beside]


def _of_extra(requirement, extra):
    own = f"({requirement.marker}) and " if requirement.marker else ""
    requirement.marker = Marker(f'{own}extra == "{extra}"')
    return requirement


def _classifiers(stated, project):
    """The lowest Python of the classifiers is the one that is required."""
    pythons = re.findall(r":: Python :: 3\.(\d+)", "\n".join(stated))
    lowest = f">=3.{min(map(int, pythons), default='none')}"
    if lowest == project["requires-python"] and set(stated) == set(project["classifiers"]):
        return []
    return [f"classifiers begin with Python {lowest}, pyproject.toml {project['requires-python']}"]


def extras_named(root):
    """Failures of extras that neither README nor a page of docs/ names, as ``[extra]``."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    groups = re.findall(r"(?:curvcore|\.)\[([\w,]+)\]", text)
    named = {name for group in groups for name in group.split(",")}
    missing = sorted(set(project["optional-dependencies"]) - named - FOR_DEVELOPERS)
    return [f"extras that README and docs/ do not name: {', '.join(missing)}"] if missing else []


def description(programs, wheel, sdist, scratch):
    """Failures of the long description: that it renders, and that its links lead somewhere."""
    done = run(programs / "python", "-m", "twine", "check", "--strict", wheel, sdist)
    if done.returncode:
        return [f"twine check: {last_line(done)}"]
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        page = scratch / "description.md"
        page.write_text(email.message_from_bytes(archive.read(name)).get_payload())
    done = run(programs / "python", "-m", "readme_renderer", page)
    if done.returncode:
        return [f"readme_renderer: {last_line(done)}"]
    links = _Links()
    links.feed(done.stdout)
    dead = ", ".join(links.relative)
    return [f"links that an index page cannot follow: {dead}"] if dead else []


class _Links(HTMLParser):
    """Targets that name no address, but those of the headings that the renderer makes."""

    def __init__(self):
        super().__init__()
        self.relative = []

    def handle_starttag(self, tag, attributes):
        targets = [value or "" for key, value in attributes if key in ("href", "src")]
        own = ("#user-content-", "mailto:")
        self.relative += [t for t in targets if "://" not in t and not t.startswith(own)]
