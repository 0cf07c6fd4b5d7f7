"""Explanations of loaded runs: what they say is what the run predicts, and what can't be explained is refused."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from daily import every_day

import spx
from spx.data import AugmentedGraphData, graph_data
from spx.data.known_nodes import known_nodes, save_known_nodes
from spx.datasets import NodeDataset
from spx.datasets.hidden import without_nodes
from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph
from spx.inference.explaining import explain_batches
from spx.inference.run import TrainedRun
from spx.kernels.formula import EdgeType
from spx.nn.functional import as_rows
from spx.training import AttentionEstimator, GCNBaseline

from .conftest import resampled

MakeRun = Callable[..., TrainedRun]
KIND = {"graph": EdgeType.GRAPH, "expander": EdgeType.EXPANDER, "itself": EdgeType.SELF_LOOP}
NODES = [5, 17, 40]


def cut(rows: AttentionGraph, node: int, source: int, edge_type: int) -> AttentionGraph:
    """The rows without the slots of one edge."""
    keep = (rows.rows() != node) | (rows.source != source) | (rows.edge_type != edge_type)
    counts = torch.zeros(rows.num_nodes, dtype=torch.int64).index_add_(0, rows.rows()[keep], keep[keep].long())
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    return AttentionGraph(indptr, rows.source[keep], rows.edge_type[keep])


@torch.no_grad()
def without(run: TrainedRun, draws: int, node: int, source: int, edge: str) -> torch.Tensor:
    """Mean probabilities [C] of a node over whole-graph passes along the draws' rows, which lack the edge."""
    tables = [run.data.draw(-1 - n) for n in range(draws)] if hasattr(run.data, "draw") else [(run.data.graph,) * 2]
    logits = []
    for each in tables:
        rows = [cut(as_rows(table), node, source, KIND[edge]) for table in each]
        logits.append(run.model.network(run.data.dataset.x, rows)[node])
    stacked = torch.stack(logits)
    return (stacked.sigmoid() if run.model.task == "multilabel" else stacked.softmax(-1)).mean(0)


@every_day("dataset", ["toy", "toy-binary", "toy-labels"], 1)
def test_a_removal_is_what_the_run_would_predict_without_the_edge(dataset: str, make_run: MakeRun) -> None:
    run = make_run(dataset)
    told, whole = run.explain(NODES, draws=3), run.predict(NODES, draws=3)
    assert told.nodes.tolist() == NODES
    assert told.predictions["node"].to_list() == NODES
    classes = whole.probabilities.argmax(1)
    assert told.predictions["prediction"].to_list() == [run.class_names[number] for number in classes]
    torch.testing.assert_close(told.predictions["probability"].to_torch(), whole.probabilities.amax(1).double())
    rows = told.neighbors.gather_every(2).rows(named=True)
    assert len(rows) > 5
    for row in rows:
        place = NODES.index(row["node"])
        change = without(run, 3, row["node"], row["neighbor"], row["edge"]) - whole.probabilities[place]
        assert row["change"] == pytest.approx(float(change[classes[place]]), abs=1e-6)
        moved = change.abs().max() if dataset == "toy-labels" else change.abs().sum() / 2
        assert row["moved"] == pytest.approx(float(moved), abs=1e-6)
    assert told.neighbors["moved"].max() > 1e-3
    assert told.neighbors["drawn"].is_in([1 / 3, 2 / 3, 1.0]).all()
    assert told.neighbors["spread"].null_count() == 0
    for name, column in (("attention", "weight"), ("rollout", "share")):
        by = ["node", "layer"] if name == "attention" else ["node"]
        sums = run.explain(NODES, draws=3, most=90).tables()[name].group_by(by).agg(pl.col(column).sum())[column]
        assert sums.to_list() == pytest.approx([1.0] * len(sums))
    expected = run.predict(torch.tensor(told.neighbors["neighbor"].to_list()).unique(), draws=3)
    names = dict(zip(expected.ids, expected.probabilities.argmax(1).tolist(), strict=True))
    given = told.neighbors.select("neighbor", "neighbor_prediction").rows()
    assert all(run.class_names[names[neighbor]] == name for neighbor, name in given)


def test_weights_are_means_over_the_draws_that_have_the_edge_or_not(make_run: MakeRun) -> None:
    run = make_run()
    told = run.explain([5], draws=3)
    sums: dict[tuple, list[float]] = {}
    for number in range(3):
        tables = run.data.draw(-1 - number)
        with torch.no_grad():
            weights = list(run.model.network.attention_weights(run.data.dataset.x, tables))
        for layer, (table, weight) in enumerate(zip(tables, weights, strict=True), start=1):
            slots = zip(table.neighbors[5].tolist(), table.edge_type[5].tolist(), weight[5].mean(1), strict=True)
            for source, kind, value in slots:
                sums.setdefault((layer, source, kind), [0.0] * 3)[number] += float(value)
    given = {(row["layer"], row["neighbor"], int(KIND[row["edge"]])): row for row in told.attention.rows(named=True)}
    assert given.keys() == sums.keys()
    for key, values in sums.items():
        values = torch.tensor(values, dtype=torch.float64)
        assert given[key]["weight"] == pytest.approx(float(values.mean()), abs=1e-6)
        assert given[key]["spread"] == pytest.approx(float(values.std()), abs=1e-6)
        assert given[key]["drawn"] == pytest.approx(float((values > 0).double().mean()))


def test_batches_change_nothing_and_the_most_of_each_are_kept(make_run: MakeRun) -> None:
    run = make_run()
    whole = run.explain(NODES, draws=2, most=3)
    parts = list(explain_batches(run, NODES, draws=2, most=3, batch_size=2))
    assert [part.nodes.numel() for part in parts] == [2, 1]
    for name, table in whole.tables().items():
        table = table.drop("neighbor_prediction", strict=False)
        joined = pl.concat([part.tables()[name] for part in parts])
        assert joined.drop(pl.col(pl.Float64)).equals(table.drop(pl.col(pl.Float64)))
        for column in table.select(pl.col(pl.Float64)).columns:
            assert joined[column].to_list() == pytest.approx(table[column].to_list(), abs=1e-6)
    assert whole.neighbors.group_by("node").len()["len"].to_list() == [3, 3, 3]
    assert (whole.predictions["num_neighbors"] > 3).all()
    every = run.explain(NODES, draws=2, most=90)
    for node in NODES:
        most = every.of(node).neighbors.sort("attention", descending=True)["attention"][:3]
        kept = whole.of(node).neighbors
        assert sorted(kept["attention"], reverse=True) == pytest.approx(most.to_list())
        assert kept["moved"].is_sorted(descending=True)
        assert every.of(node).neighbors.height == every.of(node).predictions["num_neighbors"].item()


@every_day("kind", ["exphormer", "estimator", "graph norm", "top"], 2)
def test_runs_on_the_whole_graph_and_without_chance_are_explained_too(
    kind: str, make_run: MakeRun, whole: AugmentedGraphData, tmp_path, write_scores: Callable
) -> None:
    if kind == "graph norm":
        run, draws = make_run(norm="graph"), 2
    elif kind == "top":
        scores = str(write_scores(tmp_path / "scores.safetensors", whole))
        run, draws = make_run(data=resampled(sampler="top", scores=scores)), 1
    else:
        run, draws = make_run(data=whole, **({"kind": AttentionEstimator} if kind == "estimator" else {})), 1
    told = run.explain([5, 17], draws=2)
    assert told.num_draws == draws
    p = run.predict([5, 17], draws=2).probabilities
    for row in told.neighbors.gather_every(3).rows(named=True):
        place = (5, 17).index(row["node"])
        change = without(run, draws, row["node"], row["neighbor"], row["edge"]) - p[place]
        assert row["change"] == pytest.approx(float(change[p[place].argmax()]), abs=2e-6)
        assert (row["spread"] is None) == (draws == 1)
    assert told.table()["value"].is_finite().all()


def test_a_node_that_attends_to_nothing_is_explained_by_its_features(make_run: MakeRun, tmp_path: Path) -> None:
    data = AugmentedGraphData("toy", expander_degree=0, self_loops=False)
    degrees = data.graph.degrees()
    alone, other = int(degrees.argmin()), int(degrees.argmax())
    assert degrees[alone] == 0
    run = make_run(data=data)
    for nodes in ([alone], [other, alone]):
        told = run.explain(nodes)
        of = told.of(alone)
        assert of.neighbors.height == of.attention.height == of.predictions["num_neighbors"].item() == 0
        assert of.rollout.rows() == [(alone, alone, 1.0, None, 1.0)]
        assert of.features.height == 5
        assert of.features["others"].to_list() == [0.0] * 5
        told.write_page(tmp_path / "why.html")
    assert set(told.table().filter(node=alone)["what"]) == {"rollout", "feature_own", "feature_others"}


@pytest.fixture
def later(run_folder: Path, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> NodeDataset:
    """The graph of `run_folder`, which now has names, as it has become: "n17" and an edge into "n40" are gone, "a" is
    new and attends to "n5", which attends to it."""
    named = toy._replace(node_ids=pl.Series([f"n{number}" for number in range(90)]))
    save_known_nodes(run_folder / "nodes.parquet", known_nodes(named))
    left = without_nodes(named, torch.tensor([17]))
    edges = left.edge_index[:, torch.arange(left.edge_index.shape[1]) != (left.edge_index[1] == 39).nonzero()[0]]
    later = left._replace(
        x=torch.cat((left.x, torch.ones(1, 5))),
        y=torch.cat((left.y, torch.tensor([-1]))),
        edge_index=torch.cat((edges, torch.tensor([[89, 5], [5, 89]])), 1),
        node_ids=pl.concat((left.node_ids, pl.Series(["a"]))),
    )
    monkeypatch.setattr(graph_data, "load_dataset", lambda name, *_: {"toy": named, "later": later}[name])
    return later


def test_a_graph_that_changed_is_explained_as_it_is_now(
    later: NodeDataset, run_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = spx.load(run_folder, dataset="later", device="cpu")
    assert "1 node is new, 1 node is gone" in caplog.text
    told, whole = run.explain(["a", "n5", "n40"], draws=3, most=90), run.predict(["a", "n5", "n40"], draws=3)
    assert whole.parts[0] == "new"
    number = {name: place for place, name in enumerate(later.node_ids)}
    assert told.nodes.tolist() == [89, 5, 39]
    torch.testing.assert_close(told.predictions["probability"].to_torch(), whole.probabilities.amax(1).double())
    for row in told.neighbors.gather_every(5).rows(named=True):
        place = told.predictions["node"].index_of(row["node"])
        changed = without(run, 3, number[row["node"]], number[row["neighbor"]], row["edge"])
        change = float((changed - whole.probabilities[place])[whole.probabilities[place].argmax()])
        assert row["change"] == pytest.approx(change, abs=1e-6)
    edges = set(told.neighbors.filter(edge="graph").select("node", "neighbor").rows())
    expected = {(later.node_ids[j], later.node_ids[i]) for i, j in later.edge_index.T.tolist() if i != j}
    assert edges <= expected, "no draw has one that is gone"
    assert {("a", "n5"), ("n5", "a")} <= edges
    assert "n17" not in {*told.neighbors["neighbor"], *told.attention["neighbor"], *told.rollout["input"]}
    assert "1 node is new, 1 node is gone" in told.facts["since the training"]
    told.write_page(tmp_path / "why.html")
    assert "1 node is new, 1 node is gone" in (tmp_path / "why.html").read_text()
    with pytest.raises(ConfigError, match="1 of 2 nodes are gone from the graph since the run was trained"):
        run.explain(["n5", "n17"])


def test_a_graph_is_given_beside_its_nodes(later: NodeDataset, run_folder: Path) -> None:
    run = spx.load(run_folder, device="cpu")
    expected = spx.load(run_folder, dataset="later", device="cpu").explain(["a"], draws=2).table()
    assert run.explain("later", nodes=["a"], draws=2).table().equals(expected)
    assert run.explain(nodes=["n17"], draws=2).predictions["node"].to_list() == ["n17"], "as it was"
    with pytest.raises(ConfigError, match="given twice"):
        run.explain(["n5"], nodes=["n5"])
    with pytest.raises(ConfigError, match="nodes is 'n5'; give a list of names"):
        run.explain("n5")


def test_what_can_t_be_explained_is_refused(make_run: MakeRun) -> None:
    run = make_run()
    for settings, message in (
        ({"nodes": [5, 1000]}, "1 of 2 nodes aren't in the graph, such as 1000"),
        ({"nodes": []}, "No node is given"),
        ({"nodes": None}, "No node is given"),
        ({"nodes": [5, 5]}, "given twice"),
        ({"nodes": [5], "draws": 0}, "draws is 0; it must be at least 1"),
        ({"nodes": [5], "most": 0}, "most is 0"),
        ({"nodes": [5], "batch_size": -1}, "batch_size is -1"),
    ):
        with pytest.raises(ConfigError, match=message):
            run.explain(**settings)
    data = AugmentedGraphData("toy", expander_degree=0, self_loops=False)
    with pytest.raises(ConfigError, match="trained a gcn, which has no attention to explain"):
        make_run(data=data, kind=GCNBaseline).explain([5])


def test_the_explanation_is_made_on_the_network_s_device(make_run: MakeRun, device: torch.device) -> None:
    run = make_run()
    expected = run.explain(NODES, draws=2).table()
    run.model.to(device)
    table = run.explain(NODES, draws=2).table()
    assert table.drop(pl.col(pl.Float64)).equals(expected.drop(pl.col(pl.Float64)))
    assert table["value"].to_list() == pytest.approx(expected["value"].to_list(), abs=1e-4)
