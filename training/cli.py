"""The commands ``fit``, ``evaluate``, ``encode`` and ``study``."""

import logging
from pathlib import Path

import numpy as np
import torch
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch.cli import LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console
from rich.table import Table

import curvcore
from training import runs
from training.data import UserFile
from training.datamodule import DataModule
from training.errors import TrainingError
from training.evaluation import Normalised, evaluate
from training.module import RegularizedAutoEncoder
from training.study import study

COMMANDS = ("fit", "evaluate", "encode", "study")
SHOWN = (
    "mse", "mse_raw", "r2", "median_abs_R_raw", "mean_R2_sqrt_det_g_raw", "mcn", "vor",
    "trustworthiness", "continuity", "knn_recall_at_10", "procrustes_disparity", "tear_score",
)  # fmt: skip


def run(arguments):
    """Run one command line."""
    if arguments[:1] in (["--help"], ["-h"]):
        print(f"python -m training {{{' | '.join(COMMANDS)}}} --help: see README.")
        return
    if not arguments or arguments[0] not in COMMANDS:
        got = arguments[0] if arguments else "nothing"
        raise TrainingError(f"The commands are {', '.join(COMMANDS)}; got {got}. See README.")
    command, *rest = arguments
    globals()[f"_{command}"](rest)


# --- fit ------------------------------------------------------------------------------------------


class _CLI(LightningCLI):
    def add_arguments_to_parser(self, parser):
        parser.add_argument("--run", default="runs/run", help="folder of this run, made new")
        parser.add_argument(
            "--resume", default=False, type=bool, nargs="?", const=True,
            help="go on with the run there",
        )  # fmt: skip

    def before_instantiate_classes(self):
        runs.check_new(self.config.run, self.config.resume)


class _SaveConfig(SaveConfigCallback):
    """The whole configuration, in the run's folder."""

    def setup(self, trainer, module, stage):
        """Written once, by the first process."""
        folder = Path(self.config.run)
        if trainer.is_global_zero and not (folder / runs.CONFIG).exists():
            folder.mkdir(parents=True, exist_ok=True)
            self.parser.save(self.config, folder / runs.CONFIG, skip_none=False)


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
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        cli = _CLI(
            RegularizedAutoEncoder,
            DataModule,
            args=arguments,
            run=False,
            seed_everything_default=0,
            trainer_defaults={**DEFAULTS, "callbacks": [runs.checkpointing()]},
            save_config_callback=_SaveConfig,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False},
        )
    except (ArgumentError, MisconfigurationException, ValueError) as error:
        raise TrainingError(_one_line(error)) from error
    cli.datamodule.check(len(cli.model.scale.mean), cli.trainer.world_size)
    cli.trainer.precision_plugin.convert_module(cli.model)  # before a checkpoint is loaded into it
    resume = str(Path(cli.config.run) / runs.LAST) if cli.config.resume else None
    if resume:
        runs.check_same(cli.config.run, cli.model, cli.parser.dump(cli.config, skip_none=False))
    cli.trainer.loggers = runs.loggers(cli.config.run, cli.config.resume)
    cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=resume)
    if cli.trainer.is_global_zero:
        _evaluate([cli.config.run])


def _one_line(error):
    cause = error
    while cause and not isinstance(cause, TrainingError):
        cause = cause.__cause__ or cause.__context__
    error = cause or error  # what this project's classes found wrong says more than who called them
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:600]


# --- evaluate -------------------------------------------------------------------------------------


def _evaluate(arguments):
    """Writes metrics.json on the held-out test part, and prints its main numbers."""
    options = _parsed(_parser("evaluate"), arguments)
    module, data = runs.load(options.run)
    metrics = held_out_metrics(module, data)
    runs.write_json(Path(options.run) / runs.METRICS, metrics)
    _show(options.run, metrics)


def held_out_metrics(module, data):
    """Metrics on the test part, in float64; also after ``linear_normalisation``."""
    module = module.double()
    test = data.parts[2]
    points = module.scale(torch.from_numpy(test.points))
    options = {"scale": module.scale.scale.item(), "chart": test.chart, "groups": test.groups}
    auto = module.autoencoder
    metrics = evaluate(auto.encoder, auto.decoder, points, **options)
    pair = Normalised.of(auto.encoder, auto.decoder, points)
    normalised = evaluate(pair.encode, pair.decode, points, **options)
    return metrics | {f"normalised_{key}": value for key, value in normalised.items()}


def _show(run, metrics):
    table = Table(title=f"{run}: held-out points", title_justify="left")
    for column in ("", "as trained", "after linear normalisation"):
        table.add_column(column, justify="left" if not column else "right")
    for key in SHOWN:
        if key in metrics:
            table.add_row(key, f"{metrics[key]:.4g}", f"{metrics['normalised_' + key]:.4g}")
    Console().print(table)


# --- encode ---------------------------------------------------------------------------------------


def _encode(arguments):
    """Writes latent points, R and the metric of every point of a file."""
    parser = _parser("encode")
    parser.add_argument("--data", required=True, help="points (n, D): .npy, .npz, .csv, .parquet")
    parser.add_argument("--out", required=True, help="a new .npz file")
    options = _parsed(parser, arguments)
    out = Path(options.out)
    if out.exists() or not out.absolute().parent.is_dir() or out.suffix != ".npz":
        raise TrainingError(f"--out {out} must be a new .npz file in a folder that exists.")
    module, _ = runs.load(options.run)
    points = torch.from_numpy(UserFile(options.data).load().points)
    if points.shape[1] != len(module.scale.mean):
        raise TrainingError(
            f"--data {options.data} holds points of dimension {points.shape[1]}; the model of "
            f"{options.run} takes {len(module.scale.mean)}."
        )
    with torch.no_grad():
        module = module.double()
        z = module.encode(points)
        geometry = curvcore.pullback(module.decode, z, on_degenerate="nan", chunk_size=4096)
        arrays = {
            "z": z,
            "R": geometry.scalar,
            "metric": geometry.metric,
            "volume_density": geometry.volume_density,
            "reconstruction": geometry.value,
        }
    np.savez(out, **{name: array.numpy() for name, array in arrays.items()})
    print(f"{len(z)} points: {', '.join(arrays)} in raw units -> {out}")


# --- study ----------------------------------------------------------------------------------------


def _study(arguments):
    parser = ArgumentParser(prog="python -m training study", exit_on_error=False)
    parser.add_argument("--configs", nargs="+", required=True, help="YAML files of fit")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", default="results", help="folder of the numbers and the table")
    parser.add_argument("--runs", default="runs", help="folder of the runs")
    own, overrides = _split(arguments, "--")
    options = _parsed(parser, own)
    study(options.configs, options.seeds, options.out, options.runs, overrides, _fit)


def _split(arguments, separator):
    """What stands before and after the separator."""
    if separator not in arguments:
        return arguments, []
    place = arguments.index(separator)
    return arguments[:place], arguments[place + 1 :]


def _parser(command):
    parser = ArgumentParser(prog=f"python -m training {command}", exit_on_error=False)
    parser.add_argument("run", help="the run's folder")
    return parser


def _parsed(parser, arguments):
    try:
        return parser.parse_args(arguments)
    except ArgumentError as error:
        raise TrainingError(_one_line(error)) from error
