import re
import zipfile
from pathlib import Path

import pytest

from spx.datasets.archive import check_archive, find_member, open_archive
from spx.errors import DatasetError


def write(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"content of {name}" * 50)
    return path


@pytest.mark.parametrize("name", ["../evil.csv", "a/../../evil.csv", "/etc/evil", "..\\evil.csv", "C:evil"])
def test_a_path_that_escapes_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.zip", "top/good.csv", name)
    with pytest.raises(DatasetError, match=f"{re.escape(repr(name))} leads out of it"), open_archive(path):
        pass


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("top/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match="'top/link' is a link"), open_archive(tmp_path / "a.zip"):
        pass


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_zip_is_refused(tmp_path: Path, kept: float) -> None:
    path = write(tmp_path / "a.zip", "top/good.csv")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(DatasetError, match=r"a\.zip is not a whole zip file .*delete it"):
        check_archive(path)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", "top/good.csv")
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"'top/good\.csv' has a wrong checksum"):
        check_archive(path)
    with pytest.raises(DatasetError, match="not a whole zip"), open_archive(path) as archive:
        archive.read("top/good.csv")


def test_find_member_below_any_top_folder(tmp_path: Path) -> None:
    with open_archive(write(tmp_path / "a.zip", "top/raw/edge.csv", "top/raw/my-edge.csv")) as archive:
        assert find_member(archive, "raw/edge.csv") == "top/raw/edge.csv"
    with open_archive(write(tmp_path / "b.zip", "raw/edge.csv")) as archive:
        assert find_member(archive, "raw/edge.csv") == "raw/edge.csv"


@pytest.mark.parametrize(("names", "count"), [(("top/other.csv",), 0), (("a/x.csv", "b/x.csv"), 2)])
def test_find_member_wants_exactly_one(tmp_path: Path, names: tuple[str, ...], count: int) -> None:
    path = write(tmp_path / "a.zip", *names)
    message = f"must hold 'x.csv' once, not {count} times .*{names[0]}"
    with pytest.raises(DatasetError, match=message), open_archive(path) as archive:
        find_member(archive, "x.csv")
