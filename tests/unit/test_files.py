"""Files that are whole or not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spx import files


def test_what_was_written_takes_the_place_at_the_end(tmp_path: Path):
    path = tmp_path / "new" / "file"
    with files.replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
        assert temporary.parent == path.parent, "the same disk, so that renaming is one step"
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")

    def write_half() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path, caplog):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = tmp_path / "a[b]*.json"
    dead, alive = (tmp_path / f".{path.name}.{process}" for process in (ended.pid, os.getppid()))
    others = [tmp_path / f".{path.name}.notes", tmp_path / f".ab.json.{ended.pid}"]
    for file in (dead, alive, *others):
        file.write_text("")
    files.write_json(path, {"a": 1})
    assert sorted(tmp_path.iterdir()) == sorted([alive, *others, path])
    assert caplog.messages == [f"An earlier write of {path} was cut off; its remains were removed."]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_json_that_is_damaged_reads_as_none(tmp_path: Path, text: str):
    path = tmp_path / "file.json"
    assert files.read_json(path) is None
    path.write_bytes(text.encode("latin-1"))
    assert files.read_json(path) is None
    files.write_json(path, [1, {"b": None}])
    assert files.read_json(path) == [1, {"b": None}]
