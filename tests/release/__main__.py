"""``python -m tests.release``: a release as its user would have it. Exit code 0 if nothing fails.

All is made in a temporary folder from the tracked files as they lie here, with fresh environments
for the tools, for the wheel with extras and for the wheel alone. ``--contents`` stops before these
two; ``--dirty`` lets tracked files be other than the last commit has them.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.release import building, contents, installed, metadata, versions

ROOT = Path(__file__).resolve().parents[2]


def main(arguments=None):
    options = _options(arguments)
    root = options.root.resolve()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="curvcore-release-") as folder:
        for name, found in _checks(root, Path(folder).resolve(), options):
            print(f"{name:<28} {'FAILED' if found else 'ok'}", flush=True)
            for line in found:
                print(f"  {line}", flush=True)
            failures += len(found)
    print(f"{failures} failures" if failures else "Nothing fails.")
    return int(failures > 0)


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument("--contents", action="store_true", help="build and look, do not install")
    parser.add_argument("--dirty", action="store_true", help="with changes that no commit has")
    parser.add_argument("--root", type=Path, default=ROOT, help="the clone; this one")
    return parser.parse_args(arguments)


def _checks(root, folder, options):
    """(name, failures) of each check; what a failure makes impossible is left out."""
    if not options.dirty:
        yield "working tree", contents.working_tree(root)
    disagreement = versions.disagreement(root)
    yield "versions", [disagreement] if disagreement else []
    yield "changelog", versions.unreleased(root)
    yield "extras are named", metadata.extras_named(root)
    yield "untracked modules", contents.untracked(root)
    tracked = building.listed(root)
    building.copy(root, tracked, folder / "source")
    constraints = folder / "source" / "constraints.txt"
    tools, failures = building.environment(folder / "tools", constraints, *building.TOOLS)
    failures = failures or building.build(tools, folder / "source", folder / "dist")
    yield "build", failures
    if failures:
        return
    (sdist,), (wheel,) = (list((folder / "dist").glob(f"*{end}")) for end in (".tar.gz", ".whl"))
    yield "contents of the sdist", contents.of_sdist(sdist, tracked)
    yield "contents of the wheel", contents.of_wheel(wheel, tracked)
    yield "metadata", metadata.of_wheel(wheel, root)
    yield "long description", metadata.description(tools, wheel, sdist, folder)
    if not options.contents:
        installed.prepare(root, folder / "empty")
        yield from _use(folder, wheel, constraints)
        yield from _use_alone(folder, wheel, constraints)


def _use(folder, wheel, constraints):
    """The wheel installed with extras, and its commands run."""
    wanted = f"{wheel}[{installed.EXTRAS}]"
    programs, failures = building.environment(folder / "installed", constraints, wanted)
    yield "install", failures
    if failures:
        return
    yield "imports", installed.where(programs, folder / "empty")
    version = wheel.name.split("-")[1]
    yield from installed.commands(programs, folder / "empty", version)
    yield "other extras", installed.other_extras(programs, wheel, constraints)


def _use_alone(folder, wheel, constraints):
    """The wheel installed without extras, and what README says needs none."""
    programs, failures = building.environment(folder / "alone", constraints, wheel)
    yield "install without extras", failures
    if failures:
        return
    yield "import without extras", installed.where(programs, folder / "empty", ["curvcore"])
    yield "README's first block", installed.first_block(programs, folder / "empty")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:  # of git: this is no clone
        sys.exit(f"Error: {' '.join(error.cmd)}: {error.stderr.strip()}")
