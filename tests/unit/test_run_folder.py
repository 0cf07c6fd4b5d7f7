from pathlib import Path

import pytest

from spx.errors import ConfigError
from spx.run_folder import check_writable, next_version


def test_the_first_version_is_0(tmp_path: Path) -> None:
    assert next_version(tmp_path / "none") == 0
    assert next_version(tmp_path) == 0


def test_the_next_version_follows_the_highest(tmp_path: Path) -> None:
    for name in ("version_0", "version_9", "version_10", "version_x", "other_99"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 11


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/runs can't be written: Not a directory\. .*--runs_dir"):
        check_writable(tmp_path / "file" / "runs")


def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(ConfigError, match="can't be written: Permission denied"):
        check_writable(tmp_path)
