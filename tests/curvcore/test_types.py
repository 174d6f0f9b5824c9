"""What a type checker sees: a right script passes, every mistake of a wrong one is told."""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import curvcore

pytest.importorskip("mypy", reason="pip install mypy")
ROOT = Path(curvcore.__file__).parents[1]

RIGHT = """
from pathlib import Path
import torch
from torch import nn
import curvcore
import verification
from training.functionals import PerelmanF, TotalSquaredCurvature

decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 20))
z = torch.randn(5, 2)
geometry: curvcore.PullbackGeometry = curvcore.pullback(decoder, z, formula="intrinsic")
scalar: torch.Tensor = geometry.scalar + geometry.sectional(z, z.flip(1))
loss: torch.Tensor = curvcore.scalar_curvature(decoder, z, chunk_size=2).square().mean()
jet: curvcore.Jet = curvcore.jet(lambda x: decoder(x) ** 2, z, order=3, derivatives="fused")
estimate = curvcore.estimate_scalar_curvature(decoder, z, curvcore.Hutchinson(probes=4))
interval: torch.Tensor = estimate.value + 3.18 * estimate.standard_error
length: torch.Tensor = curvcore.geodesic(decoder, z, z + 1).length
term: torch.Tensor = TotalSquaredCurvature(scale_free=True)(decoder, z) + PerelmanF()(decoder, z)
error: float = verification.certify(decoder, z).relative_error(scalar).max()
folder: Path = curvcore.atlas(decoder, curvcore.LatentGrid([(0, 1)], 9), "out", formula="gauss")
source: curvcore.atlases.LatentSource = curvcore.LatentGrid([(0, 1)], 9)
"""
WRONG = {
    'curvcore.pullback(f, z, formula="gaus")': "Literal['gauss', 'intrinsic']",
    'curvcore.scalar_curvature(f, "z")': 'incompatible type "str"; expected "Tensor',
    'curvcore.scalar_curvature(f, z, chunk_size="all")': 'expected "int | None"',
    'curvcore.Hutchinson(distribution="normal")': "Literal['rademacher', 'gaussian']",
    "curvcore.jet(f, z, order=4)": "Literal[1, 2, 3]",
    "curvcore.pullback(f, z).skalar": 'has no attribute "skalar"',
    "number: float = curvcore.pullback(f, z).scalar": 'has type "Tensor"',
    'curvcore.pullback(f, z, on_degenerate="ignore")': "Literal['raise', 'nan', 'flat']",
    'curvcore.metric(f, z, derivatives="jax")': "Literal['auto', 'fused', 'autodiff']",
    "curvcore.atlas(f, z, 5)": 'incompatible type "int"',
    "loss: float = TotalSquaredCurvature()(f, z)": 'has type "Tensor"',
    'TotalSquaredCurvature(scale_free="yes")': 'expected "bool"',
    "verification.certify(f, z).scalars": 'has no attribute "scalars"',
    'verification.certify(f, z, formula="gaus")': "Literal['gauss', 'intrinsic']",
}


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """(source, python) -> what mypy --strict says of a script that this interpreter would run."""
    folder = tmp_path_factory.mktemp("types")

    def run(source, python):
        script = folder / "script.py"
        script.write_text(source)
        command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python)]
        command += ["--cache-dir", str(folder / "cache"), "--no-error-summary", str(script)]
        return subprocess.run(command, capture_output=True, text=True, cwd=folder).stdout

    return run


def with_path(folder, *paths):
    """An interpreter of its own that finds modules in these folders, by a .pth as pip makes it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = next(folder.glob("[bS]*/python*"))
    site = next(folder.rglob("site-packages"))
    (site / "paths.pth").write_text("\n".join(map(str, paths)))
    return python, site


@pytest.fixture(scope="module")
def editable(tmp_path_factory):
    """What ``pip install --editable`` leaves in compat mode: a path to the source."""
    purelib = sysconfig.get_path("purelib")
    return with_path(tmp_path_factory.mktemp("editable") / "venv", ROOT, purelib)[0]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """An interpreter with the wheel unpacked where pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(folder), str(source)], check=True)
    python, site = with_path(folder / "venv", sysconfig.get_path("purelib"))
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(site)
    return python


def assert_types_are_seen(check, python):
    assert check(RIGHT, python) == ""
    lines = ["import torch", "import curvcore, verification"]
    lines += ["from training.functionals import TotalSquaredCurvature"]
    lines += ["z, f = torch.randn(5, 2), torch.sin", *WRONG]
    said = check("\n".join(lines), python)
    errors = {int(line): text for line, text in re.findall(r"script\.py:(\d+): error: (.*)", said)}
    assert len(errors) == len(said.splitlines()) == len(WRONG)
    for number, (line, expected) in enumerate(WRONG.items(), start=5):
        assert expected in errors[number], line


@pytest.mark.slow
def test_from_an_editable_install(check, editable):
    assert_types_are_seen(check, editable)


@pytest.mark.slow
def test_from_a_wheel(check, wheel):
    pytest.importorskip("setuptools", "77")
    assert_types_are_seen(check, wheel)


def test_editable_installs_are_paths():
    """An import hook, which setuptools makes otherwise, hides the package from type checkers."""
    settings = (ROOT / "pyproject.toml").read_text()
    assert re.search(r'\[tool\.distutils\.editable_wheel\]\nmode = "compat"', settings)
