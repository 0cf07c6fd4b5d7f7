"""The lines of `spx check` on the columns of a table."""

import json
from pathlib import Path

import pytest

from spx.datasets import OwnSettings, load_dataset
from spx.errors import ConfigError
from spx.graph_check.columns import ColumnLine, column_lines, shown_lines
from spx.graph_check.command import check_main

NUM_NODES = 30


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A folder with a column of each kind; its path."""
    names = ["Unnamed: 0", "id", "label", "split", "age", "city", "on", "day", "code", "same", "name", "rate"]
    rows = [
        [
            *(
                str(node),
                f"n{node}",
                "ab"[node % 2] if node else "",
                ("train", "val", "test")[node % 3] if node else "",
            ),
            *(str(20 + node) if node % 5 else "NA", ("Rome", "Oslo")[node % 2], ("true", "False")[node % 2]),
            *(f"2020-01-{node + 1:02}", str(node % 3), "7", f"name {node}", f'"{node},5"'),
        ]
        for node in range(NUM_NODES)
    ]
    (tmp_path / "nodes.csv").write_text("\n".join(map(",".join, [names, *rows])) + "\n")
    (tmp_path / "edges.csv").write_text("source,target\nn0,n1\nn1,n2\n")
    return str(tmp_path)


def test_a_line_for_each_column(table: str) -> None:
    lines = {line.name: line for line in column_lines(load_dataset(table, own=OwnSettings()).schema)}
    assert lines["id"] == ColumnLine("id", "id", "", "", "", "")
    assert lines["label"][:3] == ("label", "label", "3.3%")
    assert lines["split"][:3] == ("split", "split", "3.3%")
    assert lines["Unnamed: 0"].taken_as == "left out"
    assert lines["age"][:4] == ("age", "number", "20.0%", "21 to 49")
    assert lines["age"].done.startswith("missing: the median 3")
    assert "and a feature that says so; less 3" in lines["age"].done
    assert lines["city"][1:5] == ("category of 2 values", "", "", "2 features of 0 and 1")
    assert lines["on"][1:5] == ("flag", "", "0 to 1", "as it is")
    assert lines["day"][1:4] == ("date", "", "2020-01-01 to 2020-01-30")
    assert lines["day"].done.startswith("days since the earliest; less ")
    assert lines["rate"].taken_as == "number, decimal comma"
    assert {name: line.doubt.split(":")[0] for name, line in lines.items() if line.doubt} == {
        "code": "3 different integers",
        "same": "one value",
        "name": "nearly every value differs",
    }


def test_of_many_columns_the_first_and_last_and_a_count() -> None:
    lines = [ColumnLine(f"c{number}", *[""] * 5) for number in range(500)]
    shown = [line.name for line in shown_lines(lines)]
    assert shown == [
        *(f"c{number}" for number in range(20)),
        "... 470 more",
        *(f"c{number}" for number in range(490, 500)),
    ]
    assert shown_lines(lines[:30]) == lines[:30]


def test_check_prints_and_writes_them(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "facts.json"
    check_main([table, "--facts", "--json", str(file)])
    printed = capsys.readouterr().out
    assert "category of 2" in printed
    assert "- Column 'code': 3 different integers: if they are codes, --data.categorical [code]." in printed
    written = json.loads(file.read_text())
    assert written["facts"]["split"] in printed
    assert [column["name"] for column in written["columns"]] == [
        *("id", "label", "split", "Unnamed: 0", "source", "target"),
        *("age", "city", "on", "day", "code", "same", "name", "rate"),
    ]
    assert written["schema"] == load_dataset(table).schema
    with pytest.raises(ConfigError, match=r"can't be written: .* Choose another place"):
        check_main([table, "--facts", "--json", str(tmp_path / "nodes.csv" / "x.json")])
