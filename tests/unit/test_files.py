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


def test_a_link_laid_under_a_guessed_name_is_not_followed(tmp_path: Path):
    path, precious = tmp_path / "pred.csv", tmp_path / "precious"
    precious.write_text("mine")
    for name in (f".{path.name}.{os.getpid()}", f".{path.name}.{os.getpid()}.0"):
        (tmp_path / name).symlink_to(precious)
    with files.replacing(path) as temporary:
        assert not temporary.is_symlink()
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert precious.read_text() == "mine"


def test_no_two_names_are_alike(tmp_path: Path):
    with files.replacing(tmp_path / "file") as one, files.replacing(tmp_path / "file") as other:
        assert one != other
        assert {one.stat().st_mode & 0o777, other.stat().st_mode & 0o777} == {0o600}, "nobody else's till it is whole"


def test_what_was_exchanged_while_it_was_written_is_refused(tmp_path: Path):
    path, precious = tmp_path / "file", tmp_path / "precious"
    precious.write_text("mine")
    precious.chmod(0o600)
    path.write_text("old")

    def exchange() -> None:
        with files.replacing(path) as temporary:
            temporary.unlink()
            temporary.symlink_to(precious)

    with pytest.raises(OSError, match="exchanged for another file"):
        exchange()
    assert path.read_text() == "old"
    assert not path.is_symlink()
    assert precious.stat().st_mode & 0o777 == 0o600
    assert sorted(tmp_path.iterdir()) == [path, precious]


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o700])
def test_who_may_read_the_folder_may_read_the_file(tmp_path: Path, mode: int):
    (folder := tmp_path / "folder").mkdir()
    folder.chmod(mode)
    files.write_json(folder / "file", 1)
    assert (folder / "file").stat().st_mode & 0o777 == mode & 0o666


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path, caplog):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = tmp_path / "a[b]*.json"
    dead, alive = (tmp_path / f".{path.name}.{process}" for process in (ended.pid, os.getppid()))
    others = [tmp_path / f".{path.name}.notes", tmp_path / f".ab.json.{ended.pid}"]
    others += [tmp_path / f".{path.name}.{ended.pid}.another-machine.a1b2c3d4"]
    with files.replacing(path) as temporary:
        prefix = temporary.name.rpartition(".")[0]
    killed = tmp_path / f"{prefix.replace(f'.{os.getpid()}.', f'.{ended.pid}.')}.a1_b2c3d"
    for file in (dead, killed, alive, *others):
        file.write_text("")
    files.write_json(path, {"a": 1})
    assert sorted(tmp_path.iterdir()) == sorted([alive, *others, path])
    assert caplog.messages == [f"An earlier write of {path} was cut off; its remains were removed."] * 2


def test_a_writer_that_is_killed_leaves_what_the_next_removes(tmp_path: Path):
    path = tmp_path / "file"
    code = "import os, sys\nfrom spx.files import replacing\nwith replacing(sys.argv[1]): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    files.write_json(path, 1)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_json_that_is_damaged_reads_as_none(tmp_path: Path, text: str):
    path = tmp_path / "file.json"
    assert files.read_json(path) is None
    path.write_bytes(text.encode("latin-1"))
    assert files.read_json(path) is None
    files.write_json(path, [1, {"b": None}])
    assert files.read_json(path) == [1, {"b": None}]
