"""One library on all cases: jobs for its worker, answers, and the record that becomes its JSON."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import curvcore
from verification.referee import cases, plain, score, worker
from verification.referee.environments import NotInstalledError, interpreter

ROOT = Path(__file__).parents[2]
JOB_LIMIT = 3600  # seconds of one case in one dtype, on average
THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def trial(library, truths, folder, progress=lambda words: None):
    """The record of a library: what each answer is worth, or why it is not run."""
    record = described(library)
    try:
        python = interpreter(library, folder)
    except NotInstalledError as error:
        return {**record, "not_run": str(error)}
    asked = [
        (truth, dtype) for truth in truths for dtype in truth.case.dtypes if dtype in library.dtypes
    ]
    results, versions = [], {}
    for (truth, dtype), answers in zip(asked, ask(library, asked, python, progress), strict=True):
        versions |= answers.get("versions", {})
        for quantity in truth.case.asked(dtype):
            found = answers.get(quantity, {"error": answers.get("broken", "no answer")})
            results.append(score.scored(library, truth, dtype, quantity, found))
    return {**record, "versions": versions, "results": results}


def described(library):
    """What a record says of a library, whatever it answers."""
    return {
        "library": library.name,
        "package": library.package,
        "release": library.release or curvcore.__version__,
        "requirements": list(library.requirements),
        "settings": library.settings,
        "never_run": library.never_run,
    }


def ask(library, asked, python, progress=lambda words: None):
    """Of each (Truth, dtype) a dict quantity -> answer.

    A worker that ends before its time has broken at the last job that it began, and another one
    goes on behind that.
    """
    found = []
    while len(found) < len(asked):
        rest = asked[len(found) :]
        progress(f"{library.name}: {', '.join(truth.case.name for truth, _ in rest)}")
        with tempfile.TemporaryDirectory() as folder:
            jobs, answers = Path(folder, "jobs.json"), Path(folder, "answers.jsonl")
            jobs.write_text(json.dumps([_job(library, truth, dtype) for truth, dtype in rest]))
            answers.touch()
            words = _run([python, "-P", worker.__file__, jobs, answers], library, len(rest))
            lines = [json.loads(line) for line in answers.read_text().splitlines()]
        found += _by_job(lines)
        if words and not lines:
            found.append({})
        if words:
            found[-1].setdefault("broken", words)
    return found


def _by_job(lines):
    found = []
    for line in lines:
        number = line.pop("job")
        if number == len(found):
            found.append({})
        if "quantity" in line:
            found[number][line.pop("quantity")] = line
        else:
            found[number] |= line
    return found


def _job(library, truth, dtype):
    case = truth.case
    return {
        "plain": plain.__file__,
        "adapter": str(library.path),
        "case": case.name,
        "dtype": dtype,
        "shape": [case.dimension, truth.ambient],
        "packages": sorted({"torch", library.package, *map(_package, library.requirements)}),
        "quantities": case.asked(dtype),
        "arguments": {q: arguments(truth, q) for q in case.asked(dtype)},
        "batches": {q: [case.many.tolist()] for q in cases.IN_BATCHES},
    }


def arguments(truth, quantity):
    """What a quantity is asked of."""
    z = truth.case.points
    if quantity not in cases.GEODESICS:
        return [z.tolist()]
    other = truth.values["velocities" if quantity == "exponential" else "ends"]
    return [z[: cases.PAIRS].tolist(), other.tolist()]


def _run(command, library, jobs):
    """Run a worker; why it ended before its time, or ""."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= THREADS | library.variables
    if not library.requirements:
        environment["PYTHONPATH"] = str(ROOT)
    process = subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=jobs * JOB_LIMIT)
    except subprocess.TimeoutExpired:
        return f"ended after {jobs * JOB_LIMIT} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = [line for line in errors.splitlines() if line.strip()][-1:]
    return "" if process.returncode == 0 else (last or [f"exit code {process.returncode}"])[0]


def _package(requirement):
    return requirement.partition("==")[0].partition(" @ ")[0]
