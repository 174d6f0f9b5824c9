"""Curvature at the latents of cells, in AnnData and .h5ad files."""

import shutil

import numpy as np
import pytest
import torch

import curvcore
from tests.support.atlases import latents, network, one_line
from tests.support.tolerance import assert_close

anndata = pytest.importorskip("anndata", reason="pip install 'curvcore[anndata]'")
COLUMNS = ("curvcore_scalar", "curvcore_scalar_error", "curvcore_log_volume")
pandas = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")
COUNT = 30


@pytest.fixture(autouse=True)
def old_strings():
    """Of pandas 3 the strings are such that anndata 0.12 does not write them."""
    with pandas.option_context("future.infer_string", False):
        yield


def cells(dtype=np.float32, d=2):
    """Thirty cells with latents, and other things that must stay as they are."""
    random = np.random.default_rng(0)
    adata = anndata.AnnData(random.poisson(1.0, (COUNT, 7)).astype(np.float32))
    adata.obs_names = [f"cell {i}" for i in range(COUNT)]
    adata.obs["kind"] = np.array(["a", "b"])[random.integers(2, size=COUNT)]
    adata.obs["kind"] = adata.obs["kind"].astype("category")
    adata.obsm["X_latent"], adata.obsm["X_pca"] = (
        latents(COUNT, d, dtype),
        random.normal(size=(30, 3)),
    )
    adata.layers["twice"] = 2 * adata.X
    adata.uns["colours"] = ["red", "blue"]
    return adata


def check(adata, d=2, unit=1.0):
    """That the results are those of the latents, and all else as it was."""
    geometry = curvcore.pullback(network(d), torch.from_numpy(latents(COUNT, d)))
    expected = {
        "curvcore_scalar": geometry.scalar / unit**2,
        "curvcore_scalar_error": geometry.scalar_error / unit**2,
        "curvcore_log_volume": geometry.log_volume_density + d * np.log(unit),
    }
    assert set(adata.obs) == {"kind", *COLUMNS}
    for name, column in expected.items():
        assert_close(torch.tensor(adata.obs[name].to_numpy()), column.detach(), factor=10)
    rows, columns = zip(*((i, j) for i in range(d) for j in range(i, d)), strict=True)
    metric = (geometry.metric * unit**2).detach().numpy()[:, rows, columns]
    assert np.allclose(adata.obsm["curvcore_metric"], metric, rtol=1e-6)
    record = adata.uns["curvcore"]
    assert (record["obsm"], record["version"]) == ("X_latent", curvcore.__version__)
    assert (record["formula"], record["unit"]) == ("gauss", unit)
    before = cells(d=d)
    assert (adata.obs["kind"] == before.obs["kind"]).all()
    assert list(adata.obs_names) == list(before.obs_names)
    assert np.array_equal(adata.X, before.X)
    assert np.array_equal(adata.layers["twice"], before.layers["twice"])
    assert np.array_equal(adata.obsm["X_pca"], before.obsm["X_pca"])
    assert list(adata.uns["colours"]) == ["red", "blue"]


@pytest.mark.parametrize("d", [2, 3])
def test_results_are_added_to_cells(d):
    adata, seen = cells(d=d), []
    curvcore.atlases.annotate(network(d), adata, progress=lambda *x: seen.append(x))
    check(adata, d)
    assert seen == [(COUNT, COUNT)]


@pytest.mark.parametrize("unit", [1.0, 3.0])
def test_a_file_of_cells_goes_round(unit, tmp_path):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    before = (tmp_path / "cells.h5ad").read_bytes()
    out = tmp_path / "new.h5ad"
    found = curvcore.atlases.annotate_h5ad(network(), tmp_path / "cells.h5ad", out, unit=unit)
    assert found == out
    check(anndata.read_h5ad(out), unit=unit)
    assert (tmp_path / "cells.h5ad").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"cells.h5ad", "new.h5ad"}


def test_a_file_that_has_results_gets_new_ones(tmp_path):
    adata = cells()
    curvcore.atlases.annotate(network(seed=5), adata)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    curvcore.atlases.annotate_h5ad(network(), tmp_path / "cells.h5ad", tmp_path / "new.h5ad")
    check(anndata.read_h5ad(tmp_path / "new.h5ad"))


def test_latents_of_other_kinds():
    """A table, a sparse matrix, another precision than the decoder's."""
    scipy = pytest.importorskip("scipy.sparse")
    adata = cells()
    adata.obsm["table"] = pandas.DataFrame(latents(COUNT), index=adata.obs_names)
    adata.obsm["sparse"] = scipy.csr_matrix(latents(COUNT))
    adata.obsm["double"] = latents(COUNT).astype(np.float64)
    expected = curvcore.scalar_curvature(network(), torch.from_numpy(latents(COUNT))).detach()
    for name in ("table", "sparse", "double"):
        curvcore.atlases.annotate(network(), adata, obsm=name, dtype=torch.float32)
        assert np.array_equal(adata.obs["curvcore_scalar"], expected), name


def test_degenerate_cells_have_no_curvature():
    adata = cells()
    adata.obsm["X_latent"][4] = 0

    def fold(z):
        return torch.cat([z**2, z[:, :1] * z[:, 1:]], 1)

    curvcore.atlases.annotate(fold, adata)
    assert np.isnan(adata.obs["curvcore_scalar"]).tolist() == [i == 4 for i in range(COUNT)]
    assert adata.obsm["curvcore_metric"][4].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", r"no latents obsm\['none'\]; it has X_latent, X_pca, nan"),
     ("X_pca", "takes no points of dimension 3"), ("nan", "NaN or Inf at row 2")],
)  # fmt: skip
def test_latents_that_cannot_be_used_leave_all_as_it_was(name, message, tmp_path):
    adata = cells()
    adata.obsm["X_pca"] = adata.obsm["X_pca"].astype(np.float32)
    adata.obsm["nan"] = latents(COUNT)
    adata.obsm["nan"][2] = np.nan
    adata.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(curvcore.InputError, match=message) as error:
        curvcore.atlases.annotate(network(), adata, obsm=name)
    one_line(error)
    with pytest.raises(curvcore.InputError, match=message):
        curvcore.atlases.annotate_h5ad(
            network(), tmp_path / "cells.h5ad", tmp_path / "new.h5ad", obsm=name
        )
    assert set(adata.obs) == {"kind"}
    assert not (tmp_path / "new.h5ad").exists()


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.h5ad").write_text("text")
    for path in ("text.h5ad", "none.h5ad"):
        with pytest.raises(curvcore.InputError, match=f"{path} is no .h5ad file") as error:
            curvcore.atlases.annotate_h5ad(network(), tmp_path / path, tmp_path / "new.h5ad")
        one_line(error)


@pytest.mark.parametrize("name", ["cells.h5ad", "new.txt", "none/new.h5ad"])
def test_the_new_file_must_be_new(name, tmp_path):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(curvcore.InputError, match=r"must be a new .h5ad file"):
        curvcore.atlases.annotate_h5ad(network(), tmp_path / "cells.h5ad", tmp_path / name)


def test_more_than_the_disk_has_room_for(tmp_path, monkeypatch):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    usage = shutil._ntuple_diskusage(10**6, 10**6 - 1000, 1000)
    monkeypatch.setattr("curvcore.atlases.cells.shutil.disk_usage", lambda path: usage)
    with pytest.raises(curvcore.InputError, match="too little"):
        curvcore.atlases.annotate_h5ad(network(), tmp_path / "cells.h5ad", tmp_path / "new.h5ad")
    assert {path.name for path in tmp_path.iterdir()} == {"cells.h5ad"}
