"""Fixtures of several files."""

import shutil

import pytest

from tests.support.atlases import written


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """An atlas; not to be written to."""
    return written(tmp_path_factory.mktemp("atlas") / "whole")


@pytest.fixture
def copy(whole, tmp_path):
    """The same atlas, to be written to."""
    return shutil.copytree(whole, tmp_path / "copy")
