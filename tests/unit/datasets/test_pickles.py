import os
import pickle
import struct
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from spx.datasets import load_dataset
from spx.datasets.pickles import check_pickle
from spx.errors import DatasetError

from .raw_files import write_planetoid

RAW = Path("data/Planetoid/Cora/raw")
MARKER = "marker"


class Bomb:
    """Runs a command as soon as it is unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def harmless() -> dict[str, object]:
    return {
        "array": np.eye(3, dtype=np.int32),
        "matrix": scipy.sparse.csr_matrix(np.eye(4, dtype=np.float32)),
        "dictionary": defaultdict(list, {0: [1, 2], 1: [0], 300: list(range(300))}),
    }


def write(folder: Path, content: bytes) -> Path:
    (folder / "pickle").write_bytes(content)
    return folder / "pickle"


def refused(file: Path, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        check_pickle(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", range(3, 5))
@pytest.mark.parametrize("what", list(harmless()))
def test_what_planetoid_needs_passes(tmp_path: Path, what: str, protocol: int) -> None:
    check_pickle(write(tmp_path, pickle.dumps(harmless()[what], protocol)))


def call(function: bytes, *arguments: bytes) -> bytes:
    return b"c" + function + b"\n(" + b"".join(arguments) + b"tR"


DTYPE = call(b"numpy\ndtype", b"S'f8'\n", b"I00\n", b"I01\n")
OBJECTS = call(b"numpy\ndtype", b"S'O'\n")
ARRAY = call(b"numpy.core.multiarray\n_reconstruct", b"cnumpy\nndarray\n", b"(I0\nt", b"S'b'\n")
STATE = b"(I1\n(I1\nt" + DTYPE + b"I00\nS'12345678'\ntb"


def test_the_names_of_python_2_pass(tmp_path: Path) -> None:
    lists = b"ccollections\ndefaultdict\np0\n(c__builtin__\nlist\np1\ntp2\nRp3\nI0\n(lp4\nI5\nas."
    assert pickle.loads(lists) == {0: [5]}
    check_pickle(write(tmp_path, lists))
    array = ARRAY + STATE + b"."
    assert pickle.loads(array, encoding="latin1").tobytes() == b"12345678"
    check_pickle(write(tmp_path, array))
    matrix = pickle.dumps(scipy.sparse.csr_matrix(np.eye(2)), 0).split(b"(dp")[0] + b"."
    assert b"_reconstructor" in matrix
    check_pickle(write(tmp_path, matrix))


@pytest.mark.skipif(not RAW.is_dir(), reason=f"{RAW} is not here")
def test_the_real_files_pass() -> None:
    files = [file for file in RAW.iterdir() if not file.name.endswith("test.index")]
    assert len(files) == 7
    for file in files:
        check_pickle(file)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_something_else_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / MARKER
    content = pickle.dumps({"x": [Bomb(f"touch {marker}")]}, protocol)
    refused(write(tmp_path, content), r"calls (posix|nt)\.system, which no such file needs")
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists(), "the bomb works"


@pytest.mark.parametrize(
    "content",
    [
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cbuiltins\nlist\no.",  # OBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"Pname\n.",  # PERSID
        b"\x80\x04\x8c\x01xQ.",  # BINPERSID
        b"\x80\x04\x8c\x08builtins\x8c\x04listN0\x93.",  # STACK_GLOBAL after a POP
        b"\x80\x04(\x8c\x08builtins\x8c\x04listt\x93.",  # STACK_GLOBAL of a tuple
        b"\x80\x04\x93.",
        b"\x80\x04h\x00\x8c\x04list\x93.",  # of a place that nothing was put in
        b"\x80\x05\x97.",  # NEXT_BUFFER
    ],
)
def test_operations_that_hide_what_they_call_are_refused(tmp_path: Path, content: bytes) -> None:
    refused(write(tmp_path, content), "can't be told to be a harmless pickle")


def test_names_from_the_memo_are_known(tmp_path: Path) -> None:
    again = b"\x80\x04\x8c\x08builtins\x94\x8c\x04list\x94\x930h\x00h\x01\x93."
    check_pickle(write(tmp_path, again))
    other = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x8c\x04list0h\x00h\x01\x93."
    refused(write(tmp_path, other), r"calls os\.system")


def test_a_name_that_only_looks_allowed_is_refused(tmp_path: Path) -> None:
    refused(write(tmp_path, b"cbu\\x69ltins\nlist\n."), "written with escapes")
    refused(write(tmp_path, b"cbuiltins\nlist.append\n."), r"calls builtins\.list\.append")


def test_a_place_that_would_take_all_memory_is_refused(tmp_path: Path) -> None:
    refused(write(tmp_path, b"]r" + struct.pack("<I", 2**31) + b"."), "LONG_BINPUT of place 2147483648")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OBJECTS, "'O' is no plain number"),
        (call(b"numpy\ndtype", b"cbuiltins\nlist\n"), "no plain number"),
        (call(b"numpy\nndarray", b"(I1\nt", DTYPE, b"N", b"S'12345678'\n"), "positional argument but 5"),
        (DTYPE + b"(I3\nS'<'\nNNNI8\nI1\nI63\ntb", "fields or flags"),
        (
            call(b"numpy.core.multiarray\n_reconstruct", b"cbuiltins\nlist\n", b"(I0\nt", b"S'b'\n"),
            "else than an array",
        ),
        (call(b"collections\ndefaultdict", b"cnumpy\nndarray\n"), "else than lists"),
        (b"cscipy.sparse._csr\ncsr_matrix\n(N}S'todense'\ncbuiltins\nlist\nstb", "missing 1 required"),
    ],
    ids=["objects", "type as dtype", "memory as array", "flags", "no array", "no lists", "change of a class"],
)
def test_allowed_names_can_not_be_turned_against_their_libraries(tmp_path: Path, content: bytes, message: str) -> None:
    refused(write(tmp_path, content + b"."), message)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff" * 50, b"]", b"\x80\x63.", b"c\xff\n\xfe\n."])
def test_bytes_that_are_no_pickle(tmp_path: Path, content: bytes) -> None:
    refused(write(tmp_path, content), "can't be told to be a harmless pickle")


@pytest.mark.parametrize("part", ["x", "graph", "ty"])
def test_planetoid_is_refused_before_it_is_unpickled(tmp_path: Path, part: str) -> None:
    write_planetoid(tmp_path)
    file = tmp_path / f"Planetoid/Cora/raw/ind.cora.{part}"
    file.write_bytes(pickle.dumps(Bomb(f"touch {tmp_path / MARKER}")))
    with pytest.raises(DatasetError, match=rf"dataset 'cora': .*ind\.cora\.{part} is a pickle that calls .*system"):
        load_dataset("cora", tmp_path)
    assert not (tmp_path / MARKER).exists()
