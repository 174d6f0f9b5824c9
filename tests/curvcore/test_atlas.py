"""Atlases: what is in the files, on any number of ranks, killed at any moment."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from curvcore.atlases import files, shards
from tests.support.tolerance import assert_close

pyarrow = pytest.importorskip("pyarrow", reason="pip install 'curvcore[atlas]'")
ROOT = Path(__file__).parents[2]
SHARD = 50


def network(d=2, D=9, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, 12), nn.Tanh(), nn.Linear(12, D)).to(dtype)


def latents(count=230, d=2, dtype=np.float32):
    return np.random.default_rng(1).normal(size=(count, d)).astype(dtype)


def written(folder, **options):
    """The atlas of the network at all latents."""
    options = {"rows_per_shard": SHARD} | options
    return curvcore.atlas(network(), latents(), folder, **options)


def contents(folder):
    """name -> bytes, of all files, hidden ones too."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An atlas; not to be written to."""
    return written(tmp_path_factory.mktemp("atlas") / "whole")


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


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


# --- ranks, and kill -9 ---------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_files_of_any_number_of_ranks_are_those_of_one(ranks, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    for rank in reversed(range(ranks)):
        monkeypatch.setenv("RANK", str(rank))
        written(tmp_path / "atlas")
    assert contents(tmp_path / "atlas") == contents(whole)


def test_a_rank_writes_its_own_shards_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    names = {path.name for path in written(tmp_path / "atlas").iterdir()}
    assert names == {"_atlas.json", "shard-00000001.parquet", "shard-00000003.parquet"}
    with pytest.raises(curvcore.AtlasError, match=r"not finished: 3 of 5 shards are missing"):
        curvcore.read_atlas(tmp_path / "atlas")


@pytest.mark.parametrize(("rank", "ranks"), [("2", "2"), ("-1", "2"), ("x", "2")])
def test_ranks_that_are_none(rank, ranks, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", ranks)
    with pytest.raises(curvcore.InputError, match="RANK and WORLD_SIZE"):
        written(tmp_path / "atlas")


def test_it_computes_on_one_thread_and_leaves_their_number_alone(whole, tmp_path):
    before, seen = torch.get_num_threads(), set()
    decoder = network()
    decoder.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    torch.set_num_threads(3)
    try:
        curvcore.atlas(decoder, latents(), tmp_path / "atlas", rows_per_shard=SHARD)
        assert seen == {1}
        assert torch.get_num_threads() == 3
        assert contents(tmp_path / "atlas") == contents(whole)
    finally:
        torch.set_num_threads(before)


def test_what_is_missing_is_made_and_nothing_else_touched(copy, whole):
    times = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    shards.path_of(copy, 2).unlink()
    left = copy / ".shard-00000002.parquet.abc.part"
    left.write_text("half")
    written(copy)
    assert contents(copy) == contents(whole)
    changed = {path.name for path in copy.iterdir() if path.stat().st_mtime_ns != times[path.name]}
    assert changed == {"shard-00000002.parquet"}


SCRIPT = """
import sys
from tests.curvcore.test_atlas import written
def progress(done, total):
    print(done, flush=True)
written(sys.argv[1], rows_per_shard=10, progress=progress)
"""


def started(folder):
    """A process that writes the atlas of 23 shards, telling of each."""
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def killed(folder, lines):
    """Start it, and kill it once it has told of so many points."""
    process = started(folder)
    for _ in range(lines):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_killed_it_goes_on_to_the_same_files(tmp_path):
    expected = contents(written(tmp_path / "whole", rows_per_shard=10))
    folder = tmp_path / "atlas"
    killed(folder, 4)
    there = {name: data for name, data in contents(folder).items() if name.startswith("shard")}
    assert 0 < len(there) < 23
    assert there.items() <= expected.items()
    written(folder, rows_per_shard=10)
    assert contents(folder) == expected


@pytest.mark.slow
def test_killed_ten_times_nothing_is_lost_or_written_twice(tmp_path):
    expected = contents(written(tmp_path / "whole", rows_per_shard=10))
    folder, shards_before = tmp_path / "atlas", {}
    for kill in range(10):
        process = started(folder)
        for _ in range(len(shards_before) + 2):  # of which one more is written
            process.stdout.readline()
        time.sleep(0.0003 * kill)
        process.kill()
        process.wait()
        process.stdout.close()
        found = {p.name: p.stat().st_mtime_ns for p in folder.glob("shard-*")}
        assert shards_before.items() <= found.items()  # not written again
        assert len(found) > len(shards_before)
        shards_before = found
    written(folder, rows_per_shard=10)
    assert contents(folder) == expected


MEMORY = """
import resource, sys
import torch, curvcore
decoder = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
grid = curvcore.LatentGrid([(-1, 1), (-1, 1)], [int(sys.argv[1]), 1000])
curvcore.atlas(decoder, grid, sys.argv[2], rows_per_shard=10_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in kilobytes")
def test_memory_does_not_grow_with_the_number_of_points(tmp_path):
    """Half a million rows are 14 MB of numbers, of which none are kept."""
    used = [
        int(subprocess.check_output([sys.executable, "-c", MEMORY, count, tmp_path / count]))
        for count in ("20", "500")
    ]
    assert used[1] - used[0] < 6_000


# --- bad input ------------------------------------------------------------------------------------


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (latents(d=3), "takes no points of dimension 3"),
        (latents()[0], r"must be \(N, d\); got \(2,\)"),
        (latents()[:0], "no points"),
        (latents().astype(int), "must be float32 or float64; got int64"),
        (torch.zeros(3, 2, dtype=torch.bfloat16), "must be float32 or float64; got torch.bfloat16"),
        (latents().tolist(), "must be a tensor or array"),
        ("none.npy", "There is no file none.npy"),
        (latents(dtype=np.float64), "parameters are torch.float32 and z is torch.float64"),
    ],
)
def test_points_that_cannot_be_used_leave_nothing(points, message, tmp_path):
    with pytest.raises(curvcore.CurvatureError, match=message) as error:
        curvcore.atlas(network(), points, tmp_path / "atlas")
    one_line(error)
    assert not (tmp_path / "atlas").exists()


def test_latents_that_are_not_finite_are_told_of_before_anything_is_done(tmp_path):
    z = latents(70_000)
    z[66_666, 1] = np.nan
    with pytest.raises(curvcore.InputError, match="NaN or Inf at row 66666"):
        curvcore.atlas(network(), z, tmp_path / "atlas")
    assert not (tmp_path / "atlas").exists()


def test_a_file_that_is_no_array(tmp_path):
    (tmp_path / "z.npy").write_text("text")
    with pytest.raises(curvcore.InputError, match=r"z.npy is no .npy file"):
        curvcore.atlas(network(), tmp_path / "z.npy", tmp_path / "atlas")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows_per_shard": 0}, "rows_per_shard must be"),
        ({"rows_per_shard": 1.5}, "rows_per_shard must be"),
        ({"unit": 0}, "unit must be"),
        ({"unit": math.nan}, "unit must be"),
        ({"formula": "x"}, "formula must be"),
        ({"derivatives": "x"}, "derivatives must be"),
        ({"dtype": torch.float16}, "dtype must be"),
    ],
)
def test_options_that_are_none(options, message, tmp_path):
    with pytest.raises(curvcore.InputError, match=message):
        written(tmp_path / "atlas", **options)


def test_more_than_the_disk_has_room_for(copy, tmp_path, monkeypatch):
    def usage(path):
        return shutil._ntuple_diskusage(10**6, 10**6 - 20_000, 20_000)

    monkeypatch.setattr("curvcore.atlases.writing.shutil.disk_usage", usage)
    with pytest.raises(curvcore.InputError, match="230 latents need"):
        written(tmp_path / "new" / "atlas")
    assert not (tmp_path / "new").exists()
    shards.path_of(copy, 2).unlink()
    written(copy)  # a shard has room


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("rows", [7, 230])
def test_no_atlas_takes_more_than_was_foreseen(rows, shift, tmp_path):
    z = latents(rows + shift, d=5)
    folder = curvcore.atlas(network(5), z, tmp_path / "atlas", rows_per_shard=SHARD)
    manifest = json.loads((folder / "_atlas.json").read_text())
    assert sum(p.stat().st_size for p in folder.glob("shard-*")) <= shards.bytes_of(manifest)


def others():
    z = latents()
    z[100, 1] = np.nextafter(z[100, 1], np.float32(9))
    tanh, sigmoid = network(), network()
    sigmoid[1] = nn.Sigmoid()
    return [
        ({"points": z}, "its latents are others"),
        ({"points": latents(231)}, "rows is 230 there and 231 here"),
        ({"decoder": network(seed=1)}, "its decoder is another"),
        ({"decoder": sigmoid}, "its decoder is another"),
        ({"decoder": tanh.forward}, "its decoder is another"),
        ({"decoder": lambda z: tanh(z)}, "its decoder is another"),
        ({"rows_per_shard": 51}, "rows_per_shard is 50 there and 51 here"),
        ({"formula": "intrinsic"}, "formula is gauss there and intrinsic here"),
        ({"unit": 2.0}, "unit is 1.0 there and 2.0 here"),
    ]


@pytest.mark.parametrize(("change", "message"), others(), ids=lambda x: x if type(x) is str else "")
def test_a_folder_of_another_atlas_is_left_alone(change, message, copy, whole):
    arguments = {"decoder": network(), "points": latents(), "rows_per_shard": SHARD} | change
    with pytest.raises(curvcore.AtlasError, match=f"holds another atlas: .*{message}") as error:
        curvcore.atlas(out=copy, **arguments)
    one_line(error)
    assert contents(copy) == contents(whole)


def test_a_function_is_known_by_its_values(tmp_path):
    def decoder(scale):
        return lambda z: scale * torch.cat([z, z[:, :1] ** 2], 1)

    curvcore.atlas(decoder(1.0), latents(), tmp_path / "atlas")
    curvcore.atlas(decoder(1.0 + 1e-6), latents(), tmp_path / "atlas")  # as another machine rounds
    with pytest.raises(curvcore.AtlasError, match="its decoder is another"):
        curvcore.atlas(decoder(1.1), latents(), tmp_path / "atlas")


def test_folders_of_anything_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(curvcore.AtlasError, match=r"not empty, and no atlas: it holds notes.txt"):
        written(tmp_path)
    for path in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "below"):
        with pytest.raises(curvcore.AtlasError, match="in, a file"):
            written(path)
    assert contents(tmp_path) == {"notes.txt": b"mine"}
    with pytest.raises(curvcore.AtlasError, match="is no atlas"):
        curvcore.read_atlas(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"rows": "x"}', "[1]", "\x00"])
def test_a_damaged_manifest(text, copy):
    (copy / "_atlas.json").write_text(text)
    for act in (written, curvcore.read_atlas):
        with pytest.raises(curvcore.AtlasError, match=r"_atlas.json is damaged") as error:
            act(copy)
        one_line(error)


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: bytes(len(data)),
        lambda data: flipped(data, 150),
    ],
)
def test_a_damaged_shard_is_seen_on_resuming_and_on_reading(damage, rank, copy, monkeypatch):
    path = shards.path_of(copy, 3)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(curvcore.AtlasError, match=r"00003.parquet is damaged: .* run the same"):
        curvcore.read_atlas(copy)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", str(rank))
    if rank == 0:  # not its shard
        written(copy)
        return
    with pytest.raises(curvcore.AtlasError, match=r"00003.parquet is damaged") as error:
        written(copy)
    one_line(error)


def test_every_byte_of_a_shard_matters_or_is_not_looked_at(copy, whole):
    """A flipped bit anywhere is an error, or changes no number."""
    path, expected = shards.path_of(copy, 4), curvcore.read_atlas(whole)
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        path.write_bytes(flipped(data, place))
        try:
            found = curvcore.read_atlas(copy)
        except curvcore.AtlasError:
            continue
        assert found.equals(expected)


def test_a_shard_of_another_place_or_atlas_is_seen(copy, tmp_path):
    data = shards.path_of(copy, 1).read_bytes()
    shards.path_of(copy, 2).write_bytes(data)
    with pytest.raises(curvcore.AtlasError, match="is a shard of another atlas"):
        written(copy)
    other = curvcore.atlas(network(seed=1), latents(), tmp_path / "b", rows_per_shard=SHARD)
    shards.path_of(copy, 2).write_bytes(shards.path_of(other, 2).read_bytes())
    with pytest.raises(curvcore.AtlasError, match="is a shard of another atlas"):
        curvcore.read_atlas(copy)


def test_a_shard_that_cannot_be_written_is_not_there(tmp_path, monkeypatch):
    def full(table, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.write_table", full)
        with pytest.raises(OSError, match="No space left"):
            written(tmp_path / "atlas")
    assert set(contents(tmp_path / "atlas")) == {"_atlas.json"}
    written(tmp_path / "atlas")


def test_a_failure_leaves_no_half_a_file(tmp_path):
    with pytest.raises(RuntimeError), files.whole(tmp_path / "file") as part:  # noqa: PT012
        part.write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with files.whole(tmp_path / "file") as part:
        part.write_text("whole")
    assert contents(tmp_path) == {"file": b"whole"}
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask


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


def test_dask_reads_the_folder_in_order(whole):
    dask = pytest.importorskip("dask.dataframe")
    found = dask.read_parquet(whole).compute().reset_index(drop=True)
    assert found.equals(curvcore.read_atlas(whole).to_pandas())


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'curvcore\[atlas\]'"):
        written(tmp_path / "atlas")
