"""``python -m training atlas``: latents of a run, R of any number of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import curvcore
from tests.support.small_runs import fit, gaussians, one_line
from tests.support.tolerance import assert_close
from training import runs
from training.__main__ import main
from training.atlases import BLOCK, RandomLatents

pytest.importorskip("pyarrow", reason="pip install 'curvcore[atlas]'")
pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
]
ROOT = Path(__file__).parents[2]


def command(run, points, out, *options):
    return main(["atlas", str(run), "--points", str(points), "--out", str(out), *options])


def table(folder):
    return curvcore.read_atlas(folder).to_pandas()


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def torus(plain):
    return fit(plain.parent / "atlas_torus", gaussians(), epochs=1, latent="torus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(plain, tmp_path, capsys):
    assert command(plain, 5, tmp_path / "atlas", "--device", "cuda") == 2
    assert "torch sees no CUDA device" in one_line(capsys)
    assert not (tmp_path / "atlas").exists()


def test_results_are_those_of_the_decoder_in_raw_units(plain, tmp_path, capsys):
    z = np.random.default_rng(0).normal(size=(100, 2))
    np.save(tmp_path / "z.npy", z)
    assert command(plain, tmp_path / "z.npy", tmp_path / "atlas") == 0
    said = capsys.readouterr()
    assert said.out == f"an atlas in raw units -> {tmp_path / 'atlas'}\n"
    assert said.err == ""
    found = table(tmp_path / "atlas")
    module, _ = runs.load(plain)
    assert module.scale.scale != 1
    geometry = curvcore.pullback(module.decode, torch.from_numpy(z).float())
    size = torch.tensor(found["scalar_error"].to_numpy())  # what rounding may do
    difference = torch.tensor(found["scalar"].to_numpy()) - geometry.scalar.detach()
    assert (difference.abs() <= 30 * size).all()
    for name, quantity in (("log_volume", "log_volume_density"), ("scalar", "scalar")):
        expected = getattr(geometry, quantity).detach().double()
        assert np.allclose(found[name], expected, rtol=1e-3), name


def test_latents_of_encode_are_taken(plain, tmp_path):
    points = np.random.default_rng(0).normal(size=(20, 5))
    np.save(tmp_path / "x.npy", points)
    data, z = str(tmp_path / "x.npy"), str(tmp_path / "z.npz")
    assert main(["encode", str(plain), "--data", data, "--out", z]) == 0
    assert command(plain, z, tmp_path / "atlas") == 0
    found = table(tmp_path / "atlas")
    assert np.allclose(found["scalar"], np.load(z)["R"], rtol=1e-2, atol=1e-3)


def test_a_grid_covers_the_encoded_points(plain, tmp_path):
    assert command(plain, "grid", tmp_path / "atlas", "--per-axis", "7") == 0
    module, data = runs.load(plain)
    with torch.no_grad():
        z = module.encode(data.training_points()).numpy()
    nodes = table(tmp_path / "atlas")[["z_0", "z_1"]].to_numpy()
    assert len(nodes) == 49
    assert (nodes.min(0) < z.min(0)).all()
    assert (nodes.max(0) > z.max(0)).all()
    assert_close(torch.tensor(np.ptp(nodes, 0) / np.ptp(z, 0)), torch.full((2,), 1.1), factor=100)


def test_of_a_torus_a_grid_is_the_whole_and_random_latents_are_uniform(torus, tmp_path):
    assert command(torus, "grid", tmp_path / "grid", "--per-axis", "4") == 0
    nodes = table(tmp_path / "grid")[["z_0", "z_1"]].to_numpy()
    assert sorted(set(nodes[:, 1])) == [0, 0.25, 0.5, 0.75]
    assert command(torus, 5000, tmp_path / "random") == 0
    z = table(tmp_path / "random")[["z_0", "z_1"]].to_numpy()
    assert ((z >= 0) & (z < 1)).all()
    assert np.abs(z.mean(0) - 0.5).max() < 5 / np.sqrt(12 * 5000)


def test_random_latents_are_distributed_as_encoded_ones(plain, tmp_path):
    assert command(plain, 5000, tmp_path / "atlas", "--seed", "3") == 0
    z = table(tmp_path / "atlas")[["z_0", "z_1"]].to_numpy()
    module, data = runs.load(plain)
    with torch.no_grad():
        encoded = module.encode(data.training_points()).numpy()
    spread = encoded.std(0) * np.sqrt(1 + len(encoded) ** (-2 / 6))  # C + h² C
    assert (np.abs(z.mean(0) - encoded.mean(0)) < 5 * spread / np.sqrt(5000)).all()
    assert np.allclose(z.std(0), spread, rtol=0.1)


def test_random_latents_are_the_same_whoever_reads_them_and_other_with_other_seeds():
    centres = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    latents = RandomLatents(centres, 3 * BLOCK, 0)
    everything = latents.read(0, 3 * BLOCK)
    assert everything.shape == (3 * BLOCK, 3)
    assert len(np.unique(everything, axis=0)) == 3 * BLOCK
    for start, stop in ((0, 5), (BLOCK - 3, BLOCK + 3), (17, 2 * BLOCK + 1)):
        assert np.array_equal(latents.read(start, stop), everything[start:stop])
    other = RandomLatents(centres, 3 * BLOCK, 1)
    assert not np.isin(other.read(0, 100), everything).any()
    assert other.digest() != latents.digest()
    assert isinstance(latents, curvcore.atlases.LatentSource)


def test_encoded_points_on_a_line_or_one_alone_have_random_latents():
    line = np.linspace(0, 1, 9)[:, None] * np.ones(2)
    on_line = RandomLatents(line, 100, 0).read(0, 100)
    assert np.allclose(on_line[:, 0], on_line[:, 1])
    assert RandomLatents(line[:1], 3, 0).read(0, 3).tolist() == [[0, 0]] * 3


@pytest.mark.slow
def test_ranks_write_what_one_process_does(plain, tmp_path, monkeypatch, capsys):
    count = str(2**16 + 500)  # two shards
    assert command(plain, count, tmp_path / "one") == 0
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if on a terminal: rank 0 draws a bar
    capsys.readouterr()
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        assert command(plain, count, tmp_path / "two") == 0
    said = capsys.readouterr()
    assert "shards 1, 3, ... of an atlas" in said.out
    assert "rank 0 of 2" in said.err
    assert "rank 1" not in said.err
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


@pytest.mark.slow
def test_torchrun_starts_the_ranks(plain, tmp_path):
    count = str(2**16 + 500)
    assert command(plain, count, tmp_path / "one") == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = ["-m", "training", "atlas", str(plain), "--points", count]
    subprocess.run(
        [*torchrun, *arguments, "--out", str(tmp_path / "two")],
        cwd=ROOT, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_cells_are_annotated(plain, tmp_path):
    anndata = pytest.importorskip("anndata", reason="pip install 'curvcore[anndata]'")
    h5py = pytest.importorskip("h5py")
    z = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:  # as anndata writes it
        for name, kind in (("obs", "dataframe"), ("obsm", "dict")):
            group = file.create_group(name)
            group.attrs.update({"encoding-type": kind, "encoding-version": "0.2.0"})
        group.attrs["encoding-version"] = "0.1.0"
        file["obs"].attrs["_index"] = "_index"
        file["obs"].attrs["column-order"] = np.empty(0, h5py.string_dtype())
        anndata.io.write_elem(file["obs"], "_index", np.array([f"c{i}" for i in range(30)], object))
        anndata.io.write_elem(file["obsm"], "X_ae", z)
    options = ("--obsm", "X_ae")
    assert command(plain, tmp_path / "cells.h5ad", tmp_path / "new.h5ad", *options) == 0
    with h5py.File(tmp_path / "new.h5ad") as file:
        found, order = file["obs/curvcore_scalar"][:], list(file["obs"].attrs["column-order"])
        assert file["uns/curvcore/obsm"].asstr()[()] == "X_ae"
    np.save(tmp_path / "z.npy", z)
    assert command(plain, tmp_path / "z.npy", tmp_path / "atlas") == 0
    assert np.array_equal(found, table(tmp_path / "atlas")["scalar"])
    assert order == ["curvcore_scalar", "curvcore_scalar_error", "curvcore_log_volume"]


# --- bad input ------------------------------------------------------------------------------------


def test_points_that_are_none(plain, tmp_path, capsys):
    np.save(tmp_path / "wide.npy", np.zeros((4, 3)))
    np.save(tmp_path / "nan.npy", np.full((4, 2), np.nan))
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 2)))
    cases = {
        "none.npy": "There is no file",
        "none.npz": "There is no file",
        "none.h5ad": "is no .h5ad file",
        "x.npz": "holds no latents z",
        "wide.npy": "takes no points of dimension 3",
        "nan.npy": "NaN or Inf at row 0",
    }
    for name, message in cases.items():
        out = tmp_path / ("new.h5ad" if name.endswith(".h5ad") else "atlas")
        assert command(plain, tmp_path / name, out) == 2
        assert message in one_line(capsys)
        assert not out.exists()
    for text, message in {"boxes": "the word grid", "-3": "--points", "0": "no points"}.items():
        assert command(plain, text, tmp_path / "atlas") == 2
        assert message in one_line(capsys)


def test_more_latents_than_the_disk_holds(plain, tmp_path, capsys):
    assert command(plain, 10**15, tmp_path / "atlas") == 2
    assert "1000000000000000 latents need" in one_line(capsys)
    assert command(plain, "grid", tmp_path / "atlas", "--per-axis", str(10**8)) == 2
    assert "latents need" in one_line(capsys)


def test_an_atlas_of_other_latents_or_another_run(plain, regularised, tmp_path, capsys):
    assert command(plain, 50, tmp_path / "atlas") == 0
    capsys.readouterr()
    assert command(plain, 50, tmp_path / "atlas", "--seed", "1") == 2
    assert "its latents are others" in one_line(capsys)
    z = tmp_path / "z.npy"
    np.save(z, np.zeros((5, 2)))
    assert command(plain, z, tmp_path / "b") == 0
    capsys.readouterr()
    assert command(regularised, z, tmp_path / "b") == 2
    assert "holds another atlas" in one_line(capsys)


def test_a_damaged_shard(plain, tmp_path, capsys):
    assert command(plain, 50, tmp_path / "atlas") == 0
    path = tmp_path / "atlas" / "shard-00000000.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    capsys.readouterr()
    assert command(plain, 50, tmp_path / "atlas") == 2
    assert "is damaged" in one_line(capsys)
    path.unlink()
    assert command(plain, 50, tmp_path / "atlas") == 0
    assert len(table(tmp_path / "atlas")) == 50


def test_a_run_that_is_none(tmp_path, capsys):
    assert command(tmp_path, 50, tmp_path / "atlas") == 2
    assert "is no run" in one_line(capsys)


def test_without_pyarrow(plain, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert command(plain, 50, tmp_path / "atlas") == 2
    assert "pip install" in one_line(capsys)
