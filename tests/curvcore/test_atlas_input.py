"""Atlases of what cannot be used, folders of others, damaged files."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import curvcore
from curvcore.atlases import files, shards
from tests.support.atlases import SHARD, contents, latents, network, one_line, written

pytest.importorskip("pyarrow", reason="pip install 'curvcore[atlas]'")


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
        ({"unit": "2"}, "unit must be"),
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


@pytest.mark.slow
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
