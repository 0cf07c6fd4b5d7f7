"""What a study prints at its end."""

import io

import pytest
from rich.console import Console

from spx.experiments import report
from spx.experiments.plan import Study
from spx.experiments.summary import FinishedRun, summarize


def printed(study: Study, runs: list[FinishedRun], tmp_path) -> str:
    out = io.StringIO()
    summary = summarize(study, runs)
    report.print_report(summary, runs, tmp_path / "summary.json", Console(file=out, width=100))
    return out.getvalue()


def test_report_shows_all_that_a_newcomer_looks_for(make_record, tmp_path):
    run = FinishedRun(
        make_record(test=0.3812, attention_edges=15_200, attention_edge_share=0.0573, peak_rss_mb=1234.0),
        make_record(test=None, seconds=61.5, folder="runs/actor/estimator/version_0"),
    )
    text = printed(Study("actor", protocol="paper"), [run], tmp_path)
    for part in ("actor", "38.12", "38.59 +- 0.81", "15,200", "5.7%", "1 estimator", "61.5", "1,234", "protocol paper"):
        assert part in text
    for part in ("runs/toy/wide/version_0", "best.ckpt", "tensorboard --logdir", "summary.json", 'make actor SEEDS="0'):
        assert part in text


def test_long_paths_stay_on_one_line(make_record, tmp_path):
    folder = "/".join(["a-long-folder-name-[x]"] * 8)
    text = printed(Study("toy"), [FinishedRun(make_record(folder=folder))], tmp_path)
    assert folder in text


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        ({"test": [38.0, 40.0], "test_mean": 39.0, "test_std": 1.414}, "39.00 +- 1.41"),
        ({"test": [38.0], "test_mean": 38.0, "test_std": 0.0}, "38.00"),
    ],
)
def test_mean_and_deviation(summary, text):
    assert report.test_text(summary) == text


def test_numbers():
    assert report.number(1234567.0) == "1,234,567"
    assert report.number(1.236, 2) == "1.24"
    assert report.number(None) == "-"
    assert report.share_text({"attention_edge_share": None}) == "-"


@pytest.mark.parametrize(
    ("dataset", "config", "overlay", "runs", "made", "typed"),
    [
        ("minesweeper-sim", "wide", None, 1, "make actor", "spx study actor"),
        ("actor", "wide", None, 1, 'make actor SEEDS="0 1 2"', "spx study actor --seeds 0 1 2"),
        (
            *("actor", "wide", None, 3, 'make actor SEEDS="0 1 2" CONFIG=exphormer'),
            "spx study actor --seeds 0 1 2 --config exphormer",
        ),
        ("actor", "gcn", None, 1, 'make actor SEEDS="0 1 2" CONFIG=gcn', "spx study actor --seeds 0 1 2 --config gcn"),
        ("actor", "gcn", None, 3, 'make actor SEEDS="0 1 2"', "spx study actor --seeds 0 1 2"),
        ("my graph", "wide", "top", 3, "make my graph SEEDS", "spx study 'my graph' --seeds 0 1 2"),
    ],
)
def test_next_command(dataset, config, overlay, runs, made, typed):
    """Never `make results`, which rewrites the project's own page."""
    summary = {"dataset": dataset, "config": config, "overlay": overlay, "test": [1.0] * runs}
    summary |= {"seeds": list(range(runs)), "splits": [0], "protocol": "public"}
    assert report.next_command(summary, True).startswith(made)
    assert report.next_command(summary, False) == typed
