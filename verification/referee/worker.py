"""Runs in a library's own environment: ``python worker.py JOBS ANSWERS``.

It imports numpy, the adapter and :mod:`verification.referee.plain`, by their files, and nothing
else of the project. JOBS is JSON, each of a case in one dtype; of every quantity a line of JSON is
appended to ANSWERS: what was got, or the exception's words, and seconds of a call.

A Peer takes a decoder and answers to the names of the quantities, in the conventions of
``curvcore`` (:mod:`verification.referee.adapters`). The first call, which may compile, is not
timed; what takes more than LIMIT seconds is given up. Times are of the processor, one thread, lest
other work on the machine count.
"""

import contextlib
import importlib.util
import json
import signal
import statistics
import sys
import time
import warnings
from functools import partial

import numpy as np

LIMIT = 120  # seconds of a call
TIMING_LIMIT = 10  # seconds from which on a larger batch is not tried, judged by the smaller one
BUDGET = 0.3  # seconds of a call from which on one is timed
GROUP, REPEATS, MOST = 0.1, 5, 1000  # seconds of a group of calls, groups, and calls in one at most
LONGEST = 300  # characters of an exception


class LateError(Exception):
    """Its time has passed."""


def loaded(path, name):
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(jobs_path, answers_path):
    """Answer all jobs, one after the other."""
    with open(jobs_path) as file:
        jobs = json.load(file)
    with open(answers_path, "a") as answers:
        for number, job in enumerate(jobs):

            def write(number=number, **answer):
                answers.write(json.dumps({"job": number, **answer}) + "\n")
                answers.flush()

            write()
            answer_job(job, write)


def answer_job(job, write):
    """Write what becomes of each quantity of a job."""
    try:
        function, weights = loaded(job["plain"], "plain").DECODERS[job["case"]]
        adapter = loaded(job["adapter"], "adapter")
        peer = adapter.Peer(function, weights, job["dtype"], tuple(job["shape"]))
        write(versions=versions(job["packages"]))
    except Exception as error:
        write(broken=described(error))
        return
    for quantity in job["quantities"]:
        write(quantity=quantity, **answered(peer, quantity, job))


def answered(peer, quantity, job):
    """One quantity: value and seconds by size, or that it is absent, or an exception's words."""
    method = getattr(peer, quantity, None)
    if method is None:
        return {"absent": True}
    arguments = given(peer, job["arguments"][quantity])
    try:
        value = np.asarray(peer.numpy(limited(method, arguments)[0]))
        taken = seconds(method, arguments)
    except Exception as error:
        return {"error": described(error)}
    times = {str(len(arguments[0])): taken}
    batch = job["batches"].get(quantity)
    if batch:
        size = len(batch[0])
        times[str(size)] = "late"
        if taken * size / len(arguments[0]) < TIMING_LIMIT:
            with contextlib.suppress(Exception):  # right answers are a matter of the points above
                larger = given(peer, batch)
                limited(method, larger)
                times[str(size)] = seconds(method, larger)
    return {"value": value.astype(float).tolist(), "dtype": str(value.dtype), "seconds": times}


def given(peer, arguments):
    """Arguments as the library's arrays."""
    return [peer.array(np.array(argument)) for argument in arguments]


def seconds(method, arguments):
    """The median over groups of calls, after a first one, of the seconds of a call.

    Groups take long beside the ticks in which some systems count the processor's time.
    """
    second = limited(method, arguments)[1]
    if second > BUDGET:
        return second
    several = partial(_repeated, method, max(1, round(GROUP / max(second, GROUP / MOST))))
    count = several.args[1]
    return statistics.median(limited(several, arguments)[1] / count for _ in range(REPEATS))


def _repeated(method, count, *arguments):
    for _ in range(count):
        method(*arguments)


def limited(method, arguments, limit=LIMIT):
    """A call's value and its seconds of the processor, so many at most."""
    signal.signal(signal.SIGPROF, partial(_late, limit))
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            started = time.process_time()
            value = method(*arguments)
            return value, time.process_time() - started
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _late(limit, signum, frame):
    raise LateError(f"no answer within {limit} s")


def described(error):
    """Its kind and words."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def versions(packages):
    """Name -> release, of those that are installed."""
    from importlib import metadata

    found = {"python": sys.version.split()[0]}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
