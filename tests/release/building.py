"""From tracked files alone: source distribution, and from that the wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("curvcore", "training", "verification")
TOOLS = ("build", "readme_renderer[md]", "twine")


def run(*command, cwd=None, timeout=1200):
    """A finished command, without what points at the clone: its environment is that of a user."""
    own = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if key not in own}
    environment |= {"MPLBACKEND": "agg", "NO_COLOR": "1"}
    command = list(map(str, command))
    try:
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"not done after {timeout} s")


def last_line(done):
    """What a command said last, which for a traceback is the error."""
    lines = [line.strip() for line in (done.stderr.strip() or done.stdout).splitlines()]
    lines = [line for line in lines if line and not line.startswith(("WARNING:", "[notice]"))]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or [f"exit code {done.returncode}"])[-1]


def environment(folder, constraints, *requirements):
    """A new virtual environment with these packages: (its folder of programs, failures)."""
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    done = run(sys.executable, "-m", "venv", folder)
    if done.returncode == 0:
        install = ("-m", "pip", "install", "--quiet", "--constraint", constraints, *requirements)
        done = run(programs / "python", *install)
    if done.returncode == 0:
        return programs, []
    return programs, [f"pip install {' '.join(map(str, requirements))}: {last_line(done)}"]


def listed(root, *options):
    """Paths that ``git ls-files`` gives, relative to the root."""
    paths = _git(root, "ls-files", "-z", *options).split("\0")
    return {path for path in paths if path and (Path(root) / path).is_file()}


def modified(root):
    """Tracked paths that are not as the last commit has them."""
    lines = _git(root, "status", "--porcelain", "--untracked-files=no").splitlines()
    return {line[3:] for line in lines}


def _git(root, *arguments):
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def copy(root, files, folder):
    """These files of the working tree in a folder, and nothing else."""
    for file in sorted(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / file, folder / file)


def build(programs, source, out):
    """Both distributions in the folder ``out``: failures."""
    done = run(programs / "python", "-m", "build", "--outdir", out, source)
    return [] if done.returncode == 0 else [f"python -m build: {last_line(done)}"]
