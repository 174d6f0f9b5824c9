"""The commands ``fit``, ``evaluate``, ``encode``, ``atlas``, ``plot``, ``report``, ..."""

import argparse
import logging
import sys
from functools import partial
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from training import runs
from training.ablation.command import ablate
from training.atlases import run_atlas
from training.checkpoints import (
    DAMAGED,
    KEPT,
    LAST,
    CheckpointFiles,
    Started,
    checkpointing,
    damaged,
)
from training.console import show_metrics
from training.datamodule import DataModule
from training.encoding import encode
from training.errors import TrainingError
from training.evaluation.clusters import KMEANS, clusters
from training.evaluation.held_out import (
    DOWNSTREAM,
    after_normalisation,
    downstream_metrics,
    held_out_metrics,
    is_normalised,
)
from training.flows.monitor import FlowMonitor
from training.module import RegularizedAutoEncoder
from training.parsing import TRUST, add_checkpoint, one_line, parsed, run_parser
from training.shipped import with_files
from training.study import study
from training.text import printable
from training.trust import class_paths, read_yaml
from training.writing import write_json

COMMANDS = ("fit", "evaluate", "kmeans", "encode", "atlas", "plot", "report", "study", "flow")
SHOWN = (
    "mse", "mse_raw", "r2", "median_abs_R_raw", "mean_R2_sqrt_det_g_raw", "mcn", "vor",
    "trustworthiness", "continuity", "knn_recall_at_10", "procrustes_disparity", "tear_score",
)  # fmt: skip


def run(arguments):
    """Run one command line."""
    if arguments[:1] in (["--help"], ["-h"]):
        print(f"python -m training {{{' | '.join(COMMANDS)}}} --help: see docs/how-to/train.md.")
        return
    if not arguments or arguments[0] not in COMMANDS:
        got = arguments[0] if arguments else "nothing"
        known = ", ".join(COMMANDS)
        raise TrainingError(f"The commands are {known}; got {got}. See docs/how-to/train.md.")
    command, *rest = with_files(arguments)
    globals()[f"_{command}"](rest)


# --- fit ------------------------------------------------------------------------------------------


class _CLI(LightningCLI):
    def add_arguments_to_parser(self, parser):
        parser.add_argument("--run", default=RUN, help="folder of this run, made new")
        parser.add_argument(
            "--resume", default=False, type=bool, nargs="?", const=True,
            help="go on with the run there",
        )  # fmt: skip
        parser.add_argument("--trust", default=False, type=bool, nargs="?", const=True, help=TRUST)
        parser.add_argument(
            "--evaluate", default=True, type=bool, help="whether metrics.json is written at the end"
        )

    def instantiate_trainer(self, **options):
        """With a progress bar where somebody looks, unless told; configurations do not tell it."""
        if self.config_init.trainer.enable_progress_bar is None:
            options["enable_progress_bar"] = sys.stdout.isatty()
        return super().instantiate_trainer(**options)

    def before_instantiate_classes(self):
        if not rank_zero_only.rank:
            runs.check_new(self.config.run, self.config.resume)


class _Reader(_CLI):
    """Reads the options of ``fit`` and makes nothing of them."""

    def before_instantiate_classes(self):
        pass

    def instantiate_classes(self):
        pass


RUN = "runs/run"
YAML = (".yaml", ".yml")
DEFAULTS = {
    "max_epochs": 50,
    "accelerator": "auto",
    "devices": 1,
    "enable_model_summary": False,
    "inference_mode": False,
    "use_distributed_sampler": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1000,
}


def _fit(arguments):
    trust = _is_trusted(arguments)
    cli = _read(_CLI, arguments)
    run, resume, evaluate = cli.config.run, cli.config.resume, cli.config.evaluate
    cli.config.evaluate = True  # whoever trains by the run's configuration again wants metrics
    cli.datamodule.check(len(cli.model.scale.mean), cli.trainer.world_size)
    cli.trainer.precision_plugin.convert_module(cli.model)  # before a checkpoint is loaded into it
    if resume:
        runs.check_same(run, cli.model, cli.parser, cli.config, trust)
    with runs.held(run, resume, cli.parser.dump(cli.config, skip_none=False)):
        _train(cli.trainer, cli.model, cli.datamodule, run, resume)
        if evaluate and cli.trainer.is_global_zero:
            _evaluate([f"--checkpoint={KEPT[0]}", "--trust", "--", run])


def _train(trainer, module, data, run, resume):
    last = Path(run) / LAST
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # none of the user's own
        trainer.strategy.checkpoint_io = CheckpointFiles(run)
    trainer.loggers = runs.loggers(run, resume)
    started = Started()
    trainer.callbacks.append(started)
    try:
        trainer.fit(module, data, ckpt_path=str(last) if resume and last.is_file() else None)
    except TrainingError:
        raise
    except DAMAGED as error:
        if started.has_begun or not last.is_file():
            raise
        raise damaged(last, error) from error
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # which Lightning makes an exit of
            raise KeyboardInterrupt from stop
        raise
    if not last.is_file():
        raise TrainingError(
            "Nothing was trained: there was no whole epoch. See the trainer options."
        )


def _is_trusted(arguments):
    """Whether --trust was said by the user, whatever configurations say."""
    return _leading(arguments).trust.lower() == "true"


def _leading(arguments):
    """The options that decide what may be imported, before anything is."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--run", default=RUN)
    parser.add_argument("--trust", nargs="?", const="true", default="false")
    return parser.parse_known_args(arguments)[0]


def _files(arguments):
    """The files that are named, whatever the option."""
    texts = {text for a in arguments for text in (a, a.partition("=")[2], a[2:])}
    return [path for path in map(Path, sorted(texts)) if _is_there(path)]


def _is_there(path):
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):  # too long a text for a path
        return False


def _read(kind, arguments):
    """The LightningCLI of these arguments; files of a run import what is known alone."""
    run, files = _leading(arguments).run, _files(arguments)
    foreign = [path for path in files if runs.is_of_a_run(path, run)]
    if not foreign or _is_trusted(arguments):
        return _parsed_by(kind, arguments)
    configs = {path: read_yaml(path) for path in files if path.suffix in YAML}
    own = class_paths([config for path, config in configs.items() if path not in foreign])
    typed = {argument.rpartition("=")[2] for argument in arguments} - {*map(str, files)}
    with runs.reading(foreign[0], trust=False, also=own | typed):
        return _parsed_by(kind, arguments)


def _parsed_by(kind, arguments):
    """The options of ``fit``, read by a kind of _CLI."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return kind(
            RegularizedAutoEncoder,
            DataModule,
            args=arguments,
            run=False,
            seed_everything_default=0,
            trainer_defaults={**DEFAULTS, "callbacks": [FlowMonitor(), *checkpointing()]},
            save_config_callback=None,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False},
        )
    except (ArgumentError, MisconfigurationException, ValueError) as error:
        raise TrainingError(one_line(error)) from error


def _change(path, arguments):
    """The first option that a run's configuration and these arguments of ``fit`` do not share."""
    wanted, trust = _settings(arguments), _is_trusted(arguments)
    read_yaml(path)
    with runs.reading(path, trust, class_paths(wanted)):
        cli = _parsed_by(_Reader, ["--config", str(path)])
    saved = runs.plain(cli.parser, cli.config)
    return runs.difference(saved, wanted)


def _settings(arguments):
    """All options of ``fit``, nested, as these arguments set them."""
    cli = _read(_Reader, arguments)
    return runs.plain(cli.parser, cli.config)


# --- evaluate -------------------------------------------------------------------------------------


def _evaluate(arguments):
    """Writes metrics.json, or metrics_best.json, on the test part; prints its main numbers."""
    parser = run_parser("evaluate")
    add_checkpoint(parser)
    parser.add_argument(
        "--downstream", action="store_true", help="clusters, few labels, ways: downstream.json"
    )
    options = parsed(parser, arguments)
    module, data = runs.load(options.run, options.checkpoint, options.trust)
    runs.check_no_links(options.run)
    if options.downstream:
        found = downstream_metrics(module, data)
        write_json(Path(options.run) / DOWNSTREAM, found)
        _show(options.run, found, found)
        return
    metrics = held_out_metrics(module, data)
    write_json(Path(options.run) / runs.METRICS_OF[options.checkpoint], metrics)
    _show(options.run, metrics)


def _show(run, metrics, keys=SHOWN):
    columns = {"as trained": metrics.get}
    if is_normalised(metrics):
        columns["after linear normalisation"] = partial(after_normalisation, metrics)
    show_metrics(f"{run}: held-out points", columns, [key for key in keys if key in metrics])


def _kmeans(arguments):
    """Writes kmeans.json, F1 of k-means clusters of the test part in four spaces; prints it."""
    parser = run_parser("kmeans")
    add_checkpoint(parser)
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of the starts")
    options = parsed(parser, arguments)
    module, data = runs.load(options.run, options.checkpoint, options.trust)
    runs.check_no_links(options.run)
    found = clusters(module, data, options.seed)
    write_json(Path(options.run) / KMEANS, found)
    show_metrics(f"{options.run}: held-out points", {"F1 of k-means": found.get}, found)


# --- encode ---------------------------------------------------------------------------------------


def _encode(arguments):
    """Writes latent points, R and the metric of every point of a file."""
    parser = run_parser("encode")
    parser.add_argument("--data", required=True, help="points (n, D): .npy, .npz, .csv, .parquet")
    parser.add_argument("--labels", help="column, array or second file of labels, copied to --out")
    for name in ("separator", "decimal"):
        parser.add_argument(f"--{name}", help="of a .csv; else found out from its first lines")
    parser.add_argument("--out", required=True, help="a new .npz file")
    parser.add_argument(
        "--normalised", action="store_true", help="latents in which the mean metric is I"
    )
    add_checkpoint(parser)
    print(printable(encode(parsed(parser, arguments))))


# --- atlas ----------------------------------------------------------------------------------------


def _atlas(arguments):
    """Writes R, its error, log √det g and the eigenvalues of g at many latents."""
    parser = run_parser("atlas")
    parser.add_argument(
        "--points", required=True,
        help="latents (N, d): .npy, .npz of encode, .h5ad; grid; or how many at random",
    )  # fmt: skip
    parser.add_argument("--out", required=True, help="folder, new or begun; of .h5ad a new .h5ad")
    parser.add_argument("--per-axis", type=PositiveInt, help="nodes of grid along each axis")
    parser.add_argument("--probes", type=PositiveInt, help="estimate R from so many directions")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="of latents, and probes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="to compute on")
    parser.add_argument("--obsm", default="X_latent", help="name of the latents in a .h5ad")
    add_checkpoint(parser)
    print(printable(run_atlas(parsed(parser, arguments))))


# --- plot -----------------------------------------------------------------------------------------


def _plot(arguments):
    """Writes the figures of a run, or of two runs and these side by side."""
    parser = ArgumentParser(prog="python -m training plot", exit_on_error=False)
    parser.add_argument("runs", nargs="+", help="the folder of a run, or of two to compare")
    parser.add_argument("--out", required=True, help="folder of the figures, new or empty")
    parser.add_argument("--format", default="png", choices=("png", "pdf"))
    add_checkpoint(parser)
    options = parsed(parser, arguments)
    from training import pictures  # needs matplotlib, which only this command does

    out = Path(options.out)
    pictures.check_new(out)
    views = pictures.views_of(options.runs, options.checkpoint, options.trust)
    for path in pictures.write(views, out, options.format):
        print(printable(str(path)))


# --- report, flow ---------------------------------------------------------------------------------


def _report(arguments):
    """Writes the interactive page of runs."""
    parser = ArgumentParser(prog="python -m training report", exit_on_error=False)
    parser.add_argument("runs", nargs="+", help="folders of runs; those of one data set compared")
    parser.add_argument("--out", default="report.html", help="a new .html file")
    add_checkpoint(parser)
    options = parsed(parser, arguments)
    from training import report  # needs plotly and matplotlib, which no other command does

    report.check_new(options.out)
    chapters = report.chapters_of(options.runs, options.checkpoint, options.trust)
    report.write(chapters, options.out)
    size = Path(options.out).stat().st_size / 1e6
    print(printable(f"{options.out} ({size:.1f} MB): open it in a browser"))


def _flow(arguments):
    """Lets a decoder flow; writes a table and a picture."""
    from training.flows import command  # needs matplotlib

    for path in command.run(parsed(command.parser(), arguments)):
        print(printable(str(path)))


# --- study ----------------------------------------------------------------------------------------


def _study(arguments):
    parser = ArgumentParser(prog="python -m training study", exit_on_error=False)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--configs", nargs="+", help="YAML files of fit")
    kind.add_argument("--design", help="YAML file of an ablation: training/studies")
    parser.add_argument("--seeds", nargs="+", type=int, help="of --configs; 0 to 4 by default")
    parser.add_argument("--jobs", type=int, default=1, help="runs of --design at a time")
    parser.add_argument("--out", default="results", help="folder of the numbers and the table")
    parser.add_argument("--runs", default="runs", help="folder of the runs")
    parser.add_argument(
        "--ledger", help="JSON file of the numbers of runs of --design, to go on elsewhere"
    )
    own, overrides = _split(arguments, "--")
    options = parsed(parser, own)
    if options.design:
        if overrides or options.seeds:
            raise TrainingError("A design has its own seeds and options: write them into it.")
        ablate(options.design, options.out, options.runs, options.jobs, options.ledger)
        return
    if options.ledger:
        raise TrainingError("--ledger is of --design.")
    seeds = options.seeds or [0, 1, 2, 3, 4]
    study(options.configs, seeds, options.out, options.runs, overrides, _fit, _change)


def _split(arguments, separator):
    """What stands before and after the separator."""
    if separator not in arguments:
        return arguments, []
    place = arguments.index(separator)
    return arguments[:place], arguments[place + 1 :]
