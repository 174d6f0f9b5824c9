"""Odd paths, full and read-only disks, terminals, signals, two processes, kill -9."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from tests.support.small_runs import CURVATURE, fit, of_file, one_line, write_config
from training.__main__ import main

pytestmark = [
    pytest.mark.slow,
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
]
ROOT = Path(__file__).parents[2]
D, EPOCHS = 4, 8
POINTS = np.random.default_rng(0).normal(size=(90, D))


def slow(*values):
    """A case that is left to ``make test-slow``."""
    return pytest.param(*values, marks=pytest.mark.slow)


def started(*arguments, **options):
    """The process of a command."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options = pipes | {"encoding": "utf-8", "errors": "replace"} | options
    options["env"] = os.environ | {"OMP_NUM_THREADS": "1"} | options.pop("env", {})
    command = [sys.executable, "-m", "training", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, **options)


def ended(process):
    """Its exit code, what it wrote, and what it complained of."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def configured(folder, epochs):
    """The file of a configuration."""
    options = {"D": D, "epochs": epochs, "terms": CURVATURE}
    return write_config(folder / "mine.yaml", of_file(folder, POINTS), **options)


# --- paths ----------------------------------------------------------------------------------------

NAMES = [
    "it's \"two\" words", "Möbius-曲率-e\u0301-🌀", "$HOME {x} %s [b]", "a;b&c|d*#~", "-x", "a\nb",
    "a" * 200, "class_path: x",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Glyph .* missing:UserWarning")  # a picture shows boxes
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_paths_of_any_letters(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    run = fit(folder / name, of_file(folder, POINTS), D=D, epochs=1)
    assert main(["evaluate", "--", str(run)]) == 0
    data, latents = str(folder / "points.npy"), folder / "z.npz"
    assert main(["encode", str(run), "--data", data, "--out", str(latents)]) == 0
    assert main(["plot", str(run), "--out", str(folder / "pictures")]) == 0
    assert main(["report", str(run), "--out", str(folder / "report.html")]) == 0
    config = ["--config", str(run / "config.yaml"), "--trainer.max_epochs", "2"]
    assert main(["fit", *config, "--run", str(run), "--resume"]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "points.npy", f"{name}.yaml", name, "z.npz", "pictures", "report.html",
    }  # fmt: skip


# --- disks ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def disk(folder, **options):
    """A file system of its own at ``folder``, with the options of tmpfs."""
    folder.mkdir()
    libc = ctypes.CDLL(None)
    settings = ",".join(f"{key}={value}" for key, value in options.items()).encode()
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, settings):
        pytest.skip("a disk of its own needs Linux, and the right to mount one (root)")
    try:
        yield folder
    finally:
        libc.umount2(bytes(folder), 2)  # whatever is open there


def make_read_only(folder):
    remount, read_only = 32, 1
    assert not ctypes.CDLL(None).mount(b"tmpfs", bytes(folder), b"tmpfs", remount | read_only, b"")


def files_of(run):
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


@pytest.mark.parametrize("room", [0, 4, 8, 16, 24, 32, 48, 64, 80, 96])
def test_a_full_disk_is_one_line_and_nothing_half_written(room, tmp_path, capfd):
    """Room: KiB that are left."""
    config = configured(tmp_path, 3)
    with disk(tmp_path / "disk", size="400k") as folder:
        (folder / "other").write_bytes(bytes(1024 * (396 - room)))
        run = folder / "run"
        code = main(["fit", "--config", str(config), "--run", str(run)])
        assert_usable(run, finished=code == 0)
        assert code == 2 or room >= 64  # there may be room: torch writes less or more
        if code == 0:
            return
        assert "cannot be written: No space left on device" in one_line(capfd)
        (folder / "other").unlink()
        resume = ["--resume"] if run.exists() else []
        assert main(["fit", "--config", str(config), "--run", str(run), *resume]) == 0
        assert_usable(run, finished=True)


def assert_usable(run, finished=False):
    """Nothing half written: there is no run, or one that can be gone on with."""
    if not run.exists():
        return
    for path in run.rglob("*.ckpt"):
        torch.load(path, weights_only=True)
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]
    assert not [*run.rglob(".*")]
    assert (run / "metrics.json").exists() == finished
    if finished:
        json.loads((run / "metrics.json").read_text())


COMMANDS = {
    "encode": ("--data", "points.npy", "--out", "disk/z.npz"),
    "plot": ("--out", "disk/pictures"),
    "report": ("--out", "disk/report.html"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machines")
    return fit(folder / "Möbius", of_file(folder, POINTS), D=D, epochs=1)


@pytest.mark.parametrize("kind", ["full", "read-only"])
@pytest.mark.parametrize("name", COMMANDS)
def test_what_cannot_be_written_leaves_nothing(name, kind, trained, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", POINTS)
    with disk(tmp_path / "disk", size="4k") as folder:
        if kind == "read-only":
            make_read_only(folder)
        assert main([name, str(trained), *COMMANDS[name]]) == 2
        reason = {"full": "No space left on device", "read-only": "Read-only file system"}[kind]
        line = one_line(capfd)
        assert f"cannot be written: {reason}" in line or "that exists and can be written" in line
        assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_read_only_run_is_read(trained, tmp_path, capfd):
    """It can be plotted and encoded; evaluate and fit say that they cannot write."""
    with disk(tmp_path / "disk", size="2m") as folder:
        run = folder / "run"
        for name, content in files_of(trained).items():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_bytes(content)
        make_read_only(folder)
        config = ["--config", str(run / "config.yaml"), "--trainer.max_epochs", "2"]
        for arguments in (["evaluate", str(run)], ["fit", *config, "--run", str(run), "--resume"]):
            assert main(arguments) == 2
            assert "cannot be written: Read-only file system" in one_line(capfd)
        assert files_of(run) == files_of(trained)
        assert main(["plot", str(run), "--out", str(tmp_path / "pictures")]) == 0
        assert main(["report", str(run), "--out", str(tmp_path / "report.html")]) == 0


# --- terminals ------------------------------------------------------------------------------------

TERMINALS = {
    "C": {
        "LC_ALL": "C",
        "LANG": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "COLUMNS": "20",
    },
    "ascii": {"PYTHONIOENCODING": "ascii", "COLUMNS": "1", "TERM": "nothing-known"},
    "latin": {"PYTHONIOENCODING": "latin-1", "TERM": "dumb", "HOME": "/nowhere"},
}


@pytest.mark.parametrize("terminal", ["C", *map(slow, ("ascii", "latin"))])
def test_numbers_are_readable_on_any_terminal(terminal, trained):
    code, out, err = ended(started("evaluate", trained, env=TERMINALS[terminal]))
    assert (code, err) == (0, "")
    metrics = json.loads((trained / "metrics.json").read_text())
    for name in ("mse_raw", "median_abs_R_raw"):
        (line,) = [line for line in out.splitlines() if f" {name} " in line]
        assert f"{metrics[name]:.4g}" in line


@pytest.mark.slow
def test_no_terminal(trained):
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    assert ended(started("evaluate", trained, **streams))[0] == 0


# --- signals and processes ------------------------------------------------------------------------


def wait_for(path, process, seconds=60):
    limit = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A configuration, and the run of it that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    config = configured(folder, EPOCHS)
    assert main(["fit", "--config", str(config), "--run", str(folder / "run")]) == 0
    return config, folder / "run"


def assert_same_bits(run, other):
    for name in ("last", "best"):
        a, b = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
            for folder in (run, other)
        )
        assert (a["epoch"], a["global_step"]) == (b["epoch"], b["global_step"])
        assert all(
            torch.equal(a["state_dict"][key], b["state_dict"][key]) for key in b["state_dict"]
        )
    assert (run / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()
    assert (run / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), slow(signal.SIGINT, 130)])
def test_a_signal_ends_it_in_order_and_it_goes_on(number, code, whole, tmp_path):
    config, undisturbed = whole
    run = tmp_path / "run"
    arguments = ["fit", "--config", config, "--run", run]
    process = started(*arguments)
    wait_for(run / "checkpoints" / "last.ckpt", process)
    process.send_signal(number)
    found, _, err = ended(process)
    assert found == code
    assert "Traceback" not in err
    assert main([*map(str, arguments), "--resume"]) == 0
    assert_same_bits(run, undisturbed)


class Interrupt(Callback):
    """Ctrl-C before the third epoch."""

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt


def test_a_row_that_was_not_logged_any_more_is_not_lost(whole, tmp_path):
    """As where it is killed just after its checkpoint."""
    config, undisturbed = whole
    run = tmp_path / "run"
    fit = ["fit", "--config", str(config), "--run", str(run)]
    assert main([*fit, "--trainer.callbacks", f"{__name__}.Interrupt"]) == 130
    lines = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(lines[:-1]) + lines[-1][:9])
    assert main([*fit, "--resume"]) == 0
    assert_same_bits(run, undisturbed)


@pytest.mark.slow
def test_one_folder_is_of_one_process(whole, tmp_path):
    run = tmp_path / "run"
    arguments = ["fit", "--config", whole[0], "--run", run, "--trainer.max_epochs", 10_000]
    first = started(*arguments)
    wait_for(run / "checkpoints" / "last.ckpt", first)
    code, out, err = ended(started(*arguments, "--resume"))
    assert (code, out) == (2, "")
    assert first.poll() is None
    first.terminate()
    assert ended(first)[0] == 143
    assert err == (
        f"Error: {run} is in use: another process is training there. Wait for it, or choose "
        "another --run.\n"
    )


@pytest.mark.slow
def test_killed_at_ten_moments_it_goes_on_to_the_same_bits(whole, tmp_path):
    """kill -9, later and later, until one comes through."""
    config, undisturbed = whole
    run, kills, delay = tmp_path / "run", 0, 0.0
    arguments = ["fit", "--config", config, "--run", run]
    while True:
        process = started(*arguments, *["--resume"] * (run / "config.yaml").exists())
        wait_for(run, process)
        moment = time.monotonic() + delay
        while process.poll() is None and time.monotonic() < moment:
            time.sleep(0.001)
        if kills < 10 and process.poll() is None:
            process.kill()
            kills += 1
            delay += 0.13
        if (code := ended(process)[0]) != -signal.SIGKILL:
            break
    assert code == 0
    assert kills == 10
    assert_same_bits(run, undisturbed)
