"""`spx explain RUN_FOLDER` through the command line."""

import re
from pathlib import Path

import polars as pl
import pytest

import spx
from spx.__main__ import main
from spx.data import graph_data
from spx.datasets import NodeDataset

from .conftest import Stages


@pytest.fixture
def named(toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> NodeDataset:
    """The toy graph is now a user's own, with names that a page and a spreadsheet have to be careful with."""
    names = pl.Series([f"=node <b>{number}</b>" for number in range(90)])
    named = toy._replace(node_ids=names, class_names=("red", "green, dark", "<i>blue</i>"))
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: named)
    return named


def explain(folder: Path, output: str, *arguments: object) -> None:
    main(["explain", str(folder), "--output", output, "--draws", "2", *map(str, arguments)])


def test_a_page_of_some_nodes_and_one_line_at_the_end(
    stages: Stages, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explain(stages.wide, "why.html", "--nodes", 3, 70)
    assert re.fullmatch(r"Explanations of 2 nodes in \d+\.\d s: why\.html\n", capsys.readouterr().out)
    page = Path("why.html").read_text(encoding="utf-8")
    assert "<bdi>70</bdi>" in page
    assert page.count('<svg viewBox="0 0 880') == 2


def test_tables_are_what_python_gives(stages: Stages, home: Path) -> None:
    Path("names.txt").write_text("3\n70\n12\n")
    explain(stages.wide, "why.parquet", "--nodes", "names.txt", "--batch_size", 2, "--most", 4)
    explain(stages.wide, "why.csv", "--nodes", "3,70,12", "--batch_size", 1, "--most", 4)
    expected = spx.load(stages.wide).explain([3, 70, 12], draws=2, most=4).table()
    for table in (pl.read_parquet("why.parquet"), pl.read_csv("why.csv", infer_schema_length=None)):
        assert table.columns == expected.columns
        assert table["node"].to_list() == expected["node"].to_list()
        assert table["what"].to_list() == expected["what"].to_list()
        assert table["value"].to_list() == pytest.approx(expected["value"].to_list(), abs=1e-5)


def test_names_are_text_in_a_page_and_no_formula_in_a_spreadsheet(
    stages: Stages, home: Path, named: NodeDataset
) -> None:
    Path("names.txt").write_text("=node <b>3</b>\n")
    explain(stages.wide, "why.html", "--nodes", "names.txt")
    page = Path("why.html").read_text(encoding="utf-8")
    assert "=node &lt;b&gt;3&lt;/b&gt;" in page
    assert "<b>3" not in page
    assert "<i>blue" not in page
    explain(stages.wide, "why.csv", "--nodes", "names.txt", "--spreadsheet")
    assert '\n"\'=node <b>3</b>",' in Path("why.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "3", "1000", "--output", "p.html"], "1 of 2 nodes aren't in the graph, such as '1000'"),
        (["--nodes", "3", "--output", "p.npz"], r"its name must end in \.html, \.csv, \.parquet"),
        (["--nodes", ",", "--output", "p.csv"], "--nodes , names no node"),
        (["--output", "p.csv"], "--nodes"),
        (["--nodes", "none.txt", "--output", "p.csv"], r"There is no file none\.txt"),
        (["--nodes", "3", "--output", "p.html", "--spreadsheet"], r"only a \.csv is written for a spreadsheet"),
        (["--nodes", ",".join(map(str, range(201))), "--output", "p.html"], "201 nodes are more than a page shows"),
        (["--nodes", "3", "--output", "p.csv", "--draws", "0"], "draws is 0; it must be at least 1"),
    ],
)
def test_what_can_t_be_is_one_line(
    arguments: list[str], message: str, stages: Stages, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["explain", str(stages.wide), *arguments])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("\n") == 1
    assert not list(home.glob("p.*"))
