import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from .conftest import read
from .samples import NUM_NODES, arrays, write_npz


class Bomb:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def write_members(path: Path, method: int = zipfile.ZIP_STORED, **members: bytes | None) -> str:
    """An .npz of the sample's arrays, some members replaced by these bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for key, array in arrays().items():
            archive.writestr(f"{key}.npy", members.get(key) or packed(array))
    return str(path)


def packed(array: np.ndarray, **header: object) -> bytes:
    """The bytes of an .npy; with a header of its own, if given."""
    stream = io.BytesIO()
    if header:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (), **header})
        stream.write(array.tobytes())
    else:
        np.save(stream, array)
    return stream.getvalue()


def test_the_arrays_are_read(tmp_path: Path) -> None:
    dataset = read(write_npz(tmp_path))
    known = arrays()
    assert dataset.name == "graph"
    assert torch.equal(dataset.x, torch.from_numpy(known["x"]).float())
    assert torch.equal(dataset.edge_index, torch.from_numpy(known["edge_index"]))
    assert torch.equal(dataset.y, torch.from_numpy(known["y"]))
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.node_ids is None


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_packed_and_turned_arrays(tmp_path: Path, save: Callable, order: str) -> None:
    known = arrays()
    save(tmp_path / "a.npz", **{key: np.asarray(value, order=order) for key, value in known.items()})
    assert torch.equal(read(str(tmp_path / "a.npz")).x, torch.from_numpy(known["x"]).float())


@pytest.mark.parametrize("key", ["y", "x", "node_ids"])
def test_python_objects_are_refused_and_not_opened(tmp_path: Path, refused: Callable, key: str) -> None:
    marker = tmp_path / "marker"
    path = write_npz(tmp_path, **{key: np.array([Bomb(marker)] * NUM_NODES, dtype=object)})
    refused(path, f"'{key}.npy' holds object values", "could run code", "numpy.array([...], dtype=str)")
    assert not marker.exists()
    np.load(path, allow_pickle=True)[key]
    assert marker.exists(), "the bomb works"


def test_objects_under_other_keys_stay_closed(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    read(write_npz(tmp_path, extra=np.array([Bomb(marker)], dtype=object)))
    assert not marker.exists()


@pytest.mark.parametrize(
    "header",
    [{"shape": (10**15, 4)}, {"shape": (NUM_NODES, 5)}, {"shape": (-NUM_NODES, -4)}, {"shape": (), "descr": "<f4"}],
)
def test_a_header_that_promises_what_is_not_there(tmp_path: Path, refused: Callable, header: dict) -> None:
    path = write_members(tmp_path / "a.npz", x=packed(arrays()["x"], **header))
    refused(path, "it is not a whole .npz", "announces", "save it anew")


def test_texts_of_no_length_take_no_bytes_and_are_refused(tmp_path: Path, refused: Callable) -> None:
    path = write_members(tmp_path / "a.npz", y=packed(np.empty(0), shape=(10**15,), descr="<U0"))
    refused(path, "'y.npy' holds <U0 values")


def test_arrays_larger_than_memory_are_refused(
    tmp_path: Path, refused: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_npz(tmp_path, x=np.zeros((NUM_NODES, 1000)))
    read(path)
    monkeypatch.setattr("spx.datasets.own.npz.memory_bytes", lambda: 100_000)
    refused(path, "take 0.0 GB unpacked, but this machine has 0.0 GB of memory")


def test_other_ways_of_packing_are_refused(tmp_path: Path, refused: Callable) -> None:
    refused(write_members(tmp_path / "a.npz", zipfile.ZIP_LZMA), "packed in a way that NumPy doesn't use")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100])
def test_what_is_no_npz(tmp_path: Path, refused: Callable, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    refused(str(tmp_path / "a.npz"), "it is not a whole .npz")


def test_a_wrong_checksum(tmp_path: Path, refused: Callable) -> None:
    path = Path(write_npz(tmp_path))
    x = arrays()["x"].tobytes()
    path.write_bytes(path.read_bytes().replace(x, x[:-1] + bytes([x[-1] ^ 1])))
    refused(str(path), "it is not a whole .npz (Bad CRC-32")
