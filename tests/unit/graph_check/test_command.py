"""`spx check`: what it reads without Lightning, what it suggests, and its signs of life."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from daily import every_day
from rich.console import Console

from spx.data import AugmentedGraphData
from spx.datasets import OwnSettings
from spx.errors import ConfigError
from spx.graph_check import facts, trial
from spx.graph_check.command import _how_measured, check_main
from spx.graph_check.facts import edge_facts as counted
from spx.graph_check.phases import Phases
from spx.graph_check.reading import read_graph
from spx.graph_check.trial import StageEstimate

RARE = 10


def write_tables(folder: Path, num_nodes: int = 100, num_rare: int = RARE) -> str:
    folder.mkdir(exist_ok=True)
    rows = [f"{node},{'fraud' if node < num_rare else 'fine'},{node % 7},{node % 3}" for node in range(num_nodes)]
    (folder / "nodes.csv").write_text("\n".join(["id,label,a,code", *rows]) + "\n")
    (folder / "edges.csv").write_text("\n".join(["source,target", *(f"{n},{n + 1}" for n in range(num_nodes - 1))]))
    return str(folder)


def test_a_graph_is_read_as_fit_reads_it(tmp_path: Path) -> None:
    path = write_tables(tmp_path)
    words = ["--data.undirected", "true", "--data.shares=[0.5,0.25,0.25]", "--data.split", "3", "--data.k", "[2,2]"]
    words += ["--data.categorical", "[code]", "--data.metric=f1_macro", "--data.expander_degree", "4"]
    found = read_graph(path, "data", words)
    usual = AugmentedGraphData(
        path, undirected=True, shares=(0.5, 0.25, 0.25), split=3, categorical=["code"], metric="f1_macro"
    )
    assert found.dataset.schema == usual.dataset.schema
    assert found.dataset.metric == "f1_macro"
    assert all(map(torch.equal, found.dataset.split, usual.dataset.split))
    assert found.dataset.edge_index.equal(usual.dataset.edge_index)
    assert (found.name, found.expander_degree) == (usual.dataset_name, 4)
    plain = read_graph(path, "data", [])
    assert plain.expander_degree == AugmentedGraphData(path).expander_degree
    assert plain.dataset.split_origin == AugmentedGraphData(path).dataset.split_origin


def test_its_settings_are_those_of_the_data(tmp_path: Path) -> None:
    own = AugmentedGraphData(write_tables(tmp_path)).own
    assert own == OwnSettings()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.undirectd", "true"], r"no setting --data.undirectd. Did you mean --data.undirected\?"),
        (["--data.split", "x"], "--extra can't be used"),
        (["--data.metric=f2"], "--extra can't be used"),
    ],
)
def test_arguments_that_no_data_have_are_refused(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_graph(write_tables(tmp_path), "data", words)


@pytest.mark.full
def test_the_facts_of_a_graph_that_is_large_need_no_lightning(tmp_path: Path) -> None:
    path = write_tables(tmp_path)
    code = (
        "import sys, spx.graph_check.command as command; command.MOST_TRAINING_NODES = 10; "
        f"command.check_main([{path!r}, '--facts']); print('lightning' in sys.modules, 'torchmetrics' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert ended.stdout.splitlines()[-1] == "False False"


def test_another_metric_is_suggested_where_one_class_has_most_nodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_main([write_tables(tmp_path / "rare"), "--facts"])
    printed = capsys.readouterr().out
    assert "- The largest class has 90.0% of the labels" in printed
    assert "--data.metric average_precision" in printed
    assert "drawn at random in each class, shares 0.6" in " ".join(printed.replace("│", " ").split())
    check_main([str(tmp_path / "rare"), "--facts", "--extra=--data.metric roc_auc"])
    assert "The largest class has" not in capsys.readouterr().out
    check_main([write_tables(tmp_path / "even", num_rare=40), "--facts"])
    assert "The largest class has" not in capsys.readouterr().out


@every_day("terminal", [True, False], 1)
def test_phases_show_when_they_take_long(terminal: bool) -> None:
    def shown(patience: float) -> str:
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=terminal, width=80, _environ={})
        with Phases(2, console, patience) as phases:
            phases.next("Reading")
            time.sleep(0.3)
            phases.next("Counting")
        return stream.getvalue()

    assert "Reading" in shown(0.05)
    assert "Counting" in shown(0.05)
    assert "Reading" not in shown(10)


def test_a_busy_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = [StageEstimate("wide", 1, 1, 1, (0.5, 2), (1000, 2000))]
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    assert "generated graphs of 1,000 and 2,000 nodes" in _how_measured(stages)
    assert "The machine is busy (a load of 1000.0" in _how_measured(stages)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert "busy" not in _how_measured(stages)


def test_the_trial_says_what_stage_1_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    stages = [
        StageEstimate(name, 100, seconds, 10, (1, 2), (100,)) for name, seconds in (("estimator", 1), ("wide", 3))
    ]
    monkeypatch.setattr(trial, "estimate_stages", lambda *_: stages)
    check_main([write_tables(tmp_path / "graph")])
    assert "Stage 1 takes 25% of the time of both" in capsys.readouterr().out


def test_it_has_a_line_for_edge_weights(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_tables(tmp_path)
    rows = [f"{n},{n + 1},{0 if n < 11 else 2 if n % 2 else 4}" for n in range(99)]
    (tmp_path / "edges.csv").write_text("\n".join(["source,target,w", *rows]))
    (tmp_path / "out").mkdir()
    words = [path, "--facts", "--json", str(tmp_path / "out/facts.json")]
    check_main(words)
    assert "edge weights" not in (tmp_path / "out/facts.json").read_text()
    check_main([*words, "--extra=--data.edge_weight w"])
    assert "from 2 to 4, mean 3; 11.1% zeros, left out" in (tmp_path / "out/facts.json").read_text()


def test_it_says_what_stage_1_has_to_choose_from(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_tables(tmp_path / "graph")
    check_main([path, "--facts", "--json", str(tmp_path / "facts.json")])
    printed = capsys.readouterr().out
    assert "- Stage 1: a node has 1.0 edges in the mean, at most as many as the 8 that a layer draws." in printed
    assert f"`spx study {path} --overlay graph-first`" in printed
    assert "Stage 1: a node has 1.0 edges" in (tmp_path / "facts.json").read_text()


def test_facts_are_counted_in_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, held = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        monkeypatch.setattr(facts, "edge_facts", lambda data: held.append(torch.get_num_threads()) or counted(data))
        check_main([write_tables(tmp_path / "graph"), "--facts"])
        assert (held, torch.get_num_threads()) == ([1], 3), "and the trial gets all of them"
    finally:
        torch.set_num_threads(before)
