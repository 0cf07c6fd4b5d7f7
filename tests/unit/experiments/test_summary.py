"""Means and deviations over runs, by hand, and the files that hold them."""

import json
import math
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from spx.experiments.plan import Study
from spx.experiments.summary import FinishedRun, make_command, summarize, write_summary

ISSUE_KEYS = {
    *("dataset", "protocol", "splits", "seeds", "metric", "test_mean", "test_std", "test", "val_mean", "published"),
    *("attention_edges", "attention_edge_share", "stages"),
}


@pytest.fixture
def finished(make_record):
    """Two runs: tests 0.38 and 0.40, validation 0.5 and 0.6."""
    return [
        FinishedRun(
            make_record(test=0.38, val=0.5, seconds=10.0, seconds_per_epoch=0.1, peak_rss_mb=500, attention_edges=100),
            make_record(test=None, seconds=20.0, seconds_per_epoch=0.2, peak_rss_mb=700),
        ),
        FinishedRun(
            make_record(test=0.40, val=0.6, seconds=20.0, seconds_per_epoch=0.3, peak_rss_mb=600, attention_edges=102),
            make_record(test=None, seconds=40.0, seconds_per_epoch=0.4, peak_rss_mb=900),
        ),
    ]


def test_means_by_hand(finished):
    summary = summarize(Study("actor", seeds=(0, 1), protocol="paper"), finished)
    assert summary.keys() >= ISSUE_KEYS
    assert summary["test"] == pytest.approx([38.0, 40.0])
    assert summary["test_mean"] == pytest.approx(39.0)
    assert summary["test_std"] == pytest.approx(math.sqrt(2.0)), "divided by n - 1"
    assert summary["val_mean"] == pytest.approx(55.0)
    assert summary["attention_edges"] == pytest.approx(101)
    assert summary["attention_edge_share"] == pytest.approx(0.05)
    assert summary["stages"]["wide"] == pytest.approx(
        {"seconds": 15.0, "seconds_per_epoch": 0.2, "peak_rss_mb": 550.0, "peak_cuda_mb": None}
    )
    assert summary["stages"]["estimator"]["seconds"] == pytest.approx(30.0)
    assert summary["stages"]["estimator"]["peak_rss_mb"] == pytest.approx(800.0)
    assert summary["published"] == 38.59
    assert len(summary["folders"]) == 4
    json.dumps(summary)


def test_one_run_without_stage_1(make_record):
    run = FinishedRun(make_record(attention_edge_share=None, val=None))
    summary = summarize(Study("actor", config="gcn"), [run])
    assert summary["test_std"] == 0.0
    assert summary["attention_edge_share"] is None
    assert summary["val_mean"] is None
    assert set(summary["stages"]) == {"wide"}
    assert summary["published"] is None, "the GCN's figure follows another protocol"


def test_an_ablation_has_no_published_figure(finished):
    study = Study("actor", seeds=(0, 1), protocol="paper", overlay="top")
    assert summarize(study, finished, overlay_changes_method=True)["published"] is None
    assert summarize(study, finished, overlay_changes_method=False)["published"] == 38.59


@pytest.mark.parametrize(
    ("settings", "name", "copy"),
    [
        ({}, "summary.json", "wide-public.json"),
        ({"protocol": "paper"}, "summary.json", "wide-paper.json"),
        ({"config": "exphormer"}, "summary-exphormer.json", "exphormer-public.json"),
        ({"overlay": "uniform"}, "summary-wide-uniform.json", "wide-uniform-public.json"),
        ({"config": "gcn", "overlay": "gpu"}, "summary-gcn-gpu.json", "gcn-gpu-public.json"),
    ],
)
def test_names_of_the_files(tmp_path, settings, name, copy):
    study = Study("toy", runs_dir=str(tmp_path), **settings)
    path = write_summary(study, {"test_mean": 1.0})
    assert path == tmp_path / "toy" / name
    assert json.loads(path.read_text()) == json.loads((tmp_path / "toy/summaries" / copy).read_text())


def test_command_says_only_what_differs():
    assert make_command(Study("cora", data_dir="elsewhere")) == "make cora"
    study = Study("cora", (0, 1), (2,), "paper", "gcn", "gpu", extra=("--trainer.max_epochs", "3"))
    assert make_command(study) == (
        'make cora SEEDS="0 1" SPLITS=2 PROTOCOL=paper CONFIG=gcn OVERLAY=gpu EXTRA="--trainer.max_epochs 3"'
    )


@pytest.mark.parametrize(
    "argument",
    ["[4,4]", "[4, 4]", '[{"class_path": "a.B"}]', "it's", "", "a\\b", "$HOME", "$$", "$(shell echo x)", "`x` !"],
)
def test_the_command_repeats_any_argument(tmp_path: Path, argument: str) -> None:
    """Through the shell and make, to the program. Below another make its own would print where it is."""
    command = make_command(Study("cora", extra_wide=("--name", argument)))
    makefile = tmp_path / "Makefile"
    own_lines = (Path(__file__).parents[3] / "Makefile").read_text().partition("BIN   :=")[0]
    makefile.write_text(own_lines + '\ncora:\n\t@printf %s "$$EXTRA_WIDE"\n')
    own = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    shown = subprocess.run(
        command, shell=True, cwd=tmp_path, env=own, capture_output=True, text=True, check=True
    ).stdout
    assert shlex.split(shown) == ["--name", argument]
