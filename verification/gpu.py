"""``python -m verification.gpu``: tests, benchmark, step time and check on a GPU, in five minutes.

Each part is a process of its own. What it prints goes to a file of the folder ``--out``, what it
measures to JSON beside that, and ``summary.md`` says after every part how things stand. A part
whose software is not there is left out, one that takes too long is ended, and the rest goes on;
this module itself needs no more than Python. With ``--device cpu`` all is tried out in small.

Exit code: 0 some part passed and none failed, 1 one failed, took too long or found no time, or all
were left out, 2 bad usage.
"""

import argparse
import contextlib
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Seconds of each part out of the limit of all; what one does not need is left to the later ones,
# and what is left out leaves its time to the benchmark.
LIMIT = 300
TESTS, STEP_TIME, CHECK = 100, 20, 40
# The benchmark begins nothing new in the last seconds of its time.
LAST_MEASUREMENT = 30
PASSED, LEFT_OUT, NOT_RUN = "passed", "left out", "not run"
TAIL = 25


@dataclass(frozen=True)
class Part:
    """A command, the modules without which it makes no sense, and its time.

    Attributes:
        without: what it could have done besides, had more been installed.
    """

    name: str
    arguments: tuple
    modules: tuple
    seconds: float
    environment: dict = field(default_factory=dict)
    without: tuple = ()

    @property
    def missing(self):
        """The modules that are not installed."""
        return [module for module in ("torch", *self.modules) if find_spec(module) is None]


@dataclass(frozen=True)
class Outcome:
    """How a part ended: a word or two, why, and after how many seconds."""

    word: str
    reason: str = ""
    seconds: float = 0.0

    @property
    def is_failure(self):
        """Whether something is wrong, and not only absent."""
        return self.word not in (PASSED, LEFT_OUT)


# --- the parts ----------------------------------------------------------------------------------


def parts(device, out, limit):
    """The parts for a device, in the order of their importance; their times add up to ``limit``."""
    on_cuda = device.startswith("cuda")
    scale = limit / LIMIT
    tests = tests_part(on_cuda, TESTS * scale)
    step_times = [
        step_time_part(where, out, on_cuda, STEP_TIME * scale)
        for where in dict.fromkeys((device, "cpu"))
    ]
    check = check_part(device, out, CHECK * scale)
    others = [tests, *step_times, check]
    rest = limit - sum(part.seconds for part in others if not part.missing)
    return [tests, benchmark_part(device, out, on_cuda, rest), *step_times, check]


def tests_part(on_cuda, seconds):
    """The tests of the kernels, by Triton's interpreter without a GPU, and those that want CUDA."""
    kernels = sorted((ROOT / "tests" / "kernels").glob("test_*.py"))
    marked = [
        path
        for path in sorted((ROOT / "tests" / "curvcore").glob("test_*.py"))
        if "pytest.mark.cuda" in path.read_text()
    ]
    wanted = " or ".join(["cuda", *(path.name for path in kernels)])
    files = [str(path.relative_to(ROOT)) for path in (*kernels, *marked)]
    in_parallel = ("-n", "8") if on_cuda and find_spec("xdist") else ()
    return Part(
        "tests",
        ("pytest", "-q", *in_parallel, "-k", wanted, *files),
        ("pytest", "hypothesis", "triton"),
        seconds,
        {} if on_cuda else {"TRITON_INTERPRET": "1"},
    )


def benchmark_part(device, out, on_cuda, seconds):
    """All rows, growth and sweeps on CUDA, one small size elsewhere; plotted where possible."""
    optional = {"jax": ("--peers",), "matplotlib": ("--plot", str(out / "benchmark.png"))}
    chosen = [
        option for module, options in optional.items() if find_spec(module) for option in options
    ]
    small = ("--size", "2,32,2,16,256", "--route", "fused", "--route", "plain intrinsic", "--quick")
    return Part(
        "benchmark",
        (
            "verification.benchmark",
            *("--device", device, "--json", str(out / "benchmark.json")),
            *("--time-limit", f"{max(1.0, seconds - LAST_MEASUREMENT):.0f}", "--sweep"),
            *(("--growth",) if on_cuda else small),
            *chosen,
        ),
        ("rich", "typer"),
        seconds,
        without=tuple(module for module in optional if not find_spec(module)),
    )


def step_time_part(device, out, on_cuda, seconds):
    """One optimiser step with every functional."""
    name = f"step_time_{device.replace(':', '_')}"
    size = () if on_cuda else ("--batch", "64", "--width", "32")
    repeats = "30" if device != "cpu" else "5"
    arguments = (
        "--device",
        device,
        "--repeats",
        repeats,
        *size,
        "--json",
        str(out / f"{name}.json"),
    )
    return Part(name, ("training.step_time", *arguments), ("rich", "typer", "numpy"), seconds)


def check_part(device, out, seconds):
    """Every curvature against closed forms."""
    arguments = ("--quick", "--device", device, "--json", str(out / "check.json"))
    modules = ("rich", "typer", "sympy", "flint", "sklearn")
    return Part("check", ("verification.check", *arguments), modules, seconds)


# --- running them -------------------------------------------------------------------------------


def run(part, log, seconds):
    """Run a part for at most so many seconds, its output in the file ``log``: an Outcome."""
    if part.missing:
        return Outcome(LEFT_OUT, f"needs {', '.join(part.missing)}")
    if seconds <= 0:
        return Outcome(NOT_RUN, "no time is left")
    command = [sys.executable, "-m", *part.arguments]
    started = time.monotonic()
    with log.open("w") as file:
        file.write(f"$ {shlex.join(['python', *command[1:]])}\n")
        file.flush()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **part.environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that what it starts ends with it
        )
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return Outcome("ended", f"after {seconds:.0f} s", time.monotonic() - started)
        finally:
            _end(process)
    taken = time.monotonic() - started
    return (
        Outcome(PASSED, "", taken) if code == 0 else Outcome("failed", f"exit code {code}", taken)
    )


def _end(process):
    """End a process and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_all(chosen, out, limit, header):
    """Run the parts one after the other; their Outcomes by name, in summary.md as they come."""
    started = time.monotonic()
    outcomes = {}
    allowed = 0.0
    for part in chosen:
        allowed += 0 if part.missing else part.seconds
        log = out / f"{part.name}.log"
        remaining = min(allowed, limit) - (time.monotonic() - started)
        outcomes[part.name] = run(part, log, remaining)
        (out / "summary.md").write_text(summary(chosen, outcomes, out, header))
        print(_line(part, outcomes[part.name]), flush=True)
    return outcomes


# --- the summary --------------------------------------------------------------------------------


def summary(chosen, outcomes, out, header):
    """The text of summary.md: how every part ended, the targets, the ends of what went wrong."""
    lines = [f"# {header}", "", "| part | outcome | seconds | without |", "|---|---|---|---|"]
    for part in chosen:
        outcome = outcomes.get(part.name, Outcome(NOT_RUN, "yet"))
        cells = part.name, _word(outcome), f"{outcome.seconds:.0f}", ", ".join(part.without)
        lines.append(f"| {' | '.join(cells)} |")
    lines += _targets(out / "benchmark.json")
    for name, outcome in outcomes.items():
        log = out / f"{name}.log"
        if outcome.is_failure and log.exists():
            tail = log.read_text(errors="replace").splitlines()[-TAIL:]
            lines += ["", f"## {name}: {_word(outcome)}", "", "```", *tail, "```"]
    return "\n".join(lines) + "\n"


def _targets(path):
    """Lines on the targets that the benchmark's JSON tells of."""
    if not path.exists():
        return []
    verdicts = json.loads(path.read_text())["targets"]
    if not verdicts:
        return []
    lines = ["", "| target | bound | fused | best | met |", "|---|---|---|---|---|"]
    for v in verdicts:
        fused, best = ("" if v[key] is None else f"{v[key]:.3g}" for key in ("fused", "best"))
        lines.append(
            f"| {v['subject']}, {v['direction']} | {v['bound']} {v['measure']} "
            f"| {fused} | {best} {v['best_route'] or ''} | {_YES_OR_NO[v['is_met']]} |"
        )
    return lines


_YES_OR_NO = {True: "yes", False: "no", None: "not measured"}


def _line(part, outcome):
    without = f", without {', '.join(part.without)}" if part.without else ""
    return f"{part.name}: {_word(outcome)} in {outcome.seconds:.0f} s{without}"


def _word(outcome):
    return f"{outcome.word}: {outcome.reason}" if outcome.reason else outcome.word


def main(arguments=None):
    """Run all parts; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m verification.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="torch device, such as cuda or cpu")
    parser.add_argument("--out", type=Path, required=True, help="folder, made where there is none")
    parser.add_argument("--time-limit", type=float, default=LIMIT, help="seconds of all parts")
    options = parser.parse_args(arguments)
    out = options.out.absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out: {error}")
    chosen = parts(options.device, out, options.time_limit)
    torch = metadata.version("torch") if find_spec("torch") else "not installed"
    header = f"{options.device}, torch {torch}, Python {platform.python_version()}"
    outcomes = run_all(chosen, out, options.time_limit, header)
    print(out / "summary.md")
    words = [outcome.word for outcome in outcomes.values()]
    return int(PASSED not in words or any(outcome.is_failure for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
