"""The site builds without a warning, tutorials run, and every public name is in the reference."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="pip install '.[docs]'")

ROOT = Path(__file__).parents[1]
PUBLIC = ("curvcore", "curvcore.atlases", "training", "training.functionals", "training.evaluation",
          "training.flows", "training.data", "verification")  # fmt: skip
# Modules, helpers of the project's own commands, and numbers.
NOT_DOCUMENTED = {
    "curvcore.__version__", "curvcore.atlases.files", "curvcore.atlases.one_thread",
    "curvcore.atlases.rank_of_this", "training.flows.pairing", "training.flows.MinimalPotential",
    "training.flows.fourier", "training.flows.spherical",
}  # fmt: skip
FROM_ELSEWHERE = re.compile(
    r"""(?:(?:src|srcset|<link[^>]*href)=["']|@import[^;]*)(?:https?:)?//[^"']*"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    built = tmp_path_factory.mktemp("site")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [
            *command,
            *("-D", f"nb_execution_cache_path={built / 'notebooks'}"),  # all run anew
            *("-d", built / "doctrees", ROOT / "docs", built / "html"),
        ],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return built / "html"


@pytest.fixture(scope="module")
def names(site):
    """Names of all objects that the reference documents."""
    from sphinx.util.inventory import InventoryFile

    with open(site / "objects.inv", "rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, uri: uri)
    return {name for kind, of_kind in inventory.items() if kind[:3] == "py:" for name in of_kind}


@pytest.mark.slow
@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module, names):
    public = {f"{module}.{name}" for name in importlib.import_module(module).__all__}
    last = {name.rpartition(".")[2] for name in names}
    missing = {name for name in public - names if name.rpartition(".")[2] not in last}
    assert missing <= NOT_DOCUMENTED, missing - NOT_DOCUMENTED


@pytest.mark.slow
def test_pages_need_no_network(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    found = {page.name: FROM_ELSEWHERE.findall(page.read_text("utf-8")) for page in pages}
    assert not {name: links for name, links in found.items() if links}


@pytest.mark.slow
def test_formulas_are_drawn_by_the_browser(site):
    assert "<math" in (site / "index.html").read_text("utf-8")
    assert "<sub>ij</sub>" in (site / "reference" / "geometry.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "set_as"),
    [
        ("⟨∂_iΨ, ∂_jΨ⟩", "⟨∂[_i]Ψ, ∂[_j]Ψ⟩"),
        ("∂_i∂_jΨ^a", "∂[_i]∂[_j]Ψ[^a]"),
        ("J_kᵀJ_k", "J[_k]ᵀJ[_k]"),
        ("|Ric_ab²|", "|Ric[_ab]²|"),
        ("g^{ij} Γ^k_ij", "g[^{ij}] Γ[^k_ij]"),
        ("S_ij,kl, e^−2u, R^D", "S[_ij,kl], e[^−2u], R[^D]"),
        ("n_jobs, x_train, d_model, 0.1_ij", "n_jobs, x_train, d_model, 0.1_ij"),
    ],
)
def test_indices_of_formulas(text, set_as, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "extensions")
    assert importlib.import_module("indices").INDEXED.sub(r"\1[\2]", text) == set_as


def test_readme_has_the_errors_of_the_last_check():
    readme = (ROOT / "README.md").read_text("utf-8")
    results = json.loads((ROOT / "results" / "verification.json").read_text("utf-8"))["results"]
    for formula in ("gauss", "intrinsic"):
        row = re.search(rf'`formula="{formula}"` \| (\S+) \| (\S+) \|', readme)
        for dtype, cell in zip(("float64", "float32"), row.groups(), strict=True):
            errors = (
                r["error"]
                for r in results
                if r["section"] == "manifolds" and (r["formula"], r["dtype"]) == (formula, dtype)
            )
            assert float(cell) == float(f"{max(errors):.1e}")


@pytest.mark.slow
def test_tutorials_have_output(site):
    for page in (ROOT / "docs" / "tutorials").glob("*.md"):
        if page.stem != "index":
            built = (site / "tutorials" / f"{page.stem}.html").read_text("utf-8")
            assert "cell_output" in built, page.stem
