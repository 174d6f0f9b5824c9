"""Run folders: config.yaml, checkpoints/, metrics.csv, metrics.json."""

import contextlib
import csv
import shutil
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

import curvcore
from training import checkpoints
from training.checkpoints import DAMAGED, KEPT, LAST, damaged
from training.claims import claimed
from training.datamodule import DataModule
from training.errors import TrainingError
from training.log import LOG, Log, log_of
from training.module import DATA, MEANS, RegularizedAutoEncoder
from training.snapshots import FOLDER as CHECKPOINTS
from training.trust import class_paths, importing_what_is_known, read_yaml
from training.writing import write_text

CONFIG, METRICS = "config.yaml", "metrics.json"
SECTIONS = ("model", "data")  # of a configuration: what decides which numbers a run gives
NO_NUMBER = {
    "run", "resume", "trust", "evaluate", "trainer.accelerator", "trainer.devices",
    "trainer.num_nodes", "trainer.strategy", "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
}  # fmt: skip
METRICS_OF = dict(zip(KEPT, (METRICS, "metrics_best.json"), strict=True))


def check_new(folder, resume):
    """Raise unless a run may be written to this folder."""
    folder = Path(folder)
    if resume and not (folder / LAST).is_file() and not (folder / CONFIG).is_file():
        raise TrainingError(f"Cannot resume: there is no {folder / LAST}.")
    if str(folder).encode(errors="replace") != str(folder).encode(errors="surrogatepass"):
        raise TrainingError(f"The name {folder} is no UTF-8; choose another --run.")
    if any(parent.is_file() for parent in folder.absolute().parents):
        raise TrainingError(f"{folder} lies in a file, not in a folder; choose another --run.")
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"{folder} is a file, not a folder; choose another --run.")
    if not resume and folder.exists() and any(folder.iterdir()):
        raise TrainingError(
            f"{folder} is not empty, and nothing is written over. Choose another --run, or "
            "continue it with --resume."
        )


def check_no_links(folder):
    """Raise if something in a run's folder is a link: what it points to would be written over."""
    for path in Path(folder).rglob("*"):
        if path.is_symlink():
            raise TrainingError(
                f"{path} is a link, and what it points to would be written over. Put a copy of it "
                "there instead."
            )


@contextlib.contextmanager
def held(folder, resume, text):
    """Hold the folder of a run while it is trained, its configuration in it before all else.

    A run that fails before there is anything to go on from leaves nothing. Metrics of weights that
    are about to change go.

    Args:
        folder: of the run, new or to be resumed.
        resume: whether to go on with it.
        text: of its configuration.
    """
    folder = Path(folder)
    if rank_zero_only.rank:  # the first process does it for all
        yield
        return
    with claimed(folder):
        check_new(folder, resume)
        check_no_links(folder)
        curvcore.atlases.files.remove_parts(folder, below=True)
        try:
            if not (folder / LAST).is_file():
                write_text(folder / CONFIG, text)
            for name in METRICS_OF.values():
                (folder / name).unlink(missing_ok=True)
            yield
        except BaseException:
            if not resume:  # else it is not known to be this run's alone
                discard_unless_resumable(folder)
            raise


def check_same(folder, module, parser, config, trust=False):
    """Raise unless the run has the parameters of this module and the settings of ``config``."""
    path, wanted = Path(folder) / CONFIG, plain(parser, config)
    with reading(path, trust, class_paths(wanted)):
        saved = plain(parser, parser.parse_object(_sections(path)))
    for section in SECTIONS:
        if change := difference(saved[section], wanted[section]):
            raise TrainingError(
                f"Cannot resume: the options under {section} are not those of the run: {change}. "
                f"Resume with --config {path}, or start a new run."
            )
    if not (Path(folder) / LAST).is_file():
        return  # it was stopped in its first epoch
    found, wanted = checkpoints.read(Path(folder) / LAST)["state_dict"], module.state_dict()
    other = [n for n in found | wanted if _shape(found.get(n)) != _shape(wanted.get(n))]
    if other:
        raise TrainingError(
            f"Cannot resume: {Path(folder) / LAST} is of another model; {other[0]} differs. "
            f"Resume with --config {path}."
        )


@contextlib.contextmanager
def reading(path, trust, also=()):
    """Within this context the configuration at ``path`` is parsed, which may be another's."""
    policy = contextlib.nullcontext() if trust else importing_what_is_known(path, also)
    try:
        with policy:
            yield
    except TrainingError:
        raise
    except DAMAGED as error:
        raise damaged(path, error) from error


def is_of_a_run(path, run):
    """Whether a file lies in the folder of a run, of ``run`` or of any other.

    The user may not have written it.
    """
    parents = Path(path).absolute().parents, Path(path).resolve().parents
    return any(
        folder == Path(run).resolve() or (folder / CHECKPOINTS).is_dir()
        for folder in {*parents[0], *parents[1]}
    )


def plain(parser, config):
    """A parsed configuration as nested dicts, defaults filled in: older ones lack newer options."""
    return yaml.safe_load(parser.dump(config, skip_none=False))


def difference(saved, wanted):
    """What to call the first option that two configurations do not share; None if they are equal.

    Options that change no number do not count.
    """
    saved, wanted = (dict(_options(config)) for config in (saved, wanted))
    for name in saved | wanted:
        if name not in NO_NUMBER and saved.get(name) != wanted.get(name):
            return f"{name} was {saved.get(name)} and is {wanted.get(name)}"
    return None


def _options(config, prefix=""):
    """Pairs of a dotted name and a value."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _options(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _sections(path):
    """What a run's configuration says of model and data: the rest makes no difference to them."""
    return {key: value for key, value in read_yaml(path).items() if key in SECTIONS}


def _shape(tensor):
    return None if tensor is None else tensor.shape


def loggers(folder, resume):
    """Every term, as CSV and for TensorBoard."""
    folder = Path(folder)
    options = {"save_dir": folder.parent, "name": folder.name, "version": ""}
    return [Log(folder, _rows_to_keep(folder) if resume else ()), TensorBoardLogger(**options)]


def _rows_to_keep(folder):
    """The log up to the checkpoint."""
    if not (folder / LAST).is_file():
        return []
    saved = checkpoints.read(folder / LAST)
    try:
        return _rows_until(saved, log_of(folder))
    except (*DAMAGED, csv.Error) as error:
        raise damaged(folder / LOG, error) from error


def _rows_until(saved, rows):
    """The rows of a log up to a checkpoint, whose own may not have been written any more."""
    last = saved["global_step"] - 1
    if any(None in row for row in rows):
        raise ValueError("a row has more columns than there are names")
    rows = [row for row in rows if row["step"].isdigit() and int(row["step"]) <= last]
    means = saved.get(MEANS, {})
    if not all(isinstance(k, str) and isinstance(x, float) for k, x in means.items()):
        raise ValueError(f"the checkpoint's means are {means}")
    if means and not any(row["step"] == str(last) and row.get(min(means)) for row in rows):
        rows.append({"epoch": saved["epoch"], "step": last, **means})
    return rows


def discard_unless_resumable(folder):
    """Remove the folder of a new run that failed before there was anything to go on from."""
    if not (Path(folder) / LAST).is_file():
        shutil.rmtree(folder, ignore_errors=True)


def load(folder, checkpoint="last", trust=False):
    """The trained module, in eval mode, and the data module of a run.

    Args:
        folder: of the run.
        checkpoint: ``"last"``, or ``"best"``: where val/loss was lowest.
        trust: whether classes that its configuration names may be imported from anywhere
            (:mod:`training.trust`). Checkpoints are read as numbers alone, never as objects.

    Raises:
        TrainingError: the folder holds no finished run, or one that would import foreign code.
    """
    folder, file = Path(folder), checkpoints.checkpoint_file(checkpoint)
    for name in (CONFIG, file):
        if not (folder / name).is_file():
            raise TrainingError(f"{folder} is no run: there is no {folder / name}.")
    objects, saved = _objects(folder / CONFIG, trust), checkpoints.read(folder / file)
    state = saved["state_dict"]
    try:
        objects.model.autoencoder.to(next(iter(state.values())).dtype)
        objects.model.load_state_dict(state)
    except DAMAGED as error:
        raise damaged(folder / file, error) from error
    objects.data.expect(saved.get(DATA))
    return objects.model.eval(), objects.data


def epochs_of(folder, checkpoint="last"):
    """How many epochs a run's checkpoint has been trained for."""
    return checkpoints.read(Path(folder) / checkpoints.checkpoint_file(checkpoint))["epoch"] + 1


def data_of(settings):
    """The data module of the options under ``data`` in a configuration."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(DataModule, "data")
    return parser.instantiate(parser.parse_object({"data": settings})).data


def _objects(path, trust):
    """The module, as yet untrained, and the data module of a run's configuration."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RegularizedAutoEncoder, "model")
    parser.add_class_arguments(DataModule, "data")
    with reading(path, trust):
        return parser.instantiate(parser.parse_object(_sections(path)))
