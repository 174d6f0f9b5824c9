"""README and the pages of docs/ do what they say: every Python block runs, in the order it stands.

What blocks need beforehand, and which are not run, is told in :mod:`tests.support.snippets`.
"""

import contextlib
from pathlib import Path

import pytest

from tests.support import snippets

ROOT = Path(__file__).parents[1]
PAGES = {str(page.relative_to(ROOT)): snippets.blocks(page) for page in snippets.pages(ROOT)}
SLOW = [name for name, blocks in PAGES.items() if any(block.care.slow for block in blocks)]
ALL = [block for blocks in PAGES.values() for block in blocks]

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
    pytest.mark.usefixtures("in_an_empty_folder"),
]


@pytest.fixture
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@contextlib.contextmanager
def quiet():
    """Other packages' remarks about themselves are no errors of a page."""
    training_quiet = pytest.importorskip("training.quiet")
    with training_quiet.quiet():
        yield


@pytest.mark.parametrize("page", PAGES)
def test_a_page(page):
    snippets.run([block for block in PAGES[page] if not block.care.slow])


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_a_page_with_its_slow_blocks(page):
    snippets.run(PAGES[page], on_block=quiet)


@pytest.mark.parametrize("care", snippets.CARE, ids=lambda care: care.words.partition("(")[0])
def test_what_is_cared_for_is_there(care):
    """An entry that no block needs any more goes; one that matches two pages' is of both."""
    found = [block.page for block in ALL if care.words in block.code]
    assert len(set(found)) == len(found) > 0


def test_ten_lines_of_python_are_no_more():
    for block in ALL:
        if "model.report(" in block.code:
            assert len([line for line in block.code.splitlines() if line.strip()]) <= 12
