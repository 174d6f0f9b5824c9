"""Configurations by name: ``--config swiss_roll_r2``."""

import pytest

from training.errors import TrainingError
from training.shipped import with_files


def test_names_become_files():
    command = ["fit", "--config", "swiss_roll_r2", "--run=runs/here", "--configs", "digits_f"]
    found = with_files([*command, "digits_w", "--seeds", "digits_f", "--design=mnist"])
    assert found[2].endswith("configs/swiss_roll_r2.yaml")
    assert found[3] == "--run=runs/here"
    assert [text.rpartition("/")[2] for text in found[5:7]] == ["digits_f.yaml", "digits_w.yaml"]
    assert found[8] == "digits_f"
    assert found[9].startswith("--design=")
    assert found[9].endswith("studies/mnist.yaml")


def test_files_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "swiss_roll_r2").write_text("trainer: {max_epochs: 1}\n")
    assert with_files(["--config", "swiss_roll_r2"])[1] == "swiss_roll_r2"
    assert with_files(["--config", "mine/none.yaml"])[1] == "mine/none.yaml"


def test_what_is_not_known():
    with pytest.raises(TrainingError, match=r"no file swiss, .*swiss_roll_r2"):
        with_files(["--config", "swiss"])
