"""Atlases on any number of ranks, killed at any moment."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import curvcore
from curvcore.atlases import shards
from tests.support.atlases import SHARD, contents, latents, network, written

pytest.importorskip("pyarrow", reason="pip install 'curvcore[atlas]'")
ROOT = Path(__file__).parents[2]


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
    left = copy / ".shard-00000002.abc.part"
    left.mkdir()
    (left / "shard-00000002.parquet").write_text("half")
    written(copy)
    assert contents(copy) == contents(whole)
    changed = {path.name for path in copy.iterdir() if path.stat().st_mtime_ns != times[path.name]}
    assert changed == {"shard-00000002.parquet"}


SCRIPT = """
import sys
from tests.support.atlases import written
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


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_files(tmp_path):
    expected = contents(written(tmp_path / "whole", rows_per_shard=10))
    folder = tmp_path / "atlas"
    killed(folder, 4)
    there = {name: data for name, data in contents(folder).items() if name.startswith("shard")}
    assert 0 < len(there) < 23
    assert there.items() <= expected.items()
    written(folder, rows_per_shard=10)
    assert contents(folder) == expected


def test_what_a_process_leaves_that_is_killed_behind_a_shard_goes(tmp_path):
    """Between giving the file its name and removing the folder that it was written in."""
    folder = tmp_path / "atlas"
    expected = contents(written(folder, rows_per_shard=10))
    (folder / ".shard-00000003.abc.part").mkdir()
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
