import logging
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from spx.datasets.scratch import move_into_place, scratch_folder
from spx.errors import DatasetError


def test_scratch_is_empty_inside_and_gone_after(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "a" / "b") as scratch:
        assert scratch.parent == tmp_path / "a" / "b"
        assert list(scratch.iterdir()) == []
        (scratch / "folder").mkdir()
    assert not scratch.exists()


def test_scratch_goes_and_the_lock_opens_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch_folder(tmp_path) as scratch:
        raise KeyError
    assert not scratch.exists()
    FileLock(tmp_path / ".lock").acquire(timeout=0).lock.release()


def test_stale_scratch_is_removed_but_links_are_not_followed(tmp_path: Path) -> None:
    user, stale = tmp_path / "user.npz", tmp_path / "home" / ".staging-1-dead"
    user.write_text("mine")
    stale.mkdir(parents=True)
    (stale / "link.npz").symlink_to(user)
    with scratch_folder(tmp_path / "home"):
        assert not stale.exists()
    assert user.read_text() == "mine"


def test_a_second_one_waits_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    def second() -> None:
        with scratch_folder(tmp_path):
            order.append("second")

    with caplog.at_level(logging.WARNING), scratch_folder(tmp_path) as scratch:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first")
        assert scratch.exists(), "the scratch of a live run is not taken for stale"
    thread.join(10)
    assert order == ["first", "second"]
    assert "waiting for it" in caplog.text


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(DatasetError, match=r"can't be written .*choose another data_dir"), scratch_folder(tmp_path):
        pass
    FileLock(tmp_path / ".lock").acquire(timeout=0).lock.release()
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DatasetError, match="can't be written"), scratch_folder(tmp_path / "new"):
        pass


def test_move_into_place_replaces(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "final").write_text("old")
    move_into_place(tmp_path / "new", tmp_path / "final")
    assert (tmp_path / "final").read_text() == "new"
    assert not (tmp_path / "new").exists()
