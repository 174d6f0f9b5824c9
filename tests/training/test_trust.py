"""Configurations that someone else made: no command imports what they name."""

import datetime
import json
import re
import shutil
import sys

import pytest
import yaml

from tests.support.others_runs import COMMANDS, change, command
from tests.support.small_runs import one_line
from training.__main__ import main

pytestmark = pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning")


@pytest.fixture
def foreign(run, tmp_path, monkeypatch):
    """A run whose configuration names a module, and the file that its import makes."""
    sprung = tmp_path / "sprung"
    modules = tmp_path / "modules"
    modules.mkdir()
    source = f"open({str(sprung)!r}, 'w').close()\nfrom training.models import *\n"
    source += "class Net(MLPAutoEncoder):\n    pass\n"
    source += "from lightning.pytorch import Callback\nclass Call(Callback):\n    pass\n"
    (modules / "foreign_models.py").write_text(source)
    monkeypatch.syspath_prepend(modules)
    rename(run, "foreign_models.Net")
    yield run, sprung
    sys.modules.pop("foreign_models", None)


def rename(run, name):
    change(run, lambda config: config["model"]["autoencoder"].update(class_path=name))


@pytest.mark.parametrize("name", COMMANDS)
def test_classes_of_others_are_not_imported(name, foreign, tmp_path, capsys):
    run, sprung = foreign
    assert command(name, run, tmp_path) == 2
    message = one_line(capsys)
    assert "would import foreign_models.Net" in message
    assert "--trust" in message
    assert not sprung.exists()


def test_estimators_of_curvcore_are_known(run, tmp_path, capsys):
    estimator = {"class_path": "curvcore.Hutchinson", "init_args": {"probes": 4}}
    functional = {"class_path": "training.functionals.PerelmanF"}
    functional["init_args"] = {"estimator": estimator}
    term = {"functional": functional, "weight": 1e-3}
    change(run, lambda config: config["model"].update(terms={"F": term}))
    assert command("evaluate", run, tmp_path) == 0, capsys.readouterr().err


NET = {"class_path": "foreign_models.Net", "init_args": {"data_dimension": 5}}
LINEAR = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 5}}
PAIR = "training.models.AutoEncoder"
LAYER = {"class_path": "torch.nn.TransformerEncoderLayer"}


def as_autoencoder(value):
    return lambda config: config["model"].update(autoencoder=value)


def dotted(config):
    del config["model"]["autoencoder"]
    config["model"]["autoencoder.class_path"] = NET["class_path"]


HIDDEN = {
    "bare": as_autoencoder("foreign_models.Net"),
    "json": as_autoencoder(json.dumps(NET)),
    "escaped": as_autoencoder('{"class_path": "foreign_models\\u002eNet"}'),
    "yaml": as_autoencoder(yaml.safe_dump(NET)),
    "file": as_autoencoder("net.yaml"),
    "word": as_autoencoder("net"),  # a file of that name
    "dotted": dotted,
    "model_json": lambda config: config.update(model=json.dumps({"autoencoder": NET})),
    "model_file": lambda config: config.update(model="model.yaml"),
    "source": lambda config: config["data"].update(source="foreign_models.Net"),
    "inner": as_autoencoder(
        {"class_path": PAIR, "init_args": {"encoder": "foreign_models.Net", "decoder": LINEAR}}
    ),
    "function": as_autoencoder(
        {"class_path": PAIR, "init_args": {"decoder": LINEAR, "encoder": LAYER | {
            "init_args": {"d_model": 4, "nhead": 2, "activation": "foreign_models.mlp"}}}}
    ),
}  # fmt: skip


@pytest.mark.grid
@pytest.mark.parametrize("how", HIDDEN)
@pytest.mark.parametrize("name", ["evaluate", "resume"])
def test_nor_by_any_text_that_is_read_as_a_class(how, name, foreign, capsys, monkeypatch):
    run, sprung = foreign
    monkeypatch.chdir(run)
    for file in ("net.yaml", "net"):
        (run / file).write_text(yaml.safe_dump(NET))
    (run / "model.yaml").write_text(yaml.safe_dump({"autoencoder": NET}))
    rename(run, "training.models.MLPAutoEncoder")
    change(run, HIDDEN[how])
    assert command(name, run, sprung.parent) == 2
    assert re.search("would import|damaged", one_line(capsys))
    assert not sprung.exists()


CALLBACKS = [
    [{"class_path": "foreign_models.Call"}],
    "- foreign_models.Call",
    ["call.yaml"],
    "call.yaml",
]


@pytest.mark.parametrize("callbacks", CALLBACKS, ids=str)
def test_nor_as_callbacks(callbacks, foreign, tmp_path, capsys):
    run, sprung = foreign
    rename(run, "training.models.MLPAutoEncoder")
    (run / "call.yaml").write_text("class_path: foreign_models.Call")
    change(run, lambda config: config["trainer"].update(callbacks=callbacks))
    assert command("resume", run, tmp_path) == 2
    assert "would import" in one_line(capsys)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "options",
    [["--resume", "yes"], ["--resume=true"], ["--run", "again"], ["--trust", "false", "--resume"]],
    ids=str,
)
def test_a_run_s_own_configuration_is_not_the_user_s(options, foreign, tmp_path, capsys):
    """Nor does what it says of --resume and --trust count."""
    run, sprung = foreign
    change(run, lambda config: config.update(run=str(run), resume=True, trust=True))
    options = [str(tmp_path / "again") if option == "again" else option for option in options]
    assert main(["fit", f"--config={run / 'config.yaml'}", *options]) == 2
    assert "would import foreign_models.Net" in one_line(capsys)
    assert not sprung.exists()


@pytest.mark.parametrize("how", ["resume", "study"])
def test_nor_is_it_when_the_user_s_is_given(how, plain, foreign, tmp_path, capsys):
    run, sprung = foreign
    mine = str(shutil.copy(plain / "config.yaml", tmp_path / "mine.yaml"))
    shutil.copytree(run, tmp_path / "runs" / "mine" / "seed_0")
    folders = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    arguments = {
        "resume": ["fit", "--config", mine, "--run", str(run), "--resume"],
        "study": ["study", "--configs", mine, "--seeds", "0", *folders],
    }[how]
    assert main(arguments) == 2
    assert "would import foreign_models.Net" in one_line(capsys)
    assert not sprung.exists()


def test_what_the_user_s_own_configuration_names_is_trusted(foreign, tmp_path):
    """Their own network: fit it, and go on with it, without a word."""
    run, sprung = foreign
    mine = shutil.copy(run / "config.yaml", tmp_path / "mine.yaml")
    own = ["fit", "--config", str(mine), "--run", str(tmp_path / "own")]
    assert main(own) == 0
    assert sprung.exists()
    assert main([*own, "--resume", "--trainer.max_epochs", "4"]) == 0


def test_they_are_where_one_trusts_them(foreign, tmp_path):
    run, sprung = foreign
    assert main(["evaluate", str(run), "--trust"]) == 0
    assert sprung.exists()


@pytest.mark.parametrize(
    "name",
    ["subprocess.Popen", "torch.hub.load", "training.runs.shutil.rmtree",
     "torch.nn.functional.warnings", "torch.nn.modules.module.functools.partial",
     "training.cli.partial"],
)  # fmt: skip
def test_what_is_imported_already_is_no_less_foreign(name, run, tmp_path, capsys):
    rename(run, name)
    assert command("evaluate", run, tmp_path) == 2
    last = name.rpartition(".")[2]  # where it was defined is as good a name
    assert re.search(rf"would import [\w.]*\b{last}\b", one_line(capsys))


ITSELF = "model: &a {terms: *a, autoencoder: *a}\ndata: [*a]\n"
LAUGHS = "".join(f"x{i + 1}: &x{i + 1} [{', '.join([f'*x{i}'] * 10)}]\n" for i in range(9))


@pytest.mark.parametrize("text", [ITSELF, f"x0: &x0 [ha]\n{LAUGHS}"], ids=["itself", "laughs"])
def test_a_configuration_without_end_is_one_line(text, run, tmp_path, capsys):
    (run / "config.yaml").write_text(text)
    assert command("evaluate", run, tmp_path) == 2
    assert "it holds itself" in one_line(capsys)


@pytest.mark.parametrize(
    ("name", "said"),
    [("training.nothing", "nothing"), ("torch.nn.Linear", "Linear"), ("NoSuchClass", "NoSuch")],
)
def test_a_class_that_is_none_is_one_line(run, tmp_path, capsys, name, said):
    rename(run, name)
    assert command("evaluate", run, tmp_path) == 2
    assert said in one_line(capsys)


def test_what_lightning_and_torch_are_set_to_is_known(run, tmp_path):
    stop = {"class_path": "lightning.pytorch.callbacks.EarlyStopping"}
    stop["init_args"] = {"monitor": "val/loss", "mode": "min"}
    change(run, lambda config: config["trainer"].update(callbacks=[stop]))
    assert command("resume", run, tmp_path) == 0


OTHER_WAYS = {  # of a text to a parser that reads it as a class
    "a_term's_name": lambda config: config["model"].update(terms={"path": "foreign_models.Net"}),
    "a_module's_name": as_autoencoder(
        {"class_path": PAIR, "init_args": {"decoder": LINEAR, "encoder": {
            "class_path": "torch.nn.ModuleDict",
            "init_args": {"modules": {"path": "foreign_models.Net"}}}}}
    ),
    "a_set": as_autoencoder(
        {"class_path": PAIR, "init_args": {"decoder": LINEAR, "encoder": {
            "class_path": "torch.nn.ModuleList",
            "init_args": {"modules": {"foreign_models.Net"}}}}}
    ),
    "a_date": lambda config: config.update(data=datetime.date(2020, 1, 1)),
    "a_set_of_callbacks": lambda config: config["trainer"].update(
        callbacks={"foreign_models.Call"}
    ),
}  # fmt: skip


@pytest.mark.grid
@pytest.mark.parametrize("how", OTHER_WAYS)
@pytest.mark.parametrize("name", ["evaluate", "report", "resume"])
def test_nothing_is_imported_whatever_the_way(how, name, foreign, capsys, monkeypatch):
    run, sprung = foreign
    monkeypatch.chdir(run)
    (run / "2020-01-01").write_text(
        yaml.safe_dump({"source": {"class_path": "foreign_models.Net"}})
    )
    rename(run, "training.models.MLPAutoEncoder")
    change(run, OTHER_WAYS[how])
    callbacks_count = name == "resume"
    refused = callbacks_count or how != "a_set_of_callbacks"
    assert command(name, run, sprung.parent) == (2 if refused else 0)
    assert not sprung.exists()
    assert not refused or one_line(capsys)


@pytest.mark.parametrize(
    "options",
    [["-c", "{}"], ["-c{}"], ["--config={}"], ["--config", "mine.yaml", "--model", "{}"],
     ["--config=mine.yaml", "--model={}"]],
    ids=str,
)  # fmt: skip
def test_whatever_the_option(options, foreign, plain, tmp_path, capsys, monkeypatch):
    run, sprung = foreign
    monkeypatch.chdir(tmp_path)
    shutil.copy(plain / "config.yaml", "mine.yaml")
    section = yaml.safe_load((run / "config.yaml").read_text())["model"]
    (run / "model.yaml").write_text(yaml.safe_dump(section))
    file = run / ("model.yaml" if "mine.yaml" in str(options) else "config.yaml")
    options = [option.format(file) for option in options]
    assert main(["fit", *options, "--run", str(tmp_path / "new")]) == 2
    assert "would import foreign_models.Net" in one_line(capsys)
    assert not sprung.exists()
