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

ROOT = Path(curvcore.__file__).parents[1]
PUBLIC_NAMES = {
    "CurvatureError",
    "CurvatureMap",
    "DecoderError",
    "DegenerateMetricError",
    "FallbackWarning",
    "Geodesic",
    "InputError",
    "Jet",
    "PiecewiseLinearWarning",
    "PullbackGeometry",
    "RowsNotIndependentError",
    "UnsupportedOperationError",
    "__version__",
    "curvature_map",
    "draw_curvature",
    "geodesic",
    "jet",
    "metric",
    "path_length",
    "plot_curvature",
    "pullback",
    "rules",
    "scalar_curvature",
}

# What each module of curvcore may import from curvcore. Providers never see a formula, formulas
# never see a provider, and nothing but the public functions sees both.
ARROWS = {
    "curvcore._version": set(),
    "curvcore.errors": set(),
    "curvcore.caching": set(),
    "curvcore.arithmetic": {"constants"},
    "curvcore.constants": set(),
    "curvcore.modes": set(),
    "curvcore.kernels": {"errors"},
    "curvcore.kernels.activations": set(),
    "curvcore.kernels.chain_rule": {"kernels.activations"},
    "curvcore.kernels.curvature": set(),
    "curvcore.kernels.hidden_stack": {"kernels.chain_rule"},
    "curvcore.kernels.projection": set(),
    "curvcore.kernels.scalar": {"kernels", "kernels.curvature", "kernels.projection"},
    "curvcore.jets": {"errors", "packing"},
    "curvcore.metrics": {"arithmetic"},
    "curvcore.riemann": {"arithmetic", "packing"},
    "curvcore.intrinsic": {"arithmetic", "metrics"},
    "curvcore.validation": {"errors"},
    "curvcore.types": set(),
    "curvcore.providers": {"providers.autodiff", "providers.fused"},
    "curvcore.providers.automatic": {
        "errors",
        "providers.autodiff",
        "providers.fused",
        "providers.kinks",
    },
    "curvcore.providers.fused": {
        "errors",
        "modes",
        "providers.fused.composites",
        "providers.fused.elementwise",
        "providers.fused.result",
        "providers.fused.jet_tensor",
        "providers.fused.linear",
        "providers.fused.products",
        "providers.kinks",
        "providers.memory",
        "providers.outputs",
        "providers.witness",
    },
    "curvcore.packing": {"constants"},
    "curvcore.degenerate": {"constants", "jets"},
    "curvcore.projection": {
        "arithmetic",
        "constants",
        "degenerate",
        "formulas",
        "frames",
        "jets",
        "packing",
    },
    "curvcore.rounding": {"arithmetic"},
    "curvcore.providers.fused.product_rules": {"packing"},
    "curvcore.providers.fused.result": {
        "caching",
        "errors",
        "jets",
        "modes",
        "packing",
        "providers.fused.jet_tensor",
        "providers.fused.product_rules",
    },
    "curvcore.providers.fused.readout": {"errors"},
    "curvcore.providers.fused.jet_tensor": {
        "constants",
        "errors",
        "providers.arguments",
        "providers.fused.product_rules",
    },
    "curvcore.providers.fused.chain_rule": {
        "modes",
        "packing",
        "providers.fused.product_rules",
    },
    "curvcore.providers.fused.layers": {
        "kernels",
        "kernels.chain_rule",
        "modes",
        "packing",
        "providers.fused.chain_rule",
        "providers.fused.product_rules",
    },
    "curvcore.providers.fused.hidden_layers": {
        "errors",
        "kernels",
        "kernels.hidden_stack",
        "modes",
        "providers.fused.layers",
        "providers.fused.readout",
    },
    "curvcore.providers.fused.registry": {
        "providers.fused.chain_rule",
        "providers.fused.hidden_layers",
        "providers.fused.jet_tensor",
        "providers.fused.layers",
        "providers.primitives",
    },
    "curvcore.providers.fused.elementwise": {
        "errors",
        "providers.fused.jet_tensor",
        "providers.fused.registry",
    },
    "curvcore.providers.fused.linear": {
        "providers",
        "providers.primitives",
        "providers.fused.jet_tensor",
        "providers.fused.readout",
        "providers.fused.registry",
    },
    "curvcore.providers.fused.products": {
        "errors",
        "providers.fused.jet_tensor",
        "providers.fused.product_rules",
        "providers.fused.registry",
    },
    "curvcore.providers.fused.composites": {
        "errors",
        "providers",
        "providers.primitives",
        "providers.fused.jet_tensor",
        "providers.fused.products",
        "providers.fused.registry",
    },
    "curvcore.providers.differences": {"errors", "providers.primitives"},
    "curvcore.providers.fingerprint": set(),
    "curvcore.providers.jumps": set(),
    "curvcore.providers.kinks": {"errors", "providers.jumps", "providers.switches"},
    "curvcore.providers.memory": {"providers.fingerprint"},
    "curvcore.providers.switches": {"providers.primitives"},
    "curvcore.providers.primitives": {
        "errors",
        "providers.arguments",
        "providers.matrices",
        "providers.reductions",
    },
    "curvcore.providers.matrices": {"providers.reductions"},
    "curvcore.providers.reductions": {"errors"},
    "curvcore.providers.arguments": set(),
    "curvcore.providers.outputs": {"errors", "providers.primitives"},
    "curvcore.providers.witness": {
        "errors",
        "modes",
        "providers.differences",
        "providers.primitives",
    },
    "curvcore.providers.autodiff": {
        "errors",
        "jets",
        "modes",
        "providers.kinks",
        "providers.outputs",
        "providers.primitives",
        "providers.witness",
    },
    "curvcore.providers.symbolic": {"errors", "jets"},
    "curvcore.formulas": {
        "arithmetic",
        "caching",
        "errors",
        "intrinsic",
        "metrics",
        "packing",
        "riemann",
    },
    "curvcore.frames": {"arithmetic", "jets", "packing"},
    "curvcore.geometry": {
        "arithmetic",
        "caching",
        "degenerate",
        "errors",
        "formulas",
        "frames",
        "jets",
        "kernels",
        "kernels.scalar",
        "metrics",
        "modes",
        "projection",
        "rounding",
        "riemann",
        "types",
        "validation",
    },
    "curvcore.api": {
        "errors",
        "geometry",
        "jets",
        "modes",
        "providers",
        "providers.automatic",
        "providers.kinks",
        "providers.outputs",
        "providers.symbolic",
        "types",
        "validation",
    },
    "curvcore.plotting": {
        "api",
        "errors",
        "providers.kinks",
        "providers.outputs",
        "types",
        "validation",
    },
    "curvcore.geodesics": {
        "api",
        "errors",
        "jets",
        "packing",
        "providers.kinks",
        "providers.outputs",
        "providers.primitives",
        "types",
        "validation",
    },
    "curvcore": {
        "_version",
        "api",
        "errors",
        "geodesics",
        "geometry",
        "jets",
        "plotting",
        "providers.fused.registry",
    },
}
HEAVY = [
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
    "functools",
    "itertools",
    "math",
    "numbers",
    "numpy",
    "operator",
    "sys",
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
    assert own <= ARROWS[module]


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
