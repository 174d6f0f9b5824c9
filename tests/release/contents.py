"""What the two distributions hold, against what git tracks."""

import tarfile
import zipfile

from tests.release.building import PACKAGES, listed, modified

SHOWN = 5


def working_tree(root):
    """Changes that no commit has, and that the release would."""
    return _told("modified since the last commit (--dirty does not look)", modified(root))


def untracked(root):
    """Files that lie in the packages, ignored ones too, and that no release would have."""
    files = listed(root, "--others", "--", *PACKAGES)
    files = {file for file in files if "__pycache__" not in file.split("/")}
    return _told("not tracked by git, so in no release", files)


def of_sdist(path, tracked):
    """All that is tracked, of hidden files and folders .github alone; and nothing else."""
    with tarfile.open(path) as archive:
        members = [member.name for member in archive.getmembers() if member.isfile()]
    found = {name.partition("/")[2] for name in members}
    expected = {file for file in tracked if not file.startswith(".") or ".github/" in file}
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
