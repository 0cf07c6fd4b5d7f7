"""The generated section of docs/results.md."""

import re
from pathlib import Path

import pytest

from spx.errors import ConfigError
from spx.experiments.plan import Study
from spx.experiments.results import BEGIN, END, load_summaries, render, results_main, rewrite
from spx.experiments.summary import FinishedRun, summarize, write_summary


@pytest.fixture
def runs_dir(tmp_path, make_record):
    """Summaries of four studies on two datasets."""
    folder = tmp_path / "runs"
    for study in (
        Study("toy", config="gcn", runs_dir=str(folder)),
        Study("toy", runs_dir=str(folder)),
        Study("toy", overlay="top", runs_dir=str(folder)),
        Study("actor", (0, 1), protocol="paper", runs_dir=str(folder)),
    ):
        estimator = None if study.config == "gcn" else make_record(test=None, seconds_per_epoch=0.77, peak_rss_mb=777)
        run = FinishedRun(make_record(test=0.3812, val=0.4111), estimator)
        write_summary(study, summarize(study, [run] * len(study.seeds), bool(study.overlay)))
    return folder


def rows_of(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_one_row_for_each_study_in_order(runs_dir):
    header, _, *rows = rows_of(render(load_summaries(runs_dir)))
    assert [row[:3] for row in rows] == [
        ["actor", "paper", "wide"],
        ["toy", "public", "wide"],
        ["toy", "public", "wide, top"],
        ["toy", "public", "gcn"],
    ]
    cells = dict(zip(header, rows[0], strict=True))
    assert cells["test"] == "38.12 +- 0.00"
    assert cells["runs"] == "2"
    assert cells["validation"] == "41.11"
    assert cells["published"] == "38.59 +- 0.81"
    assert cells["attention edges"] == "100"
    assert cells["share"] == "5.0%"
    assert (cells["stage 1 s"], cells["stage 1 MB"]) == ("0.77", "777")
    assert (cells["stage 2 s"], cells["stage 2 MB"]) == ("0.10", "500")
    assert cells["command"] == '`make actor SEEDS="0 1" PROTOCOL=paper`'
    gcn = dict(zip(header, rows[-1], strict=True))
    assert (gcn["stage 1 s"], gcn["published"]) == ("-", "-")


def test_machine_and_versions_stand_below(runs_dir):
    text = render(load_summaries(runs_dir))
    line = text.splitlines()[-1]
    assert line.startswith("- actor, toy: ")
    assert "cores" in line
    assert "torch 2.13.0" in line


def test_prose_outside_of_the_markers_stays():
    text = rewrite(f"# Mine\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n", "new\n")
    assert text == f"# Mine\n\nbefore\n\n{BEGIN}\nnew\n{END}\n\nafter\n"
    assert rewrite(text, "new\n") == text


def test_missing_page_and_missing_markers():
    assert rewrite("", "new\n") == f"# Results\n\n{BEGIN}\nnew\n{END}\n"
    assert rewrite("prose\n", "new\n") == f"prose\n\n{BEGIN}\nnew\n{END}\n"


@pytest.mark.parametrize("text", [BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_broken_markers_are_refused(text):
    with pytest.raises(ConfigError, match="markers"):
        rewrite(text, "new\n")


def test_entry_point_writes_the_page_and_says_so(runs_dir, tmp_path, capsys):
    page = tmp_path / "docs" / "results.md"
    arguments = ["--runs_dir", str(runs_dir), "--page", str(page)]
    results_main(arguments)
    first = page.read_text()
    assert "4 studies" in capsys.readouterr().out
    results_main(arguments)
    assert page.read_text() == first


def test_rows_that_would_be_lost_are_kept(runs_dir, tmp_path, capsys):
    page = tmp_path / "results.md"
    arguments = ["--runs_dir", str(runs_dir), "--page", str(page)]
    results_main(arguments)
    for row, fewer in (("| other | paper | wide |", None), ("| actor | paper | wide |", "| 3 |")):
        text = page.read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("| actor | paper | wide |"))
        richer = f"{line.replace('| actor |', '| other |')}\n{line}" if fewer is None else line.replace("| 2 |", fewer)
        page.write_text(text.replace(line, richer))
        measured = page.read_text()
        assert measured != text
        capsys.readouterr()
        results_main(arguments)
        kept = next(line for line in page.read_text().splitlines() if line.startswith(row))
        assert kept in measured
        assert len(page.read_text().splitlines()) == len(measured.splitlines())
        assert f"Kept as they were, since there is no study of as many runs: {row[2:7]}" in capsys.readouterr().out
        results_main([*arguments, "--drop_rows"])
        assert page.read_text() == text


def test_the_page_of_the_project_is_not_replaced_by_other_studies(runs_dir, tmp_path):
    page = tmp_path / "results.md"
    page.write_text((Path(__file__).parents[3] / "docs" / "results.md").read_text())
    before = {line for line in page.read_text().splitlines() if re.match(r"\| \S+ \| (paper|public) \|.*`make", line)}
    results_main(["--runs_dir", str(runs_dir), "--page", str(page)])
    assert len(before) > 20
    lost = before - set(page.read_text().splitlines())
    assert not lost, "its rows are means over more runs"


def test_no_studies(tmp_path):
    with pytest.raises(ConfigError, match="No finished study"):
        results_main(["--runs_dir", str(tmp_path), "--page", str(tmp_path / "page.md")])
