"""The configurations in README and docs/ train as they stand there, in fewer epochs.

Blocks of Python are run by ``tests/test_snippets.py``.
"""

import json
from pathlib import Path

import pytest
import yaml
from sklearn.datasets import load_iris

from tests.support import snippets
from tests.support.small_runs import one_line
from training.__main__ import main
from training.ablation.design import read_design
from training.ablation.fits import configuration as of_row

PAGES = snippets.markdown(Path(__file__).parents[2])
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


def configuration(words):
    """The one configuration of README and docs/ in which these words stand."""
    found = [block.code for page in PAGES for block in snippets.blocks(page, "yaml")]
    (code,) = [code for code in found if words in code]
    return code


def write_points():
    """points.csv, of irises."""
    iris = load_iris()
    names = iris.target_names[iris.target]
    rows = [",".join([*map(str, x), name]) for x, name in zip(iris.data, names, strict=True)]
    Path("points.csv").write_text("\n".join(["a,b,c,d,species", *rows]))


def test_a_configuration_for_a_csv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_points()
    Path("mine.yaml").write_text(configuration("points.csv"))
    assert main(["fit", "--config", "mine.yaml", "--run", "runs/mine", *FEW, *CPU]) == 0
    assert Path("runs/mine/metrics.json").is_file()


def test_a_design_for_a_csv(tmp_path, monkeypatch):
    """Of the row that differs most from the configuration, a run."""
    monkeypatch.chdir(tmp_path)
    write_points()
    plain = yaml.safe_load(configuration("points.csv"))
    del plain["model"]["terms"]
    Path("plain.yaml").write_text(yaml.safe_dump(plain))
    Path("study.yaml").write_text(configuration("against:"))
    design = read_design(Path("study.yaml"))
    assert design.tuning_seeds
    assert design.downstream
    assert design.against == (("isometry + F", "isometry + F without R"),)
    Path("row.yaml").write_text(of_row(design, "isometry + F without R", (1e-3, 1e-4)))
    assert main(["fit", "--config", "row.yaml", "--run", "runs/row", *FEW, *CPU]) == 0
    found = json.loads(Path("runs/row/metrics.json").read_text())
    assert found.keys() >= design.metrics.keys()


@pytest.mark.slow
def test_a_configuration_for_networks_of_ones_own(tmp_path, monkeypatch, capsys):
    """Of three latent dimensions, which the potential of W follows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = configuration("networks.Encoder")
    Path("networks.py").write_text(NETWORKS)
    Path("own.yaml").write_text(text)
    assert main(["fit", "--config", "own.yaml", "--run", "runs/own", *FEW, *CPU]) == 0
    assert yaml.safe_load(Path("runs/own/config.yaml").read_text())["model"]["autoencoder"]
    assert main(["evaluate", "runs/own", "--trust"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "runs/own"]) == 2
    assert "--trust" in one_line(capsys)
