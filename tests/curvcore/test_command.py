"""``curvcore COMMAND``: what runs is ours, whatever else is called training or verification."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import curvcore
from curvcore.command import MODULES, main

ROOT = Path(__file__).parents[2]


def run(*arguments, folder):
    """``python -m curvcore`` in a folder, which comes first on the path."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "curvcore", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("package", ["training", "verification"])
def test_folders_of_the_same_name_do_not_hide_ours(package, tmp_path):
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    command = "evaluate" if package == "training" else "check"
    done = run(command, "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize("hiding", ["training/__init__.py", "verification.py"])
def test_help_tells_of_what_hides_ours_from_scripts(hiding, tmp_path):
    file = tmp_path / hiding
    file.parent.mkdir(exist_ok=True)
    file.touch()
    said = run("--help", folder=tmp_path).stdout
    name = hiding.partition("/")[0].removesuffix(".py")
    assert f"`import {name}` and `python -m {name}` find" in said
    assert hiding in said
    assert said.count("Note:") == 1


def test_folders_without_init_hide_nothing(tmp_path):
    (tmp_path / "training").mkdir()
    assert "Note:" not in run("--help", folder=tmp_path).stdout


def test_modules_of_the_user_are_found(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\ndef decoder():\n    return nn.Linear(2, 3)\n"
    )
    done = run("check", "--decoder", "mine:decoder", "--points", "none.npy", folder=tmp_path)
    assert done.returncode == 2
    assert "none.npy" in done.stdout + done.stderr
    assert "mine" not in done.stderr.partition("none.npy")[0]


def test_every_command_is_there():
    for module, _ in MODULES.values():
        path = ROOT / module.replace(".", "/")
        assert (path / "__main__.py").exists() or path.with_suffix(".py").exists(), module


def test_usage_and_version(capsys):
    assert main([]) == main(["--help"]) == 0
    assert main(["--version"]) == 0
    assert curvcore.__version__ in capsys.readouterr().out
    assert main(["chek"]) == 2
    assert "no command 'chek'" in capsys.readouterr().err
