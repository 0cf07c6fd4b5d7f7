"""Text tables as other programs write them, and what is said of broken ones."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars
import pytest
import torch
from daily import every_day

from spx.datasets.own.dialect import sniff
from spx.datasets.own.table_file import open_table
from spx.errors import DatasetError

from .conftest import read
from .samples import IDS, NUM_NODES, columns, ring, write_folder

SAMPLE = "id,note,n\n1,x,5\n2,,6\n"
ROWS = [("1", "x", "5"), ("2", None, "6")]
SEPARATORS = [",", ";", "\t", "|"]


def rows(folder: Path, text: str | bytes, name: str = "nodes.csv") -> list[tuple]:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_table(file).read().rows()


def zstd(content: bytes) -> bytes:
    """A frame of one raw block, which needs no library (RFC 8878)."""
    assert len(content) < 256
    block = (len(content) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + b"\x20" + bytes([len(content)]) + block + content


@pytest.mark.parametrize("separator", SEPARATORS)
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    assert rows(tmp_path, SAMPLE.replace(",", separator)) == ROWS
    quoted = f'id{separator}"a, b; c|d\te"\n"1"{separator}"x{separator}""y""\nz"\n'
    assert rows(tmp_path, quoted) == [("1", f'x{separator}"y"\nz')]


@pytest.mark.parametrize(
    ("text", "separator", "names"),
    [
        ("id;x, in m;y, in m;label\n1;2,5;3;a\n", ";", ("id", "x, in m", "y, in m", "label")),
        ("a;b;c,id\n1;2;3,4\n", ",", ("a;b;c", "id")),
        ("id label\n1 a\n", " ", ("id", "label")),
        ("first name,id\nx y,1\n", ",", ("first name", "id")),
        ("id\n1\n", ",", ("id",)),
        ("b|c|d\tid\n1|2|3\t4\n", "\t", ("b|c|d", "id")),
    ],
)
def test_the_header_decides(tmp_path: Path, text: str, separator: str, names: tuple[str, ...]) -> None:
    (tmp_path / "nodes.csv").write_text(text)
    assert sniff(tmp_path / "nodes.csv")[:2] == (names, separator)


@pytest.mark.parametrize(
    "text",
    [
        "sep=,\n" + SAMPLE,
        '"sep=;"\r\n' + SAMPLE.replace(",", ";").replace("\n", "\r\n"),
        "SEP=\t\n" + SAMPLE.replace(",", "\t"),
        "sep=^\n" + SAMPLE.replace(",", "^"),
        "\ufeffsep=;\n" + SAMPLE.replace(",", ";"),
        "# one\n\n#two, three\n" + SAMPLE + "# the end\n",
        "#id,note,n\n" + SAMPLE.split("\n", 1)[1],
        "# made by hand\n# id,note,n\n" + SAMPLE.split("\n", 1)[1],
        "\n\n" + SAMPLE + "\n \n",
        SAMPLE.replace("\n", "\r"),
        "sep=,\r" + SAMPLE.replace("\n", "\r"),
        "\ufeff" + SAMPLE.replace("\n", "\r\n"),
    ],
)
def test_what_stands_around_the_table(tmp_path: Path, text: str) -> None:
    assert rows(tmp_path, text) == ROWS


def test_what_only_looks_like_a_comment_stays(tmp_path: Path) -> None:
    assert rows(tmp_path, "id,a\n#x,1\ny,#2\n") == [("#x", "1"), ("y", "#2")]
    assert rows(tmp_path, "# tags\nid,a\n#x,1\ny,#2\n") == [("#x", "1"), ("y", "#2")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings(tmp_path: Path, encoding: str, pack: Callable[[bytes], bytes], end: str) -> None:
    text = SAMPLE.replace("x", "\xe9\u4e2d").replace("\n", end)
    assert rows(tmp_path, pack(text.encode(encoding))) == [("1", "\xe9\u4e2d", "5"), ROWS[1]]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_packed_tables(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    for text in (SAMPLE, "# c\nsep=;\n" + SAMPLE.replace(",", ";"), "\ufeff" + SAMPLE):
        assert rows(tmp_path, pack(text.encode()), "nodes.csv.gz") == ROWS
    with pytest.raises(DatasetError, match=r"row 3 \(line 4\) has 2 cells, but the header names 3 columns"):
        rows(tmp_path, pack((SAMPLE + "3,4\n").encode()), "nodes.csv.gz")
    with pytest.raises(DatasetError, match=r"nodes\.csv\.gz"):
        rows(tmp_path, pack(SAMPLE.encode())[:-12], "nodes.csv.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a\n1,2\n3,4,5\n", r"nodes.csv: row 2 \(line 3\) has 3 cells, but the header names 2 columns: put a cell"),
        ("# c\nsep=;\nid;a\n\n1;2\n3;4;5\n", r"row 2 \(line 6\) has 3 cells"),
        ('id,a\n1,"x\ny"\n3,4,5\n', r"row 2 \(line 4\) has 3 cells"),
        ("id,a,b\n1,2,3\n4,5\n", r"row 2 \(line 3\) has 2 cells, but the header names 3"),
        ("id,a,b\n1,2,\n4,,\n5\n", r"row 3 \(line 4\) has 1 cell, but"),
        ('id,a,b\n1,"x,\n",3\n4,5\n', r"row 2 \(line 4\) has 2 cells"),
        ('id,a\n1,2\n3,"4\n5,6\n', "the quotes of line 3 don't fit"),
        ('id,a\n1,2\n3,"4"x\n', "the quotes of line 3 don't fit"),
        ("id\tx\n1\t2\t3\n", r"row 1 \(line 2\) has 3 cells"),
    ],
)
def test_broken_rows_are_told_by_their_number(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        rows(tmp_path, text)
    assert "polars" not in str(caught.value)
    assert "truncate_ragged_lines" not in str(caught.value)


def test_a_quote_inside_a_cell_is_read_or_told(tmp_path: Path) -> None:
    """polars from 2.0 on doesn't read it."""
    try:
        assert rows(tmp_path, 'id,a\n1,5\n2,12"\n3,4\n') == [("1", "5"), ("2", '12"'), ("3", "4")]
    except DatasetError as error:
        assert "the quotes of line 3 don't fit: put the whole cell in quotes" in str(error)  # noqa: PT017


def test_a_row_of_empty_cells_is_as_long_as_others(tmp_path: Path) -> None:
    assert rows(tmp_path, 'id,a,b\n1,"x\n,y",\n2,,\n') == [("1", "x\n,y", None), ("2", None, None)]
    assert rows(tmp_path, 'id,a,b\n1,"x,y",\n2,,\n,,\n') == [("1", "x,y", None), ("2", None, None)]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_decimal_commas_beside_another_separator(tmp_path: Path, separator: str) -> None:
    path = write_folder(tmp_path, size=[f"{number}.25" for number in range(NUM_NODES)], whole=["1", "2", "3"] * 10)
    wanted = read(path)
    for file in tmp_path.iterdir():
        file.write_text(file.read_text().replace(",", separator))
    assert torch.equal(read(path).x, wanted.x), "points stay points"
    for file in tmp_path.iterdir():
        file.write_text(file.read_text().replace(".", ","))
    dataset = read(path)
    assert torch.equal(dataset.x, wanted.x)
    assert [column["form"] for column in dataset.schema["columns"]] == ["decimal comma", "plain"]


def test_a_comma_that_could_be_either_is_decimal_beside_semicolons(tmp_path: Path, refused: Callable) -> None:
    path = write_folder(tmp_path, size=[f"{1 + number % 9}.{100 + number}" for number in range(NUM_NODES)])
    wanted = read(path)
    for file in tmp_path.iterdir():
        file.write_text(file.read_text().replace(",", ";").replace(".", ","))
    assert torch.equal(read(path).x, wanted.x)
    (tmp_path / "nodes.csv").write_text((tmp_path / "nodes.csv").read_text().replace(";", "\t"))
    refused(path, "can't be told whether it is a decimal comma")
    (tmp_path / "nodes.csv").write_text(
        (tmp_path / "nodes.csv").read_text().replace("\t", ";").replace("1,109", "1.19")
    )
    refused(path, "can't be told whether it is a decimal comma")


@pytest.mark.parametrize("name", ["nodes.tsv", "nodes.txt", "nodes.tab", "nodes.csv.gz", "nodes.tsv.zst", "NODES.CSV"])
def test_endings(tmp_path: Path, name: str) -> None:
    path = write_folder(tmp_path)
    wanted = read(path)
    text = (tmp_path / "nodes.csv").read_text()
    text = text.replace(",", "\t") if "tsv" in name or "tab" in name else text
    (tmp_path / "nodes.csv").unlink()
    if name.endswith(".zst"):
        frames = b"".join(zstd(text.encode()[place : place + 200]) for place in range(0, len(text), 200))
        (tmp_path / name).write_bytes(frames)
    else:
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert torch.equal(read(path).x, wanted.x)


def parts(folder: Path, stem: str, ending: str, key: str | None = None) -> None:
    """The table as a folder of part files, in folders of `key`'s values if it is given."""
    table = polars.read_csv(folder / f"{stem}.csv")
    (folder / f"{stem}.csv").unlink()
    home = folder / f"{stem}{ending}"
    home.mkdir()
    (home / "_SUCCESS").touch()
    (home / ".part-0.crc").touch()
    groups = table.partition_by(key, as_dict=True, include_key=False) if key else {("",): table}
    for (value,), group in groups.items():
        place = home / f"{key}={value}" if key else home
        place.mkdir(exist_ok=True)
        for number, part in enumerate((group[:7], group[7:])):
            if ending == ".csv":
                part.write_csv(place / f"part-{number}.csv")
            else:
                part.write_parquet(place / f"part-{number}.parquet")


@every_day("ending", [".parquet", "", ".csv"], 1)
def test_a_table_in_parts(tmp_path: Path, ending: str) -> None:
    path = write_folder(tmp_path)
    wanted = read(path)
    for stem in ("nodes", "edges"):
        parts(tmp_path, stem, ending)
    dataset = read(path)
    assert torch.equal(dataset.x, wanted.x)
    assert torch.equal(dataset.edge_index, wanted.edge_index)


@pytest.mark.parametrize("key", ["split", "label"])
def test_folders_named_after_a_column_s_values(tmp_path: Path, key: str) -> None:
    home = tmp_path / "label=none"  # of no account: the table is below it
    path = write_folder(home, split=["train", "val", "test"] * 10)
    wanted = read(path)
    parts(home, "nodes", ".parquet", key)
    dataset = read(path)
    place = {name: number for number, name in enumerate(dataset.node_ids)}
    order = [place[name] for name in IDS]
    assert torch.equal(dataset.x[order], wanted.x)
    assert torch.equal(dataset.y[order], wanted.y)
    assert dataset.split.train.numel() == 10


def test_parts_that_do_not_fit(tmp_path: Path, refused: Callable) -> None:
    path = write_folder(tmp_path)
    parts(tmp_path, "nodes", ".csv")
    (tmp_path / "nodes.csv" / "part-2.csv").write_text("id,other\n1,2\n")
    refused(path, "nodes.csv: part-2.csv has other columns than part-0.csv")
    (tmp_path / "nodes.csv" / "part-2.csv").unlink()
    polars.DataFrame({"id": [1]}).write_parquet(tmp_path / "nodes.csv" / "part-2.parquet")
    refused(path, "nodes.csv holds both text and Parquet files: keep one kind")


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [
        *[("Nodes.csv", "Edges.CSV"), ("vertices.csv", "edge_list.csv"), ("node.csv", "relationships.csv")],
        *[
            ("NODE_LIST.csv", "Links.csv"),
            ("my graph [Nodes].csv", "my graph [Edges].csv"),
            ("g_nodes.csv", "g-edges.csv"),
        ],
    ],
)
def test_files_of_other_names(
    tmp_path: Path, refused: Callable, caplog: pytest.LogCaptureFixture, nodes: str, edges: str
) -> None:
    path = write_folder(tmp_path)
    wanted = read(path)
    (tmp_path / "nodes.csv").rename(tmp_path / nodes)
    (tmp_path / "edges.csv").rename(tmp_path / edges)
    assert torch.equal(read(path).edge_index, wanted.edge_index)
    assert f"{nodes} is read as the table of nodes" in caplog.text
    (tmp_path / "other_nodes.csv").write_text("")
    (tmp_path / "nodes2.csv").write_text("")
    refused(path, "the folder holds ", "'nodes2.csv'", "'other_nodes.csv'") if "g" in nodes else read(path)
    write_folder(tmp_path, {"source": [IDS[0]], "target": [IDS[1]]})
    assert read(path).edge_index.shape == (2, 1), "the exact name wins"


def test_what_else_is_there_is_told(tmp_path: Path, refused: Callable) -> None:
    path = write_folder(tmp_path)
    (tmp_path / "nodes.csv").rename(tmp_path / "people.xlsx")
    refused(path, "holds no nodes.csv or nodes.parquet (it holds 'edges.csv', 'people.xlsx'): add one")
    (tmp_path / "edges.csv").rename(tmp_path / "edges.xlsx")
    refused(path, "(it holds 'edges.xlsx', 'people.xlsx')")


def test_tables_of_different_dialects(tmp_path: Path) -> None:
    path = write_folder(
        tmp_path, {**ring([f"{number}.0" for number in range(NUM_NODES)])}, id=list(map(str, range(NUM_NODES)))
    )
    wanted = read(path)
    text = (tmp_path / "nodes.csv").read_text().replace(",", ";")
    (tmp_path / "nodes.csv").write_bytes(text.encode("utf-16"))
    assert torch.equal(read(path).edge_index, wanted.edge_index)
    assert wanted.edge_index[1, :3].tolist() == [1, 2, 3]
    polars.DataFrame(columns(id=None)).with_columns(id=polars.int_range(NUM_NODES)).write_parquet(
        tmp_path / "nodes.parquet"
    )
    (tmp_path / "nodes.csv").unlink()
    assert torch.equal(read(path).edge_index, wanted.edge_index)
