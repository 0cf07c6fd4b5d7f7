"""What `spx predict` is given: names or a file of names, features, and where to write."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spx.errors import ConfigError
from spx.inference.command import make_predict_parser, read_features, read_nodes


def test_many_names_are_no_file_that_can_not_be_read() -> None:
    names = [f"node-{number}" for number in range(5_000)]
    assert read_nodes(",".join(names)) == names
    assert read_nodes("x" * 300) == ["x" * 300]
    assert read_nodes("a/b, c\0") == ["a/b", "c\0"]


def test_a_file_of_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    path.write_text("\ufeffa, b\n\nc\n")
    assert read_nodes(str(path)) == ["a, b", "c"]
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="can't be read"):
        read_nodes(str(path))
    with pytest.raises(ConfigError, match=r"There is no file .*none\.txt"):
        read_nodes(str(tmp_path / "none.txt"))


def test_features_are_read(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, other=x)
    for name in ("x.npy", "x.npz"):
        assert (read_features(str(tmp_path / name)) == x).all()
    np.savez(tmp_path / "none.npz", features=x)
    with pytest.raises(ConfigError, match="no array named x"):
        read_features(str(tmp_path / "none.npz"))


@pytest.mark.parametrize("rows", [3, 10**15, 10**30, -1])
def test_a_damaged_length_takes_no_memory(tmp_path: Path, rows: int) -> None:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 2), }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(8)
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    for name in ("x.npy", "x.npz", "x" * 300):
        with pytest.raises(ConfigError, match=f"The features in .*{name} can't be read"):
            read_features(str(tmp_path / name))


def test_a_spreadsheet_is_asked_for_by_name() -> None:
    assert make_predict_parser().parse_args(["run", "--output", "p.csv", "--spreadsheet"]).spreadsheet
    assert not make_predict_parser().parse_args(["run", "--output", "p.csv"]).spreadsheet
