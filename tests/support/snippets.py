"""The Python blocks of README and of the pages in docs/, run as they stand there.

The blocks of a page run in order, in one namespace and an empty folder. Blocks may move from page
to page, so that nothing here is keyed by page or heading:

- a name that a block uses and that no block before it made is made by ``USUAL``;
- ``CARE`` knows a block by words in it, and says what it needs beforehand, what is smaller in a
  test, and what holds afterwards;
- a page may say so itself, on the line above a block: ``<!-- before: x = torch.zeros(3, 2) -->``,
  ``<!-- not run: needs a GPU -->``. Neither is shown.

Modules are not usual names: a page imports what it uses. A fence that nobody would run, ``py`` for
``python`` say, is an error. ``python snippets.py README.md ...`` runs pages without pytest, and
fails for a page without blocks; the file needs no other of the project.
"""

import ast
import contextlib
import os
import re
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

# In the order in which they are made; each may use those above it.
USUAL = {
    "decoder": "decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 9)).double()",
    "encoder": "encoder = nn.Sequential(nn.Linear(9, 16), nn.Tanh(), nn.Linear(16, 2)).double()",
    "z": "z = torch.randn(24, 2, dtype=torch.float64)",
    "x": "x = decoder(z).detach() + 0.01",
    "mse": "mse = (decoder(encoder(x)) - x).square().mean()",
    "geometry": "geometry = curvcore.pullback(decoder, z)",
    "v": "v = 0.1 * torch.randn_like(z)",
    "w": "w = torch.randn_like(z)",
    "weights": "weights = torch.full_like(z[:, 0], 1 / len(z))",
    "box": "box = torch.stack([z.amin(0), z.amax(0)], 1)",
    "moved": "moved = curvcore.exponential_map(decoder, z, v)",
    "labels": "labels = torch.randint(10, (len(z),))",
}
PRELUDE = "import torch\nfrom torch import nn\nimport curvcore\n"

VAE = """
from types import SimpleNamespace

class _Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 48))

    def forward(self, z):
        return {"sample": self.layers(z.flatten(1))}

class _Conditional(nn.Module):
    def __init__(self):
        super().__init__()
        self.label, self.layers = nn.Embedding(10, 32), nn.Linear(32, 48)

    def forward(self, z, y):
        return {"mean": self.layers((z.flatten(1) + self.label(y)).tanh())}

vae, conditional = SimpleNamespace(decode=_Decoder()), _Conditional()
z, labels = torch.randn(3, 2, 4, 4), torch.tensor([1, 7, 3])
"""
PLANE = "\n".join(USUAL[name] for name in ("decoder", "z", "v", "w", "weights", "box"))
REGION = "decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()\n"
REGION += "z = 0.3 * torch.randn(8, 2, dtype=torch.float64)"


LOOP = "\n".join(USUAL[name] for name in ("decoder", "encoder", "z", "x", "mse"))


@dataclass(frozen=True)
class Care:
    """What the block in which ``words`` stand needs, to run in seconds and to be looked at."""

    words: str = ""
    before: str = ""
    fewer: tuple[str, str] = ("", "")  # what stands there, and what runs in its place
    after: str = ""
    slow: bool = False
    not_run: str = ""


CARE = [
    Care("curvcore.pullback(vae.decode", VAE, after="assert bound is not None"),
    Care("deep = nn.Sequential(", slow=True),
    Care("found = curvcore.geodesic(decoder, z, w)", slow=True),
    Care("found = curvcore.distance_matrix(", slow=True),
    Care("loss = mse + 1e-2 * functional(", LOOP),
    Care("certificate = certify(", PLANE + "\n" + USUAL["geometry"]),
    Care("region = certify_region(", REGION, slow=True, after="assert region.is_immersion"),
    Care("found = certify_geodesic(", slow=True, after="assert found.proved"),
    Care(
        "model.report(",
        fewer=("max_epochs=100", "max_epochs=2"),
        after="from pathlib import Path\n"
        "assert Path('report.html').stat().st_size > 1e6\n"
        "assert Path('latents.png').stat().st_size > 1e4",
        slow=True,
    ),
    Care("images = X.reshape(", fewer=("max_epochs=100", "max_epochs=2"), slow=True),
    Care(
        "Trainer(max_epochs=100)",
        fewer=("max_epochs=100", "max_epochs=1, logger=False, accelerator='cpu'"),
        after="assert module.scale.scale > 1",
        slow=True,
    ),
]


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    code: str
    care: Care


def markdown(root):
    """README and all pages of docs/."""
    pages = sorted((root / "docs").rglob("*.md"))
    return [root / "README.md", *(page for page in pages if "_build" not in page.parts)]


def pages(root):
    """Those that have blocks of Python, without those with a header of jupytext."""
    return [page for page in markdown(root) if not _is_a_tutorial(page) and blocks(page)]


def _is_a_tutorial(page):
    header = re.match(r"---\n(.*?)\n---\n", page.read_text(encoding="utf-8"), re.DOTALL)
    return header is not None and "jupytext" in header[1]


FENCE = re.compile(
    r"(?:^[ ]*<!-- (?P<key>before|not run): (?P<text>[^\n]*?) -->\s*?\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w+|\{[\w-]+\})[^\n`]*\n(?P<code>.*?)^[ ]*```[ ]*$",
    re.DOTALL | re.MULTILINE,
)
LANGUAGES = {"diff", "python", "sh", "text", "yaml", "{include}", "{toctree}"}
IN_TUTORIALS = {"{code-cell}"}  # run as the site is built
# A line that begins or ends a block in Markdown, also in quotations and lists; but for cards.
MARK = re.compile(
    r"(?:[>*+\s-]|\d+[.)])*(?:`{3,}|~{3,}|:{3,}(?=[^:]*\w)(?!:|\{grid(?:-item-card)?\}))"
)


def unknown_fences(page):
    """``page:line: text`` of each line that begins or ends a block of no known language."""
    text = Path(page).read_text(encoding="utf-8")
    known = LANGUAGES | (IN_TUTORIALS if _is_a_tutorial(page) else set())
    found = [match for match in FENCE.finditer(text) if match["language"] in known]
    of_blocks = {_line(text, match.start("indent")) for match in found}
    of_blocks |= {_line(text, match.end()) for match in found}
    lines = enumerate(text.split("\n"), 1)
    return [f"{page.name}:{n}: {t}" for n, t in lines if n not in of_blocks and MARK.match(t)]


def _line(text, position):
    return text.count("\n", 0, position) + 1


def blocks(page, language="python"):
    """The blocks of this language of a page, in order."""
    text = Path(page).read_text(encoding="utf-8")
    return [_block(page, text, m) for m in FENCE.finditer(text) if m["language"] == language]


def _block(page, text, match):
    code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
    care = next((care for care in CARE if care.words in code), Care())
    if match["key"]:
        care = replace(care, **{match["key"].replace(" ", "_"): match["text"]})
    return Block(Path(page), _line(text, match.start("code")), code, care)


def run(page_blocks, on_block=contextlib.nullcontext):
    """Run blocks in one namespace, in the folder that is current; the namespace."""
    names = {"__name__": "snippet"}
    for block in page_blocks:
        if not block.care.not_run:
            with on_block():
                _run_block(block, names)
    return names


def _run_block(block, names):
    old, new = block.care.fewer
    if old not in block.code:
        raise ValueError(f"{block.page.name}:{block.line} has no {old!r} any more: see CARE")
    given = _made(block.care.before, names)
    outside = {name: names[name] for name in given if name in names}
    names.update(given)
    names.update(_made(_usual(block.code, names), names))
    # Lines of a traceback are those of the page.
    code = "\n" * (block.line - 1) + (block.code.replace(old, new) if old else block.code)
    exec(compile(code, str(block.page), "exec"), names)
    exec(block.care.after, names)
    _take_back(given, outside, names)


def _take_back(given, outside, names):
    """What was made before a block is for that block alone, unless the block changed it."""
    for name in [name for name in given if names.get(name) is given[name]]:
        del names[name]
        names.update({name: outside[name]} if name in outside else {})


def _made(code, names):
    """The names that code makes, which may use those that are there, torch, nn and curvcore."""
    there = {}
    exec(PRELUDE, there)
    there.update(names)
    start = dict(there)
    exec(code, there)
    return {key: value for key, value in there.items() if start.get(key) is not value}


def _usual(code, names):
    """The code that makes the usual names which a block uses and which are not there."""
    missing = {name: made for name, made in USUAL.items() if name not in names}
    wanted = _used(code) & set(missing)
    for name in reversed(missing):  # what is wanted may want those above it
        if name in wanted:
            wanted |= _used(missing[name]) & set(missing)
    return "\n".join(made for name, made in missing.items() if name in wanted)


def _used(code):
    """The names that code reads before a statement of its own makes them."""
    read, made = set(), set()
    for statement in ast.parse(code).body:
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        parameters = {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
        read |= {n.id for n in names if isinstance(n.ctx, ast.Load)} - made - parameters
        made |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return read


def main(arguments):
    """Run the pages named, each in an empty folder; the exit code."""
    ran = [_runs(Path(page).resolve()) for page in arguments]
    return int(not all(ran))


def _runs(page):
    """Whether a page runs; prints how long it took, or why it does not."""
    found, start = blocks(page), time.perf_counter()
    errors = [f"unknown fence, which is not run: {where}" for where in unknown_fences(page)]
    errors += [] if found else [f"{page.name} has no block of Python"]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            run(found)
        except (Exception, SystemExit) as error:  # a block that exits with 0 leaves the others out
            traceback.print_exc()
            errors.append(f"{type(error).__name__}: {error}")
    for error in errors:
        print(f"Error: {error}", file=sys.stderr)
    left_out = sum(bool(block.care.not_run) for block in found)
    how = "FAILED" if errors else f"{time.perf_counter() - start:.0f} s"
    print(f"{page.name}: {len(found)} blocks, {left_out} not run, {how}")
    return not errors


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    sys.exit(main(sys.argv[1:]))
