import os
import warnings
from pathlib import Path

import pytest
import torch

from spx.datasets import cache
from spx.datasets.cache import raw_stamp, read_cache, write_cache
from spx.datasets.types import GraphTensors
from spx.graph.features import SparseFeatures

GRAPH = GraphTensors(
    x=torch.arange(8.0).view(4, 2),
    edge_index=torch.tensor([[0, 1], [1, 2], [2, 3]]).t(),  # not contiguous
    y=torch.tensor([0, 1, -1, 1]),
    train_mask=torch.tensor([[True, False, False, False]]),
)
STAMP = {"a.txt": [5, 17]}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "processed" / "cache.safetensors"
    write_cache(GRAPH, path, STAMP, tmp_path)
    assert [child.name for child in tmp_path.iterdir()] == ["processed"], "no scratch is left"
    return path


def equal(first: GraphTensors | None, second: GraphTensors) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a is b is None or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in pairs)


def test_round_trip(written: Path) -> None:
    assert equal(read_cache(written, STAMP), GRAPH)


def test_nothing_there(tmp_path: Path) -> None:
    assert read_cache(tmp_path / "none", STAMP) is None


def test_a_change_in_place_stays_in_memory(written: Path) -> None:
    read_cache(written, STAMP).x.zero_()
    assert equal(read_cache(written, STAMP), GRAPH)


def test_removed_raw_files_do_not_matter_but_changed_ones_do(written: Path) -> None:
    assert read_cache(written, {}) is not None
    assert read_cache(written, {"a.txt": [6, 17]}) is None
    assert read_cache(written, {"a.txt": [5, 18]}) is None
    assert read_cache(written, STAMP | {"b.txt": [1, 1]}) is None


def test_another_format_version_is_passed_over(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FORMAT", "spx-dataset-999")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_cache(written, STAMP) is None


@pytest.mark.parametrize("kept", [0, 1, 8, 100, -1])
def test_a_truncated_file_is_told(written: Path, kept: int) -> None:
    written.write_bytes(written.read_bytes()[:kept])
    with pytest.warns(UserWarning, match="is damaged"):
        assert read_cache(written, STAMP) is None


def test_a_flipped_bit_is_told(written: Path) -> None:
    content = bytearray(written.read_bytes())
    content[-3] ^= 4
    written.write_bytes(content)
    with pytest.warns(UserWarning, match="a checksum is wrong"):
        assert read_cache(written, STAMP) is None


def test_a_foreign_tensor_is_told(written: Path) -> None:
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(1)}, written, {"format": cache.FORMAT, "raw": "{}", "checksums": "{}"})
    with pytest.warns(UserWarning, match="is damaged"):
        assert read_cache(written, {}) is None


def test_a_failed_write_leaves_the_old_file(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_cache(GRAPH._replace(x=torch.zeros(4, 2)), written, STAMP, written.parent.parent)
    assert equal(read_cache(written, STAMP), GRAPH)


def test_stamp_tells_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("four")
    os.utime(tmp_path / "a", ns=(0, 1234))
    assert raw_stamp(["a", "absent"], tmp_path) == {"a": [4, 1234]}


def test_sparse_features_are_kept_as_their_entries(tmp_path: Path) -> None:
    x = torch.zeros(4, 1000)
    x[1, 3], x[3, 0] = 2, 5
    path = tmp_path / "cache.safetensors"
    write_cache(GRAPH._replace(x=SparseFeatures.from_dense(x)), path, STAMP, tmp_path)
    found = read_cache(path, STAMP)
    assert isinstance(found.x, SparseFeatures)
    assert found.x.to_dense().equal(x)
    assert equal(found._replace(x=x), GRAPH._replace(x=x))
    assert path.stat().st_size < x.nbytes / 4


def test_what_older_versions_wrote_is_read(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FORMAT", cache.OLDER)
    write_cache(GRAPH, written, STAMP, written.parent)
    monkeypatch.undo()
    assert equal(read_cache(written, STAMP), GRAPH)
