"""Files of a run that are not what they should be: no code runs, nothing else is written to."""

import os
import pickle
import shutil

import pytest
import torch

from tests.support.others_runs import COMMANDS, command
from tests.support.small_runs import one_line
from training.__main__ import main
from training.checkpoints import CheckpointFiles
from training.errors import TrainingError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
]


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


READ = {  # which checkpoints a command looks at
    "last": COMMANDS,
    "epoch_00001": ("report",),
    "best": (),  # without --checkpoint best
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("trapped", READ)
def test_checkpoints_are_read_as_numbers(trapped, name, run, tmp_path, capsys):
    sprung, path = tmp_path / "sprung", run / "checkpoints" / f"{trapped}.ckpt"
    saved = torch.load(path, weights_only=True)
    torch.save(saved | {"trap": Trap(sprung)}, path)
    code = command(name, run, tmp_path)
    assert not sprung.exists()
    if name in READ[trapped]:
        assert code == 2
        assert f"{trapped}.ckpt is damaged" in one_line(capsys)
    else:
        assert code == 0
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap works


def test_lightning_reads_checkpoints_as_numbers_too(tmp_path):
    """Whatever it asks for: versions differ."""
    sprung, path = tmp_path / "sprung", tmp_path / "last.ckpt"
    torch.save({"state_dict": {}, "epoch": 0, "global_step": 0, "trap": Trap(sprung)}, path)
    with pytest.raises(TrainingError, match="damaged"):
        CheckpointFiles(tmp_path).load_checkpoint(path, weights_only=False)
    assert not sprung.exists()


@pytest.mark.parametrize("prefix", ["", "local://"])  # which is a file too, to fsspec
def test_a_checkpoint_removes_no_file_of_the_user(prefix, run, tmp_path):
    """Lightning removes what a checkpoint names as the one before."""
    precious = tmp_path / "precious"
    precious.mkdir()
    for path in (run / "checkpoints").glob("*.ckpt"):
        saved = torch.load(path, weights_only=True)
        for name, state in saved.get("callbacks", {}).items():
            if name.startswith("ModelCheckpoint"):
                state["best_model_path"] = f"{prefix}{run}/checkpoints/../../precious"
        torch.save(saved, path)
    config = ["--config", str(run / "config.yaml"), "--trainer.max_epochs", "5"]
    assert main(["fit", *config, "--run", str(run), "--resume"]) == 0
    assert precious.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda saved: saved.update(state_dict={}),
        lambda saved: saved.update(state_dict=[1]),
        lambda saved: saved.update(state_dict={"a": 1}),
        lambda saved: saved.pop("epoch"),
        lambda saved: saved.update(epoch="1"),
        lambda saved: saved["state_dict"].popitem(),
    ],
)
@pytest.mark.parametrize("name", ["evaluate", "report", "resume"])
def test_checkpoints_of_something_else_are_one_line(change, name, run, tmp_path, capsys):
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    change(saved)
    torch.save(saved, run / "checkpoints" / "last.ckpt")
    assert command(name, run, tmp_path) == 2
    assert "last.ckpt is" in one_line(capsys)


@pytest.mark.parametrize("name", ["metrics.json", "metrics.csv", "hparams.yaml", "checkpoints"])
@pytest.mark.parametrize("command_", ["evaluate", "resume"])
def test_nothing_is_written_through_links(command_, name, run, tmp_path, capsys):
    precious = tmp_path / "precious"
    if (run / name).is_dir():
        shutil.move(run / name, precious)
    else:
        precious.write_text("precious")
        (run / name).unlink(missing_ok=True)
    before = {path: path.read_bytes() for path in precious.rglob("*")}
    (run / name).symlink_to(precious)
    assert command(command_, run, tmp_path) == 2
    assert "is a link" in one_line(capsys)
    assert before == {path: path.read_bytes() for path in precious.rglob("*")}
    assert precious.is_dir() or precious.read_text() == "precious"


def test_a_link_that_lies_in_wait_is_not_followed(run, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (run / "metrics.json").unlink()
    for name in ("metrics.json.part", ".metrics.json.part", "report.html.part"):
        (run / name).symlink_to(precious)
    assert main(["report", str(run), "--out", str(run / "report.html")]) == 0
    assert precious.read_text() == "precious"


BROKEN = {
    "callbacks": [None, 1, "x", [], {"ModelCheckpoint": 1}],
    "loops": [None, 1, "x", [], {}],
    "optimizer_states": [None, 1, "x", [], [{}], [1]],
    "lr_schedulers": [None, 1, "x", [1], [{"x": 1}]],
    "pytorch-lightning_version": [None, 1, [], "none"],
    "global_step": ["1", None, 1.5],
    "epoch": ["1", None, [1]],
    "means": [1, "x", {"train/loss": "x"}, {1: 2}],
    "data_fingerprint": [None, 1, []],
    "stride": [0, -1, "a", None],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BROKEN.items() for value in values], ids=str
)
def test_a_checkpoint_of_anything_is_gone_on_with_or_one_line(key, value, run, tmp_path, capsys):
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    if key == "stride":
        saved["callbacks"]["Snapshots"]["stride"] = value
    else:
        saved[key] = value
    torch.save(saved, run / "checkpoints" / "last.ckpt")
    config = ["--config", str(run / "config.yaml"), "--trainer.max_epochs", "5"]
    code = main(["fit", *config, "--run", str(run), "--resume"])
    assert code in (0, 2)
    if code:
        assert one_line(capsys)


@pytest.mark.parametrize(
    "text", [b"a,b\n1,2\n", b"epoch,step\n1\n", b"\xff\xfe\x00\n" * 9, b"", b"epoch,step\n1,x\n"]
)
@pytest.mark.parametrize("name", ["resume", "plot", "report"])
def test_a_damaged_log_is_one_line_or_left_out(name, text, run, tmp_path, capsys):
    (run / "metrics.csv").write_bytes(text)
    code = command(name, run, tmp_path)
    assert code in (0, 2)
    if code:
        assert "metrics.csv is damaged" in one_line(capsys)
