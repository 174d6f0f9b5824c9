"""The wheel in an environment of its own, with extras and without, used from an empty folder."""

import re
import shutil

from tests.release.building import PACKAGES, last_line, run
from tests.support import snippets

EXTRAS = "verification,training,plots,geodesics"  # what the commands and README's blocks need
OTHER_EXTRAS = "data,cells,atlas,anndata,browser"
FIT = (
    "fit", "--config", "swiss_roll_r2", "--run", "runs/roll", "--data.source.init_args.n", "300",
    "--data.batch_size", "64", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu",
    "--trainer.enable_progress_bar", "false",
)  # fmt: skip
COMMANDS = {
    "curvcore --version": ("curvcore", "--version"),
    "curvcore check": ("curvcore", "check", "--only", "torus", "--quick"),
    "verification.check": ("python", "-m", "verification.check", "--only", "torus", "--quick"),
    "training --help": ("python", "-m", "training", "--help"),
    "training fit": ("python", "-m", "training", *FIT),
    "README's blocks": ("python", "snippets.py", "README.md"),
}


def prepare(root, folder):
    """An empty folder but for README and what runs its blocks."""
    folder.mkdir()
    shutil.copy2(root / "README.md", folder)
    shutil.copy2(root / "tests" / "support" / "snippets.py", folder)


def where(programs, folder, packages=PACKAGES):
    """The packages come from the environment."""
    code = "\n".join(f"import {package}\nprint({package}.__file__)" for package in packages)
    done = run(programs / "python", "-c", code, cwd=folder)
    if done.returncode:
        return [f"import: {last_line(done)}"]
    outside = [path for path in done.stdout.split() if not path.startswith(str(programs.parent))]
    return [f"imported from elsewhere: {' '.join(outside)}"] if outside else []


def first_block(programs, folder):
    """README's first block as it stands there: it needs no extra, and no name from elsewhere."""
    (folder / "first.py").write_text(snippets.blocks(folder / "README.md")[0].code, "utf-8")
    done = run(programs / "python", "first.py", cwd=folder)
    return [f"README's first block: {last_line(done)}"] if done.returncode else []


def commands(programs, folder, version):
    """(name, failures) of each command, one after the other."""
    for name, (program, *arguments) in COMMANDS.items():
        done = run(programs / program, *arguments, cwd=folder)
        failures = [f"{name}: {last_line(done)}"] if done.returncode else []
        if name == "curvcore --version" and version not in re.split(r"\s", done.stdout):
            failures = [f"{name} says {done.stdout.strip()!r}, not {version}"]
        yield name, failures


def other_extras(programs, wheel, constraints):
    """That the extras which are not installed have versions that go together."""
    install = ("-m", "pip", "install", "--dry-run", "--quiet", "--constraint", constraints)
    done = run(programs / "python", *install, f"{wheel}[{OTHER_EXTRAS}]")
    return [f"extras {OTHER_EXTRAS}: {last_line(done)}"] if done.returncode else []
