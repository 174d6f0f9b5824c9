"""Atlases: what is in the files, where latents come from, and who reads them."""

import json
import math
import shutil
import sys

import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from tests.support.atlases import SHARD, contents, latents, network, written
from tests.support.tolerance import assert_close

pytest.importorskip("pyarrow", reason="pip install 'curvcore[atlas]'")


# --- what is in it --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 2, 3, 17])
def test_rows_are_the_geometry_at_the_latents_bit_for_bit(d, dtype, tmp_path):
    decoder, z = network(d, D=20, dtype=dtype), torch.from_numpy(latents(70, d)).to(dtype)
    curvcore.atlas(decoder, z, tmp_path / "atlas", rows_per_shard=SHARD)
    table = curvcore.read_atlas(tmp_path / "atlas")
    # The same points at a time: other batches round otherwise.
    pieces = [curvcore.pullback(decoder, x, on_degenerate="nan") for x in z.split(SHARD)]
    expected = {f"z_{i}": z[:, i] for i in range(d)}
    names = {"scalar": "scalar", "scalar_error": "scalar_error", "degenerate": "is_degenerate"}
    names["log_volume"] = "log_volume_density"
    for name, quantity in names.items():
        expected[name] = torch.cat([getattr(piece, quantity) for piece in pieces]).detach()
    for name, column in expected.items():
        assert np.array_equal(table[name].to_numpy(), column.numpy(), equal_nan=True), name
    kept = range(d) if d <= 16 else (0, 16)
    values = torch.cat([torch.linalg.eigvalsh(piece.metric) for piece in pieces]).detach()
    found = np.stack([table[f"eigenvalue_{i}"].to_numpy() for i in kept], axis=1)
    largest = values[:, -1:].abs()  # an eigenvalue is known to eps of the largest
    assert_close(torch.from_numpy(found) / largest, values[:, list(kept)] / largest, factor=100)
    assert set(table.column_names) == set(expected) | {f"eigenvalue_{i}" for i in kept}


def test_the_error_and_the_volume_are_those_of_relative_error_and_density():
    geometry = curvcore.pullback(network(), torch.from_numpy(latents()))
    relative = geometry.scalar_error / geometry.scalar.abs()
    assert_close(relative.detach(), geometry.scalar_relative_error, factor=10)
    density = geometry.volume_density.detach()
    assert_close(geometry.log_volume_density.detach().exp(), density, factor=100)


def test_estimates_with_their_standard_errors(tmp_path):
    """Unbiased, of other probes at every point, the same again, and other ones of another seed."""
    decoder = network(d=5, D=20, dtype=torch.float64)
    z = torch.from_numpy(latents(1, 5)).double().expand(600, -1).contiguous()
    tables = [
        curvcore.read_atlas(
            curvcore.atlas(decoder, z, tmp_path / name, probes=6, seed=seed, rows_per_shard=250)
        )
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    first, again, other = (table["scalar"].to_numpy() for table in tables)
    assert np.array_equal(first, again)
    assert len(np.unique(first)) > 0.9 * len(first)  # of 2^30 draws of signs some are equivalent
    assert not np.array_equal(first, other)
    scalar = curvcore.scalar_curvature(decoder, z[:1]).item()
    assert abs(first.mean() - scalar) < 4 * first.std() / len(first) ** 0.5
    errors = tables[0]["scalar_error"].to_numpy()
    # Estimated variances are not below the true one, but by chance, and seldom twice that.
    assert 0.8 < (errors**2).mean() / first.var() < 2
    exact = curvcore.pullback(decoder, z[:1])
    assert tables[0]["log_volume"].to_numpy() == pytest.approx(exact.log_volume_density.item())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probes": 3}, "from 4 on, for a standard error; got 3"),
        ({"probes": 5.0}, "got 5.0"),
        ({"probes": 8, "formula": "intrinsic"}, "probes need formula='gauss'"),
        ({"probes": 8, "seed": -1}, "seed must be an integer from 0 on; got -1"),
    ],
)
def test_bad_probes(options, message, tmp_path):
    with pytest.raises(curvcore.InputError, match=message):
        written(tmp_path / "atlas", **options)


def test_a_volume_out_of_range_has_a_logarithm():
    decoder = nn.Linear(40, 50)
    nn.init.orthogonal_(decoder.weight)
    z = torch.zeros(1, 40)
    geometry = curvcore.pullback(lambda z: 1e-6 * decoder(z), z)
    assert geometry.volume_density.item() == 0
    assert_close(
        geometry.log_volume_density.detach(), torch.tensor([40 * math.log(1e-6)]), factor=100
    )


def test_chunks_do_not_go_beyond_shards_and_bound_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("curvcore.atlases.evaluation.ENTRIES", 6 * 9 * 16)
    sizes = []
    decoder = network()

    def counted(z):
        sizes.append(len(z))
        return decoder(z)

    curvcore.atlas(counted, latents(), tmp_path / "atlas", rows_per_shard=SHARD)
    assert max(sizes) == 16
    manifest = json.loads((tmp_path / "atlas" / "_atlas.json").read_text())
    assert manifest["chunk_size"] == 16


def test_degenerate_points_are_flagged_and_have_no_curvature(tmp_path):
    z = np.array([[1.0, 0.5], [0.0, 0.0], [2.0, 0.5]])

    def fold(z):
        return torch.cat([z**2, z[:, :1] * z[:, 1:]], 1)

    table = curvcore.read_atlas(curvcore.atlas(fold, z, tmp_path / "atlas")).to_pandas()
    assert table["degenerate"].tolist() == [False, True, False]
    for name in ("scalar", "scalar_error", "log_volume"):
        assert np.isnan(table[name]).tolist() == [False, True, False], name
    assert table.loc[1, ["eigenvalue_0", "eigenvalue_1"]].tolist() == [0, 0]


@pytest.mark.parametrize("unit", [0.5, 4.0])
def test_the_unit_of_length_scales_all(unit, tmp_path):
    """Powers of two round nothing: R = R/unit², λ = unit² λ, log √det g + d log unit."""
    plain = curvcore.read_atlas(written(tmp_path / "one")).to_pandas()
    scaled = curvcore.read_atlas(written(tmp_path / "other", unit=unit)).to_pandas()
    for name in ("scalar", "scalar_error"):
        assert (scaled[name] * unit**2 == plain[name]).all()
    assert (scaled["eigenvalue_1"] == plain["eigenvalue_1"] * unit**2).all()
    difference = (scaled["log_volume"] - plain["log_volume"]).to_numpy()
    assert_close(torch.tensor(difference), torch.full((230,), 2 * math.log(unit)), factor=100)


def test_results_are_of_the_dtype_of_the_decoder(tmp_path):
    curvcore.atlas(network(), latents(dtype=np.float64), tmp_path / "atlas")
    table = curvcore.read_atlas(tmp_path / "atlas", ["scalar"])
    assert str(table.schema.field("scalar").type) == "float"
    with pytest.raises(curvcore.InputError, match=r"write \['scalar'\]"):
        curvcore.read_atlas(tmp_path / "atlas", "scalar")


def test_results_are_of_the_dtype_asked_for(tmp_path):
    folder = tmp_path / "atlas"
    curvcore.atlas(network(), latents(dtype=np.float64), folder, dtype=torch.float32)
    assert {str(t) for t in curvcore.read_atlas(folder).schema.types} == {"float", "bool"}


def test_progress_is_told_and_nothing_printed(tmp_path, capsys):
    seen = []
    written(tmp_path / "atlas", progress=lambda *counts: seen.append(counts))
    assert seen == [(50, 230), (100, 230), (150, 230), (200, 230), (230, 230)]
    seen.clear()
    written(tmp_path / "atlas", progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (230, 230)
    assert capsys.readouterr() == ("", "")


# --- sources --------------------------------------------------------------------------------------


def test_sources_of_the_same_latents_give_the_same_atlas(whole, tmp_path):
    np.save(tmp_path / "z.npy", latents())
    for source in (torch.from_numpy(latents()), tmp_path / "z.npy", str(tmp_path / "z.npy")):
        curvcore.atlas(network(), source, tmp_path / "atlas", rows_per_shard=SHARD)
        assert contents(tmp_path / "atlas") == contents(whole)
        shutil.rmtree(tmp_path / "atlas")


def test_any_order_of_memory_is_the_same_latents(whole, tmp_path):
    turned = np.asfortranarray(latents())
    assert contents(curvcore.atlas(network(), turned, tmp_path / "a", rows_per_shard=SHARD)) == (
        contents(whole)
    )


def test_a_grid_runs_over_its_box_the_last_coordinate_fastest():
    grid = curvcore.LatentGrid([(0, 1), (-1, 1), (5, 5)], [2, 3, 1], dtype=np.float64)
    nodes = [[x, y, 5] for x in (0, 1) for y in (-1, 0, 1)]
    assert grid.read(0, 6).tolist() == nodes
    assert grid.read(2, 5).tolist() == nodes[2:5]
    torus = curvcore.LatentGrid([(0, 1)], 4, periodic=True)
    assert torus.read(0, 4).tolist() == [[0], [0.25], [0.5], [0.75]]
    assert torus.digest() != curvcore.LatentGrid([(0, 1)], 4).digest()


@pytest.mark.parametrize(
    ("box", "counts", "message"),
    [
        ([0, 1], 3, "box must be finite"),
        ([(0, math.inf)], 3, "box must be finite"),
        ([(1, 0)], 3, "low ≤ high"),
        ([(0, 1)], [3, 3], "one positive integer for each"),
        ([(0, 1)], 0, "one positive integer for each"),
        ([(0, 1)], 1.5, "one positive integer for each"),
    ],
)
def test_grids_that_are_none(box, counts, message):
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.LatentGrid(box, counts)


def test_a_source_of_ones_own_is_looked_at_as_it_is_read(tmp_path):
    class Holed(curvcore.LatentGrid):
        def read(self, start, stop):
            rows = super().read(start, stop)
            rows[np.arange(start, stop) == 77] = np.inf
            return rows

    grid = Holed([(0, 1), (0, 1)], 10)
    with pytest.raises(curvcore.InputError, match="NaN or Inf at row 77"):
        curvcore.atlas(network(), grid, tmp_path / "atlas")


def test_a_source_of_ones_own(tmp_path):
    class Line:
        shape, dtype = (10**12, 2), np.dtype(np.float32)
        asked = 0

        def read(self, start, stop):
            self.asked += stop - start
            rows = np.stack([np.arange(start, stop) / 1e12, np.ones(stop - start)], 1).astype("f4")
            rows.flags.writeable = False
            return rows

        def digest(self):
            return "line"

    line = Line()
    assert isinstance(line, curvcore.atlases.LatentSource)
    with pytest.raises(curvcore.InputError, match=r"1000000000000 latents need .* GB free"):
        curvcore.atlas(network(), line, tmp_path / "atlas")
    assert line.asked < 10  # and none of them held
    assert not (tmp_path / "atlas").exists()
    line.shape = (100, 2)
    assert len(curvcore.read_atlas(curvcore.atlas(network(), line, tmp_path / "atlas"))) == 100


# --- reading --------------------------------------------------------------------------------------


def test_columns_and_their_order(whole):
    table = curvcore.read_atlas(whole, ["scalar", "z_0"])
    assert table.column_names == ["scalar", "z_0"]
    with pytest.raises(curvcore.AtlasError, match="has no column R; it has z_0, z_1, scalar"):
        curvcore.read_atlas(whole, ["R"])


def test_pandas_reads_the_folder_in_order(whole):
    pandas = pytest.importorskip("pandas")
    expected = curvcore.read_atlas(whole).to_pandas()
    assert pandas.read_parquet(whole).equals(expected)
    assert np.array_equal(expected[["z_0", "z_1"]].to_numpy(), latents())


def test_polars_reads_the_files_in_order(whole):
    polars = pytest.importorskip("polars")
    found = polars.read_parquet(whole / "*.parquet").to_arrow()
    assert found.cast(curvcore.read_atlas(whole).schema).equals(curvcore.read_atlas(whole))
    assert polars.scan_parquet(whole / "*.parquet").select(polars.len()).collect().item() == 230


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask's own, under pandas 3
def test_dask_reads_the_folder_in_order(whole):
    dask = pytest.importorskip("dask.dataframe")
    found = dask.read_parquet(whole).compute().reset_index(drop=True)
    assert found.equals(curvcore.read_atlas(whole).to_pandas())


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'curvcore\[atlas\]'"):
        written(tmp_path / "atlas")
