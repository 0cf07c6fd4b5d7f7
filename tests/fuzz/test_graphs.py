"""Thousands of odd graphs and settings from file to training step: a valid result, or one of our own errors.

Every example goes the way that a user's graph goes: an .npz is read and checked, augmented, scored by an estimator
after one training step, sampled, and the wide network takes one step; predictions are distributions, metrics numbers.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import budget

from spx.cli import FROM_DATA
from spx.data import AugmentedGraphData, GraphData, ResampledGraphData
from spx.errors import SpxError
from spx.graph.csr import EdgeType
from spx.nn.objectives import log_probabilities, node_loss
from spx.training import AttentionEstimator, NodeTask, Spexphormer

ODD_SHARES = [(0.5, 0.5, 0.0), (0.1, 0.1, 0.8), (2.0, -1.0, 0.0)]
ODD_VALUES = [0.0, -1.0, 1e-45, 3.5, 1e15, 2e15, -1e30, math.nan, math.inf]


def mostly(usual: st.SearchStrategy, odd: st.SearchStrategy) -> st.SearchStrategy:
    """About one in 24 is odd (17: Hypothesis is fond of 0 and of both ends)."""
    return st.integers(0, 23).flatmap(lambda number: odd if number == 17 else usual)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """The arrays of an own .npz: small, with every kind of oddity, each of them rare enough for most to be valid."""
    num_nodes = draw(mostly(st.integers(8, 30), st.integers(0, 4)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_edges = draw(st.integers(0, 60))
    edges = random.integers(0, max(1, num_nodes), size=(2, num_edges))
    if draw(mostly(st.just(False), st.just(True))) and num_edges:
        edges[random.integers(2), random.integers(num_edges)] = draw(st.sampled_from([-1, num_nodes, 2**62]))
    if draw(st.booleans()):
        edges = np.concatenate([edges, edges[:, :5], np.arange(min(num_nodes, 3))[None].repeat(2, 0)], axis=1)
    arrays: dict[str, np.ndarray] = {"edge_index": edges}
    num_features = draw(mostly(st.integers(1, 4), st.just(0)))
    if num_features or draw(st.booleans()):
        x = random.normal(size=(num_nodes, num_features)) * 10.0 ** random.integers(-3, 4, size=num_features)
        if x.size and draw(mostly(st.just(False), st.just(True))):
            x[random.integers(num_nodes), random.integers(num_features)] = draw(st.sampled_from(ODD_VALUES))
        with np.errstate(over="ignore"):
            arrays["x"] = x.astype(draw(st.sampled_from([np.float32, np.float64, np.float16])))
    num_classes = draw(mostly(st.integers(2, 4), st.integers(0, 1)))
    if draw(st.integers(0, 3)) == 0:
        y = (random.random((num_nodes, max(1, num_classes))) < 0.5).astype(np.float32)
        y[random.random(num_nodes) < 0.1] = np.nan
    else:
        y = random.integers(0, max(1, num_classes), size=num_nodes)
        y[random.random(num_nodes) < 0.1] = -1
        y = np.array(["", "a", "b", "c", "d"])[y + 1] if draw(st.booleans()) else y
    arrays["y"] = y
    if draw(st.booleans()):
        part = random.integers(0, 4, size=num_nodes)
        unlabelled = (y != y).all(1) if y.ndim == 2 else (y == "") if y.dtype.kind == "U" else y < 0
        part = np.where(unlabelled & draw(mostly(st.just(True), st.just(False))), 3, part)
        arrays |= {f"{name}_mask": part == number for number, name in enumerate(("train", "val", "test"))}
    return arrays


@st.composite
def choices(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of data and models."""
    layers = draw(mostly(st.integers(1, 3), st.just(0)))
    return {
        "graph": {
            "undirected": draw(st.booleans()),
            "stratify": draw(st.booleans()),
            "split": draw(mostly(st.just(0), st.integers(-1, 2))),
            "metric": draw(mostly(st.none(), st.sampled_from(["accuracy", "roc_auc"]))),
            "shares": draw(mostly(st.just((0.6, 0.2, 0.2)), st.sampled_from(ODD_SHARES))),
            "expander_degree": draw(mostly(st.integers(0, 3), st.integers(-1, 20))),
            "expander": draw(st.sampled_from(["hamiltonian", "permutation"])),
            "self_loops": draw(mostly(st.just(True), st.just(False))),
        },
        "sampling": {
            "k": draw(mostly(st.lists(st.integers(1, 5), min_size=layers, max_size=layers), st.just([2, 0]))),
            "sampler": draw(st.sampled_from(["attention", "uniform", "top"])),
            "batch_size": draw(mostly(st.none() | st.integers(2, 40), st.integers(-1, 1))),
            "eval_samples": draw(st.integers(1, 2)),
        },
        "model": {
            "num_layers": layers,
            "norm": draw(st.sampled_from(["batch", "graph", "none"])),
            "dropout": draw(mostly(st.sampled_from([0.0, 0.5]), st.just(1.5))),
            "unit_rows": draw(st.booleans()),
            "lr": draw(mostly(st.sampled_from([0.01, 1.0]), st.just(-1.0))),
        },
        "width": draw(mostly(st.just(4), st.sampled_from([0, 3]))),
        "heads": draw(mostly(st.sampled_from([1, 2]), st.sampled_from([0, 3]))),
    }


def from_data(data: GraphData) -> dict[str, Any]:
    return {name: getattr(data, name) for name in FROM_DATA}


def one_step(model: NodeTask, data: GraphData) -> None:
    """What a fit does with the first batch, without the Trainer's machinery."""
    batch = next(iter(data.train_dataloader()))
    model.train()
    loss = node_loss(log_probabilities(model(batch), model.task), batch.y, model.task)
    loss.backward()
    assert math.isfinite(loss.detach())
    torch.optim.AdamW(model.parameters(), lr=model.lr).step()


@torch.no_grad()
def assert_predicts(model: NodeTask, data: GraphData) -> None:
    model.eval()
    seen = []
    for draws in data.test_dataloader():
        model.test_step(draws, 0)
        predicted = model.predict_step(draws, 0)
        seen.append(predicted["nodes"])
        probabilities = predicted["probabilities"]
        assert bool((probabilities >= 0).all() & (probabilities <= 1 + 1e-5).all())
        if model.task == "multiclass":
            assert probabilities.sum(1).allclose(torch.ones(1), atol=1e-4)
    assert torch.cat(seen).equal(data.dataset.split.test)
    assert math.isfinite(model.metrics["test"].compute())


def assert_augmented(data: GraphData) -> None:
    graph = data.graph.check()
    rows, loops = graph.rows(), graph.edge_type == EdgeType.SELF_LOOP
    assert int(loops.sum()) == data.self_loops * graph.num_nodes
    assert bool((graph.source[loops] == rows[loops]).all())
    given = data.dataset.edge_index
    proper = given[0] != given[1]
    wanted = torch.unique(given[1][proper] * graph.num_nodes + given[0][proper])
    own = graph.edge_type == EdgeType.GRAPH
    assert (rows[own] * graph.num_nodes + graph.source[own]).equal(wanted)


def go_all_the_way(path: Path, chosen: dict[str, Any], scores: Path) -> None:
    torch.manual_seed(0)
    data = AugmentedGraphData(str(path), **chosen["graph"])
    estimator = AttentionEstimator(width=chosen["width"], **chosen["model"], **from_data(data))
    assert_augmented(data)
    one_step(estimator, data)
    estimator.eval()
    scores_LM = estimator.attention_scores(data.dataset.x, data.graph)
    sums = torch.zeros(scores_LM.shape[0], data.graph.num_nodes).index_add_(1, data.graph.rows(), scores_LM)
    assert sums[:, data.graph.degrees() > 0].allclose(torch.ones(1), atol=1e-4)
    assert_predicts(estimator, data)

    sampled = ResampledGraphData(str(path), scores=str(scores), **chosen["sampling"], **chosen["graph"])
    if sampled.sampler != "uniform":
        WRITE(scores, data, scores_LM)
    wide = Spexphormer(width=chosen["width"], num_heads=chosen["heads"], **chosen["model"], **from_data(sampled))
    for layer, table in enumerate(sampled.draw(0)):
        assert table.neighbors.shape == (data.graph.num_nodes, sampled.k[layer])
        allowed = set(zip(data.graph.rows().tolist(), data.graph.source.tolist(), strict=True))
        drawn = {(node, other) for node, row in enumerate(table.neighbors.tolist()) for other in row}
        assert drawn <= allowed
    one_step(wide, sampled)
    assert_predicts(wide, sampled)


WRITE: Any = None


@pytest.fixture(scope="module", autouse=True)
def _writer(write_scores):
    global WRITE
    WRITE = write_scores


@budget(10, 2000)
@pytest.mark.filterwarnings("ignore")
def test_graphs_and_settings(count: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path, scores = folder / "graph.npz", folder / "scores.safetensors"
    ended = {"well": 0, "refused": 0}

    @settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(arrays=graphs(), chosen=choices())
    def run(arrays: dict[str, np.ndarray], chosen: dict[str, Any]) -> None:
        np.savez(path, **arrays)
        try:
            go_all_the_way(path, chosen, scores)
            ended["well"] += 1
        except SpxError:
            ended["refused"] += 1

    run()
    assert ended["well"] > count / 10, ended
    assert ended["refused"] > count / 10, ended
    print(ended)
