"""Weights of a user's edges from the fit of both stages to predictions on other weights, and into the export."""

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from daily import every_day

from spx.__main__ import main
from spx.errors import DatasetError
from spx.graph.weights import WeightedGraph
from spx.inference.export import export_run
from spx.inference.run import load
from spx.nn.export import read_config

from .conftest import write_configs

NUM_NODES = 60
ESTIMATOR, WIDE, GCN = (f"runs/mine/{name}/version_0" for name in ("estimator", "wide", "gcn"))
WEIGHT = ["--data.edge_weight", "amount"]


def write_graph(folder: Path, factor: int = 1, heavier: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Edges of weight 1 to 7; those that node n0 attends to by so much more."""
    numbers = range(NUM_NODES)
    parts = ["train"] * 30 + ["val"] * 15 + ["test"] * 15
    nodes = pl.DataFrame(
        {
            "id": [f"n{i}" for i in numbers],
            "label": ["abc"[i % 3] for i in numbers],
            "split": [parts[7 * i % NUM_NODES] for i in numbers],
            "age": [20 + 5 * i % 31 for i in numbers],
        }
    )
    rows = [(i, (i + step) % NUM_NODES, 1 + i * step % 7) for i in numbers for step in (1, 4, 9, 16, 25)]
    edges = pl.DataFrame(
        {
            "source": [f"n{source}" for source, _, _ in rows],
            "target": [f"n{target}" for _, target, _ in rows],
            "amount": [factor * (w + (heavier * source if target == 0 else 0)) for source, target, w in rows],
        }
    )
    folder.mkdir(exist_ok=True)
    nodes.write_csv(folder / "nodes.csv")
    edges.write_csv(folder / "edges.csv")
    return nodes, edges


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weighted")
    write_graph(folder / "mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["spx"])
        write_configs(folder)
        for files in (["estimator"], ["wide"], ["estimator", "gcn"]):
            words = [word for name in files for word in ("--config", f"{name}.yaml")]
            main(["fit", *words, "--data.dataset", "./mine", "--runs_dir", "runs", *WEIGHT])
    return folder


@pytest.fixture(autouse=True)
def in_folder(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr("sys.argv", ["spx"])
    write_graph(trained / "mine")


def predicted(run: str) -> list[list[str]]:
    main(["predict", run, "--dataset", "./mine", "--output", "p.csv"])
    with open("p.csv", newline="") as file:
        return list(csv.reader(file))


@every_day("run", (ESTIMATOR, WIDE, GCN), (WIDE,))
def test_predictions_and_the_export_know_the_weights(run: str, tmp_path: Path) -> None:
    found = load(run)
    assert found.match is None, "the run's own graph"
    assert found.data.dataset.edge_weight.tolist()[:5] == [1, 1, 1, 1, 1]
    assert len(predicted(run)) == NUM_NODES + 1
    export_run(run, tmp_path / "export")
    assert read_config(tmp_path / "export").made_from["edge_weight"] == "amount"
    assert "weights=" in json.loads(Path(run, "run.json").read_text())["data_fingerprint"]


def test_the_gcn_predicts_by_them() -> None:
    found = load(GCN)
    ((graph,),) = found._neighborhoods(1)
    assert isinstance(graph, WeightedGraph)
    with torch.no_grad():
        logits = found.model.network(found.data.dataset.x, (graph,))
        plain = found.model.network(found.data.dataset.x, (graph.graph,))
    torch.testing.assert_close(found.predict().probabilities, logits.softmax(-1))
    assert not torch.allclose(logits, plain)


@every_day("run", [WIDE, GCN], 1)
def test_other_weights_are_a_changed_graph(run: str, trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = load(run).predict().probabilities
    write_graph(trained / "mine", heavier=50)
    with caplog.at_level(logging.WARNING):
        after = load(run).predict().probabilities
    assert "its edge weights changed" in caplog.text
    assert not torch.allclose(after[0], before[0])
    caplog.clear()
    write_graph(trained / "mine", factor=1000)
    torch.testing.assert_close(load(run).predict().probabilities, before)


@pytest.mark.full
def test_a_graph_in_memory_brings_its_own(trained: Path, tmp_path: Path) -> None:
    nodes, edges = write_graph(tmp_path / "other", heavier=50)
    found = load(WIDE)
    changed = found.on(nodes, edges)
    write_graph(trained / "mine", heavier=50)
    torch.testing.assert_close(changed.predict().probabilities, load(WIDE).predict().probabilities)
    with pytest.raises(DatasetError, match=r"--data.edge_weight names 'amount', but edges.parquet has no such column"):
        found.on(nodes, edges.drop("amount"))


@pytest.mark.full
def test_stage_2_and_a_fit_that_goes_on_refuse_other_weights(trained: Path, refused: Callable[..., str]) -> None:
    fit = ("fit", "--config", "wide.yaml", "--data.dataset", "./mine", "--runs_dir", "runs")
    assert "its edge weights changed" in refused(*fit), "none, in place of some"
    write_graph(trained / "mine", heavier=50)
    assert "its edge weights changed" in refused(*fit, *WEIGHT)
    checkpoint = f"{ESTIMATOR}/checkpoints/last.ckpt"
    message = refused("fit", "--config", "estimator.yaml", *fit[3:], *WEIGHT, "--ckpt_path", checkpoint)
    assert "The data changed since the run began: its edge weights changed" in message


def test_published_datasets_have_none(refused: Callable[..., str]) -> None:
    message = refused("fit", "--config", "estimator.yaml", "--data.dataset", "minesweeper-sim", *WEIGHT)
    assert "edge_weight only holds for a graph of your own" in message


@pytest.mark.full
def test_a_network_that_takes_none_says_so(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture) -> None:
    words = ["--config", "estimator.yaml", "--config", "gcn.yaml", "--data.dataset", "./mine", "--runs_dir", "others"]
    words += ["--trainer.max_epochs", "1", *WEIGHT]
    with caplog.at_level(logging.INFO):
        main(["fit", *words])
        assert "Edge weights: this network" not in caplog.text + capsys.readouterr().err
        main(["fit", *words, "--model", "spx.training.Baseline", "--model.kind", "sage"])
    assert "Edge weights: this network" in caplog.text + capsys.readouterr().err
