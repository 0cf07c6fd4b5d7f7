import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch_geometric.datasets import HeterophilousGraphDataset

from spx.datasets import cache, load_dataset, split_fingerprint
from spx.errors import DatasetError
from spx.graph.features import SparseFeatures

from .raw_files import write_actor, write_heterophilous

HOME = Path("HeterophilousGraphDataset/minesweeper")
RAW = HOME / "raw/minesweeper.npz"
CACHE = HOME / "processed/spx-dataset-2.safetensors"


def no_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    def process(_self: HeterophilousGraphDataset) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr(HeterophilousGraphDataset, "process", process)


def half_processed(dataset: HeterophilousGraphDataset) -> None:
    """What a run leaves that stops in the middle of PyG's processing."""
    Path(dataset.processed_paths[0]).write_bytes(b"half a file")


def scratch_folders(data_dir: Path) -> list[Path]:
    return list((data_dir / HOME).glob(".staging*"))


def test_the_second_load_does_not_parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_heterophilous(tmp_path)
    first = load_dataset("minesweeper", tmp_path)
    no_parsing(monkeypatch)
    second = load_dataset("minesweeper", tmp_path)
    assert split_fingerprint(first) == split_fingerprint(second)
    assert torch.equal(first.x, second.x)


def test_the_cache_outlives_its_raw_files_and_the_right_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_heterophilous(tmp_path)
    load_dataset("minesweeper", tmp_path)
    (tmp_path / RAW).unlink()

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    load_dataset("minesweeper", tmp_path)


def test_changed_raw_files_are_parsed_again(tmp_path: Path) -> None:
    write_heterophilous(tmp_path)
    assert load_dataset("minesweeper", tmp_path).num_nodes == 30
    write_heterophilous(tmp_path, num_nodes=40)
    assert load_dataset("minesweeper", tmp_path).num_nodes == 40


def test_a_damaged_cache_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_heterophilous(tmp_path)
    before = split_fingerprint(load_dataset("minesweeper", tmp_path))
    (tmp_path / CACHE).write_bytes((tmp_path / CACHE).read_bytes()[:-7])
    with pytest.warns(UserWarning, match="is damaged"):
        assert split_fingerprint(load_dataset("minesweeper", tmp_path)) == before
    no_parsing(monkeypatch)
    assert split_fingerprint(load_dataset("minesweeper", tmp_path)) == before


def test_processing_that_stops_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_heterophilous(tmp_path)
    raw = (tmp_path / RAW).read_bytes()

    def process(self: HeterophilousGraphDataset) -> None:
        half_processed(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HeterophilousGraphDataset, "process", process)
        with pytest.raises(KeyboardInterrupt):
            load_dataset("minesweeper", tmp_path)
    assert scratch_folders(tmp_path) == []
    assert not (tmp_path / CACHE).exists()
    assert (tmp_path / RAW).read_bytes() == raw
    assert load_dataset("minesweeper", tmp_path).num_nodes == 30


def test_a_half_file_of_another_program_is_not_trusted(tmp_path: Path) -> None:
    write_heterophilous(tmp_path)
    (tmp_path / HOME / "processed").mkdir()
    (tmp_path / HOME / "processed/data.pt").write_bytes(b"half a file")
    assert load_dataset("minesweeper", tmp_path).num_nodes == 30


def test_a_download_that_stops_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[Path], list[str]]
) -> None:
    write_heterophilous(tmp_path / "upstream")
    content = (tmp_path / "upstream" / RAW).read_bytes()

    def stop(_url: str, *, fname: str, path: Path, **_kwargs: object) -> None:
        (path / fname).write_bytes(content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pooch.retrieve", stop)
        with pytest.raises(KeyboardInterrupt):
            load_dataset("minesweeper", tmp_path)
    assert not (tmp_path / RAW).exists()
    served = serve((tmp_path / "upstream" / RAW).parent)
    assert load_dataset("minesweeper", tmp_path).num_nodes == 30
    assert len(served) == 1
    assert (tmp_path / RAW).read_bytes() == content


def test_no_network(tmp_path: Path, no_network: list[str]) -> None:
    with pytest.raises(DatasetError, match=r"dataset 'minesweeper': minesweeper\.npz") as caught:
        load_dataset("minesweeper", tmp_path)
    url = "https://github.com/yandex-research/heterophilous-graphs/raw/main/data/minesweeper.npz"
    assert no_network == [url]
    assert f"{url}  as  {tmp_path / RAW}" in str(caught.value)
    write_heterophilous(tmp_path)
    load_dataset("minesweeper", tmp_path)


def test_a_damaged_raw_file_is_named(tmp_path: Path) -> None:
    write_heterophilous(tmp_path)
    (tmp_path / RAW).write_bytes((tmp_path / RAW).read_bytes()[:-7])
    with pytest.raises(DatasetError, match=r"can't be parsed .*minesweeper\.npz is damaged .*delete it"):
        load_dataset("minesweeper", tmp_path)
    assert not (tmp_path / CACHE).exists()


def test_a_missing_package_is_not_taken_for_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_heterophilous(tmp_path)
    monkeypatch.setitem(sys.modules, "torch_geometric.datasets", None)
    with pytest.raises(ImportError):
        load_dataset("minesweeper", tmp_path)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_heterophilous(tmp_path)

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DatasetError, match=r"could not be written .*No space left .*make room"):
            load_dataset("minesweeper", tmp_path)
    load_dataset("minesweeper", tmp_path)


LOAD = """
import os, pathlib, sys, time
from torch_geometric.datasets import HeterophilousGraphDataset as PyG
from spx.datasets import load_dataset, split_fingerprint
data_dir, mode = pathlib.Path(sys.argv[1]), sys.argv[2]
process = PyG.process

def slow(self):
    with (data_dir / "parsed").open("a") as file:
        file.write("once\\n")
    if mode == "die":
        pathlib.Path(self.processed_paths[0]).write_bytes(b"half a file")
        os._exit(9)
    time.sleep(0.3)
    process(self)

PyG.process = slow
if mode == "together":
    (data_dir / f"ready-{os.getpid()}").touch()
    while len(list(data_dir.glob("ready-*"))) < 2:
        time.sleep(0.005)
print(split_fingerprint(load_dataset("minesweeper", data_dir)))
"""


def start(data_dir: Path, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LOAD, str(data_dir), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.full
def test_a_killed_run_leaves_nothing_that_is_trusted(tmp_path: Path) -> None:
    write_heterophilous(tmp_path)
    child = start(tmp_path, "die")
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 9, errors
    assert len(scratch_folders(tmp_path)) == 1
    assert load_dataset("minesweeper", tmp_path).num_nodes == 30
    assert scratch_folders(tmp_path) == []


@pytest.mark.full
def test_two_loads_at_once(tmp_path: Path) -> None:
    write_heterophilous(tmp_path)
    children = [start(tmp_path, "together") for _ in range(2)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert (tmp_path / "parsed").read_text() == "once\n", "the second one takes the first one's work"
    expected = split_fingerprint(load_dataset("minesweeper", tmp_path))
    assert [output.strip() for output, _ in outputs] == [expected, expected]


def test_of_raw_files_that_lie_where_nothing_can_be_written_the_cache_goes_to_the_user_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_heterophilous(tmp_path / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    access = os.access
    monkeypatch.setattr(
        "os.access", lambda path, mode: access(path, mode) and not (mode == os.W_OK and Path(path) == home)
    )
    home = tmp_path / "data" / HOME
    before = sorted(home.rglob("*"))
    first = load_dataset("minesweeper", tmp_path / "data")
    assert sorted(home.rglob("*")) == before
    assert list((tmp_path / "cache").rglob("*.safetensors"))
    no_parsing(monkeypatch)
    assert split_fingerprint(load_dataset("minesweeper", tmp_path / "data")) == split_fingerprint(first)


def dense_cache(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Leaves what older versions left of Actor: a cache of dense features, and nothing else. Gives these."""
    write_actor(data_dir)
    home = data_dir / "Actor"
    x = load_dataset("actor", data_dir, features="dense").x
    new = home / "processed" / f"{cache.FORMAT}.safetensors"
    graph = cache.read_cache(new, {})._replace(x=x)
    new.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(cache, "FORMAT", cache.OLDER)
        stamp = cache.raw_stamp([file.name for file in (home / "raw").iterdir()], home / "raw")
        cache.write_cache(graph, home / "processed" / f"{cache.OLDER}.safetensors", stamp, data_dir)
    shutil.rmtree(home / "raw")
    return x


def test_an_older_cache_is_written_anew_with_the_entries_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = dense_cache(tmp_path, monkeypatch)
    for _ in range(2):
        found = load_dataset("actor", tmp_path).x
        assert isinstance(found, SparseFeatures)
        assert found.to_dense().equal(x)
    assert (tmp_path / "Actor/processed/spx-dataset-2.safetensors").is_file()


def test_an_older_cache_in_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = dense_cache(tmp_path / "data", monkeypatch)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "own" / name)
    assert load_dataset("actor", tmp_path / "data").x.to_dense().equal(x)
    assert len(list((tmp_path / "own").rglob("*.safetensors"))) == 1
