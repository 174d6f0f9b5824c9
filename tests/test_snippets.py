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
MARKDOWN = [*snippets.markdown(ROOT), *sorted(set(ROOT.glob("*.md")) - {ROOT / "README.md"})]
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


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_of_a_page_is_overlooked(page):
    assert snippets.unknown_fences(page) == []


GOOD = "```python\nassert True\n```\n"
OVERLOOKED = ["```py", "```Python", "``` python", "~~~python", "````python", "> ```python",
              "- ```python", "```", "```{code-cell}", ":::{code-block} python"]  # fmt: skip


@pytest.mark.parametrize("fence", OVERLOOKED)
def test_a_fence_of_another_kind_is_an_error_with_its_line(fence, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"{GOOD}\n{fence}\nassert False\n")
    assert snippets.main([page]) == 1
    told = capsys.readouterr()
    assert f"page.md:5: {fence}\n" in told.err
    assert "page.md: 1 blocks, 0 not run, FAILED" in told.out


def test_known_fences_are_none(tmp_path):
    page = tmp_path / "page.md"
    card = "::::{grid} 1 2\n:::{grid-item-card} A\n[a](b.md)\n:::\n::::\n"
    page.write_text(f"{card}- a list:\n\n  ```sh\n  ls\n  ```\n```{{toctree}}\na\n```\n{GOOD}")
    assert snippets.main([page]) == 0


@pytest.mark.parametrize(
    "text",
    ["", "Nothing to run.\n", f"```python\nimport sys\nsys.exit(0)\n```\n{GOOD}"],
    ids=["empty", "no block", "exits with 0"],
)
def test_a_page_of_which_nothing_or_not_all_runs_fails(text, tmp_path):
    (tmp_path / "page.md").write_text(text)
    assert snippets.main([tmp_path / "page.md"]) == 1


def test_a_comment_is_of_the_block_right_below_it_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"<!-- not run: x -->\n{GOOD}\n<!-- not run: x -->\n\nText <!-- a -->\n{GOOD}")
    assert [block.care.not_run for block in snippets.blocks(page)] == ["x", ""]
    page.write_text(f"<!-- not run: x -->\n\nText.\n\n<!-- a -->\n{GOOD}")
    assert [block.care.not_run for block in snippets.blocks(page)] == [""]


def test_ten_lines_of_python_are_no_more():
    for block in ALL:
        if "model.report(" in block.code:
            assert len([line for line in block.code.splitlines() if line.strip()]) <= 12
