"""Runs that several modules look at; do not write there."""

import functools
import shutil

import pytest

from tests.support.chromium import NoBrowserError, browser
from tests.support.small_designs import write_design
from tests.support.small_runs import CURVATURE, fit, gaussians
from training.report import chapters_of


@pytest.fixture(scope="module")
def chromium():
    """A browser without a network; tests that look at pages are skipped where there is none."""
    try:
        with browser() as found:
            yield found
    except NoBrowserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("runs") / "plain", gaussians(), epochs=3)


@pytest.fixture(scope="session")
def regularised(plain):
    return fit(plain.parent / "regularised", gaussians(), epochs=2, terms=CURVATURE)


@pytest.fixture(scope="session")
def chapter(plain, regularised):
    (chapter,) = chapters_of([plain, regularised])
    return chapter


@pytest.fixture(scope="session")
def solid(plain):
    """The chapter of a run with d = 3."""
    (chapter,) = chapters_of([fit(plain.parent / "solid", gaussians(), d=3)])
    return chapter


@pytest.fixture
def run(plain, tmp_path):
    """A copy of a run, to write to."""
    return shutil.copytree(plain, tmp_path / "run")


@pytest.fixture
def written(tmp_path):
    """Writes the small design, with changes, and returns its path."""
    return functools.partial(write_design, tmp_path)
