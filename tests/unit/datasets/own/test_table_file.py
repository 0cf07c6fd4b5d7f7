from pathlib import Path

import polars
import pytest

from spx.datasets.own.table_file import find_table, open_table
from spx.errors import DatasetError


def sheet(folder: Path, text: str | bytes) -> Path:
    file = folder / "nodes.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def rows(folder: Path, text: str | bytes) -> list[tuple]:
    return open_table(sheet(folder, text)).read().rows()


def refused(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_table(sheet(folder, text)).read()


@pytest.mark.parametrize(
    "text",
    [
        "id,a\n1,x y\n2,\n",
        "id,a\r\n1,x y\r\n\r\n2,\r\n\r\n",
        ' id , "a"\n 1 ,  x y\n"2", " "\n,\n'.replace(', "', ',"'),
        "\ufeffid,a\n1,x y\n2,",
    ],
    ids=["plain", "Windows", "spaces and quotes", "byte order mark"],
)
def test_cells_of_csv_are_text_without_spaces_around_them(tmp_path: Path, text: str) -> None:
    assert rows(tmp_path, text) == [("1", "x y"), ("2", None)]


def test_quoted_cells_may_hold_anything(tmp_path: Path) -> None:
    assert rows(tmp_path, 'id,a\n"1","x,""y""\nz"\n') == [("1", 'x,"y"\nz')]


def test_only_the_needed_columns(tmp_path: Path) -> None:
    table = {"weight": [1.0], "id": ["7"], "b": [2]}
    polars.DataFrame(table).write_csv(tmp_path / "edges.csv")
    polars.DataFrame(table).write_parquet(tmp_path / "edges.parquet")
    for ending in ("csv", "parquet"):
        table = open_table(tmp_path / f"edges.{ending}")
        assert [heading.name for heading in table.columns] == ["weight", "id", "b"]
        assert table.read(["id"]).to_dict(as_series=False) == {"id": ["7"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,\n1,0\n", "column 2 has no name: .*index=False"),
        ("id,a,a \n1,2,3\n", "more than one column is named 'a': rename"),
        ("id\n1,2\n", r"nodes.csv: row 1 \(line 2\) has 2 cells, but the header names 1 columns"),
        ('id,a\n3,4\n1,"2\n', "nodes.csv: the quotes of line 3 don't fit"),
        ("id,a\n1,\xe9\n".encode("latin1"), "can't be read as CSV.*in Excel: as 'CSV UTF-8'"),
        ("id,a\n1,2\n".encode("utf-16-le"), "nodes.csv is no text in UTF-8"),
        ("id,a\n1,2\n".encode("utf-16")[:-1], "nodes.csv is no whole text in utf-16"),
        (b"", "nodes.csv is empty: its first line must name the columns"),
        (b"\n\n", "nodes.csv"),
        (b"PK\x03\x04", "nodes.csv is packed in a way that isn't read .*: unpack it first"),
        (b"\x1f\x8b\x08\x00", "nodes.csv can't be unpacked"),
        (b"\x28\xb5\x2f\xfd\x00", "nodes.csv"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str | bytes, message: str) -> None:
    refused(tmp_path, text, message)


def test_parquet_that_is_cut_or_none_at_all(tmp_path: Path) -> None:
    file = tmp_path / "nodes.parquet"
    polars.DataFrame({"id": list(range(100))}).write_parquet(file)
    whole = file.read_bytes()
    for content in (whole[:-20], b"id\n1\n"):
        file.write_bytes(content)
        with pytest.raises(DatasetError, match=r"nodes\.parquet is no whole Parquet file .*: save it anew"):
            open_table(file)


def test_parquet_that_ends_the_process_that_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spx.datasets.own.table_file._PROBE", "import os; os.abort()")
    polars.DataFrame({"id": [1]}).write_parquet(tmp_path / "nodes.parquet")
    with pytest.raises(DatasetError, match=r"no whole Parquet file \(reading it fails, -6\)"):
        open_table(tmp_path / "nodes.parquet")


def test_a_path_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "a[b]*=?"
    folder.mkdir()
    assert rows(folder, "id\n1\n") == [("1",)]
    polars.DataFrame({"id": [1]}).write_parquet(folder / "nodes.parquet")
    assert open_table(folder / "nodes.parquet").read().rows() == [(1,)]


def test_which_file(tmp_path: Path) -> None:
    (tmp_path / "other.csv").touch()
    with pytest.raises(DatasetError, match=r"holds no nodes.csv or nodes.parquet \(it holds 'other.csv'\): add one"):
        find_table(tmp_path, "nodes")
    (tmp_path / "nodes.parquet").touch()
    assert find_table(tmp_path, "nodes") == tmp_path / "nodes.parquet"
    (tmp_path / "nodes.csv").touch()
    with pytest.raises(DatasetError, match=r"holds both 'nodes\.csv', 'nodes\.parquet': remove one"):
        find_table(tmp_path, "nodes")
