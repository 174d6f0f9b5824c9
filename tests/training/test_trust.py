"""Run folders that someone else made: no command runs code that stands in them."""

import os
import pickle
import shutil
import sys

import numpy as np
import pytest
import torch
import yaml

from tests.support.small_runs import of_file, one_line
from training import runs
from training.__main__ import main
from training.errors import TrainingError
from training.trust import check_trusted

pytestmark = pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning")
COMMANDS = ("evaluate", "encode", "plot", "report", "resume")


def command(name, run, folder):
    """The exit code of a command that reads a run."""
    points = folder / "points.npy"
    np.save(points, np.zeros((3, 5)))
    config = str(run / "config.yaml")
    return main(
        {
            "evaluate": ["evaluate", str(run)],
            "encode": ["encode", str(run), "--data", str(points), "--out", str(folder / "z.npz")],
            "plot": ["plot", str(run), "--out", str(folder / "plots")],
            "report": ["report", str(run), "--out", str(folder / "report.html")],
            "resume": ["fit", "--config", config, "--run", str(run), "--resume"],
        }[name]
    )


@pytest.fixture
def run(plain, tmp_path):
    return shutil.copytree(plain, tmp_path / "run")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", COMMANDS)
def test_checkpoints_are_read_as_numbers(name, run, tmp_path, capsys):
    sprung = tmp_path / "sprung"
    for path in (run / "checkpoints").glob("*.ckpt"):
        saved = torch.load(path, weights_only=True)
        torch.save(saved | {"trap": Trap(sprung)}, path)
    assert command(name, run, tmp_path) == 2
    assert "damaged" in one_line(capsys)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap works


@pytest.fixture
def foreign(run, tmp_path, monkeypatch):
    """A run whose configuration names a module, and the file that its import makes."""
    sprung = tmp_path / "sprung"
    modules = tmp_path / "modules"
    modules.mkdir()
    source = f"open({str(sprung)!r}, 'w').close()\nfrom training.models import *\n"
    source += "class Net(MLPAutoEncoder):\n    pass\n"
    (modules / "foreign_models.py").write_text(source)
    monkeypatch.syspath_prepend(modules)
    rename(run, "foreign_models.Net")
    yield run, sprung
    sys.modules.pop("foreign_models", None)


def rename(run, name, as_text=False):
    path = run / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["model"]["autoencoder"]["class_path"] = name
    if as_text:
        config["model"]["autoencoder"] = name
    path.write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("name", COMMANDS)
def test_classes_of_others_are_not_imported(name, foreign, tmp_path, capsys):
    run, sprung = foreign
    assert command(name, run, tmp_path) == 2
    message = one_line(capsys)
    assert "would import foreign_models.Net" in message
    assert "--trust" in message
    assert not sprung.exists()


def test_nor_by_their_bare_name(foreign, tmp_path, capsys):
    run, sprung = foreign
    rename(run, "foreign_models.Net", as_text=True)
    assert command("evaluate", run, tmp_path) == 2
    assert "would import foreign_models.Net" in one_line(capsys)
    assert not sprung.exists()


def test_they_are_where_one_trusts_them(foreign, tmp_path):
    run, sprung = foreign
    assert main(["evaluate", str(run), "--trust"]) == 0
    assert sprung.exists()


def test_a_script_that_has_imported_them_needs_no_trust(foreign):
    run, _ = foreign
    import foreign_models

    module, _ = runs.load(run)
    assert type(module.autoencoder) is foreign_models.Net


@pytest.mark.parametrize(
    ("name", "said"),
    [("training.nothing", "nothing"), ("torch.nn.Linear", "Linear"), ("NoSuchClass", "NoSuch")],
)
def test_a_class_that_is_none_is_one_line(run, tmp_path, capsys, name, said):
    rename(run, name)
    assert command("evaluate", run, tmp_path) == 2
    assert said in one_line(capsys)


def test_files_are_no_modules(tmp_path):
    """A path such as points.npy looks like a name, but there is no module of that name."""
    source = of_file(tmp_path, np.zeros((3, 2)))
    source["init_args"]["path"] = "points.npy"
    check_trusted({"data": source}, "here")
    with pytest.raises(TrainingError, match=r"would import antigravity\.it"):
        check_trusted({"data": ["antigravity.it"]}, "here")
