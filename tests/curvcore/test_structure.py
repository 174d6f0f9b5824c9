"""The shape of the house: public names, import arrows, and what `import curvcore` loads."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import curvcore
from curvcore.providers import PROVIDERS
from tests.support import decoders
from tests.support.arrows import ARROWS

ROOT = Path(curvcore.__file__).parents[1]
PUBLIC_NAMES = {
    "BrownianMotion",
    "CurvatureAlong",
    "Distances",
    "FrechetMean",
    "KMeans",
    "Neighbours",
    "VolumeSample",
    "AtlasError",
    "CurvatureError",
    "CurvatureMap",
    "DecoderError",
    "DegenerateMetricError",
    "Ensemble",
    "EstimatedGeometry",
    "Exponential",
    "FallbackWarning",
    "Geodesic",
    "Hutchinson",
    "InputError",
    "Jet",
    "LatentGrid",
    "Logarithm",
    "PiecewiseLinearWarning",
    "PullbackGeometry",
    "RowsNotIndependentError",
    "ScalarEstimate",
    "UnsupportedOperationError",
    "__version__",
    "atlas",
    "atlases",
    "bind",
    "curvature_map",
    "draw_curvature",
    "estimate_scalar_curvature",
    "estimated_geometry",
    "exponential_map",
    "geodesic",
    "jet",
    "likelihoods",
    "metric",
    "parallel_transport",
    "path_length",
    "plot_curvature",
    "pullback",
    "read_atlas",
    "rules",
    "scalar_curvature",
    "sectional_curvature",
    "ricci_curvature",
    "logarithm_map",
    "mean_curvature",
    "distance_matrix",
    "geodesic_neighbours",
    "brownian_motion",
    "curvature_along",
    "frechet_mean",
    "riemannian_kmeans",
    "sample_volume",
}
HEAVY = [
    "anndata",
    "pandas",
    "pyarrow",
    "triton",
    "sympy",
    "flint",
    "sklearn",
    "matplotlib",
    "plotly",
    "rich",
    "verification",
    "training",
]
LIGHT = {
    "collections",
    "contextlib",
    "contextvars",
    "importlib",
    "os",
    "dataclasses",
    "dis",
    "runpy",
    "inspect",
    "functools",
    "glob",
    "hashlib",
    "html",
    "itertools",
    "json",
    "math",
    "numbers",
    "numpy",
    "operator",
    "pathlib",
    "shutil",
    "sys",
    "tempfile",
    "threading",
    "torch",
    "traceback",
    "types",
    "typing",
    "warnings",
    "weakref",
}


def files_of(package):
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def imported(tree, body_only=False):
    """Full names that the statements import; ``from a import b`` is a.b where that is a module."""
    for node in tree.body if body_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if is_module(full) else node.module


def imports_of(path, **options):
    return set(imported(ast.parse(path.read_text(encoding="utf-8")), **options))


def top(name):
    return name.partition(".")[0]


def test_public_names():
    assert set(curvcore.__all__) == PUBLIC_NAMES
    assert curvcore.__all__ == sorted(curvcore.__all__)
    assert all(hasattr(curvcore, name) for name in curvcore.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC_NAMES - {"__version__"}))
def test_public_names_are_documented(name):
    assert getattr(curvcore, name).__doc__


def test_the_case_table_runs_over_every_provider():
    assert set(decoders.PROVIDERS) == set(PROVIDERS)


def test_every_module_has_its_arrows():
    assert {name_of(path) for path in files_of("curvcore")} == set(ARROWS)


@pytest.mark.parametrize("module", ARROWS)
def test_import_arrows(module):
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    own = {name.removeprefix("curvcore.") for name in imports_of(path) if top(name) == "curvcore"}
    assert own == ARROWS[module]


@pytest.mark.parametrize("path", files_of("curvcore"), ids=name_of)
def test_curvcore_imports_nothing_heavy(path):
    at_import = {top(name) for name in imports_of(path, body_only=True)}
    lazy = {"triton"} if name_of(path).startswith("curvcore.kernels.") else set()
    assert at_import <= LIGHT | {"curvcore"} | lazy
    assert not {top(name) for name in imports_of(path)} & {"training", "verification"}


@pytest.mark.parametrize("path", files_of("verification"), ids=name_of)
def test_verification_does_not_import_training(path):
    assert "training" not in {top(name) for name in imports_of(path)}


@pytest.mark.parametrize("path", files_of("training"), ids=name_of)
def test_training_imports_public_names_only(path):
    names = imports_of(path)
    assert "verification" not in {top(name) for name in names}
    assert {name for name in names if top(name) == "curvcore"} <= {"curvcore"}


def test_import_curvcore_is_light():
    """In a fresh interpreter, away from the repository."""
    code = f"import sys, curvcore; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ARROWS)
def test_every_module_and_public_function_has_a_docstring(module):
    if module.startswith("curvcore.kernels."):
        pytest.importorskip("triton", reason="Triton comes with torch on CUDA")
    imported_module = importlib.import_module(module)
    assert imported_module.__doc__
    for name, thing in vars(imported_module).items():
        local = getattr(thing, "__module__", None) == module
        if local and callable(thing) and not name.startswith("_"):
            assert thing.__doc__, name


@pytest.mark.parametrize("module", ["metrics", "riemann", "intrinsic"])
def test_formulas_keep_numbers_exact(module):
    """No decimal factor, no in-place update, and every einsum says its output."""
    path = ROOT / "curvcore" / f"{module}.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not isinstance(node, ast.AugAssign)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "einsum":
            assert "->" in node.args[0].value
