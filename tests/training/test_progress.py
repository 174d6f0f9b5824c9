"""Progress bars are drawn where somebody looks, and nowhere else."""

import sys

import pytest

from tests.support.small_runs import gaussians, write_config
from training import atlases, cli
from training.quiet import quiet

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
]


@pytest.mark.parametrize(
    ("said", "on_terminal"), [("null", None), ("true", True), ("false", False)]
)
@pytest.mark.parametrize("is_terminal", [False, True])
def test_fit_has_a_bar_on_a_terminal_unless_told(
    said, on_terminal, is_terminal, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "argv", ["training"])
    config = write_config(tmp_path / "config.yaml", gaussians())
    options = ["--config", str(config), "--run", str(tmp_path / "run")]
    with quiet():
        made = cli._read(cli._CLI, [*options, "--trainer.enable_progress_bar", said])
    expected = is_terminal if on_terminal is None else on_terminal
    assert (made.trainer.progress_bar_callback is not None) == expected
    assert made.config.trainer.enable_progress_bar == on_terminal


@pytest.mark.parametrize("is_terminal", [False, True])
def test_an_atlas_has_a_bar_on_a_terminal(is_terminal, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1" if is_terminal else "")  # as if on one
    with atlases._progress("latents") as progress:
        progress(50, 100)
        progress(100, 100)
    assert ("100/100" in capsys.readouterr().err) == is_terminal
