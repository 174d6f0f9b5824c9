"""What the two distributions hold, against what git tracks."""

import tarfile
import zipfile

from tests.release.building import PACKAGES, listed

SHOWN = 5


def untracked(root):
    """Modules that lie in the packages, and that no release would have."""
    files = listed(root, "--others", "--exclude-standard", "--", *PACKAGES)
    return _told("not tracked by git, so in no release", files)


def of_sdist(path, tracked):
    """All that is tracked, but hidden files and folders (.ci, .gitignore); and nothing else."""
    with tarfile.open(path) as archive:
        members = [member.name for member in archive.getmembers() if member.isfile()]
    found = {name.partition("/")[2] for name in members}
    expected = {file for file in tracked if not any(p.startswith(".") for p in file.split("/"))}
    made = {file for file in found if file in ("PKG-INFO", "setup.cfg") or ".egg-info/" in file}
    return _compared("the sdist", found - made, expected)


def of_wheel(path, tracked):
    """All that is tracked in the packages, data among it, and nothing else: no tests."""
    with zipfile.ZipFile(path) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {file for file in tracked if file.split("/")[0] in PACKAGES}
    typed = {f"{package}/py.typed" for package in PACKAGES}  # type checkers see nothing without
    return _compared("the wheel", found, expected) + _told("tracked nowhere", typed - expected)


def _compared(what, found, expected):
    lacking = _told(f"not in {what}, though tracked", expected - found)
    return lacking + _told(f"in {what}, and should not be", found - expected)


def _told(what, files):
    if not files:
        return []
    shown = ", ".join(sorted(files)[:SHOWN])
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return [f"{what}: {shown}{more}"]
