"""What README says of training works as it stands there, in fewer epochs."""

import re
from pathlib import Path

import pytest
import yaml
from sklearn.datasets import load_iris

from tests.support.small_runs import one_line
from training.__main__ import main
from training.quiet import quiet

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
TRAINING = README.partition("\n## Training\n")[2].partition("\n## ")[0]
FEW = ["--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]
CPU = ["--trainer.accelerator", "cpu"]
NETWORKS = """
from torch import nn

class Encoder(nn.Sequential):
    def __init__(self, channels: int):
        convolution = nn.Conv2d(1, channels, 4, 2, 1)
        super().__init__(convolution, nn.SiLU(), nn.Flatten(), nn.Linear(16 * channels, 3))

class Decoder(nn.Sequential):
    def __init__(self, channels: int):
        first = nn.Linear(3, 16 * channels), nn.SiLU(), nn.Unflatten(1, (channels, 4, 4))
        super().__init__(*first, nn.ConvTranspose2d(channels, 1, 4, 2, 1))
"""

pytestmark = pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning")


def blocks(language, *words):
    """The blocks of code in the part on training in which one of these words stands."""
    found = re.findall(rf"```{language}\n(.*?)```", TRAINING, re.DOTALL)
    chosen = [code for code in found if any(word in code for word in words)]
    assert len(chosen) == len(words)
    return chosen


@pytest.mark.slow
def test_ten_lines_of_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    first, images, lightning = blocks("python", "model.report", "nn.Conv2d", "Trainer(")
    assert len([line for line in first.splitlines() if line.strip()]) <= 12
    assert first.count("max_epochs=100") == images.count("max_epochs=100") == 1
    for code in (first, images):
        exec(code.replace("max_epochs=100", "max_epochs=2"), names)
        assert names["model"].module_ is not None
    assert (tmp_path / "report.html").stat().st_size > 1e6
    assert (tmp_path / "latents.png").stat().st_size > 1e4
    with quiet():
        exec(
            lightning.replace("max_epochs=100", "max_epochs=1, logger=False, accelerator='cpu'"),
            names,
        )
    assert names["module"].scale.scale > 1


def test_a_configuration_for_a_csv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (text,) = blocks("yaml", "points.csv")
    iris = load_iris()
    names = iris.target_names[iris.target]
    rows = [",".join([*map(str, x), name]) for x, name in zip(iris.data, names, strict=True)]
    Path("points.csv").write_text("\n".join(["a,b,c,d,species", *rows]))
    Path("mine.yaml").write_text(text)
    assert main(["fit", "--config", "mine.yaml", "--run", "runs/mine", *FEW, *CPU]) == 0
    assert Path("runs/mine/metrics.json").is_file()


@pytest.mark.slow
def test_a_configuration_for_networks_of_ones_own(tmp_path, monkeypatch, capsys):
    """Of three latent dimensions, which the potential of W follows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (text,) = blocks("yaml", "networks.Encoder")
    Path("networks.py").write_text(NETWORKS)
    Path("own.yaml").write_text(text)
    assert main(["fit", "--config", "own.yaml", "--run", "runs/own", *FEW, *CPU]) == 0
    assert yaml.safe_load(Path("runs/own/config.yaml").read_text())["model"]["autoencoder"]
    assert main(["evaluate", "runs/own", "--trust"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "runs/own"]) == 2
    assert "--trust" in one_line(capsys)
