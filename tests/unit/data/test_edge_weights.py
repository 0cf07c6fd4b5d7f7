"""Weights of edges in both stages' data: in draws, in the GCN, in the fingerprint, with nodes that are hidden."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spx.data import AugmentedGraphData, ResampledGraphData
from spx.data.unchanged import changes_since
from spx.datasets import NodeDataset
from spx.errors import ArtifactError
from spx.graph.csr import EdgeType
from spx.graph.weights import WeightedGraph, row_weights
from spx.nn.baselines import BaselineNetwork
from spx.nn.settings import BaselineSettings

from .conftest import DEGREE, K, same

UNIFORM = {"sampler": "uniform", "k": K, "expander_degree": DEGREE}


def weighted(toy: NodeDataset, seed: int = 7) -> NodeDataset:
    weight = torch.rand(toy.edge_index.size(1), generator=torch.Generator().manual_seed(seed)) ** 3 + 0.01
    return toy._replace(edge_weight=weight)


def resampled(dataset: NodeDataset, **settings: object) -> ResampledGraphData:
    data = ResampledGraphData("toy", **UNIFORM | settings)
    data.use_dataset(dataset)
    return data


def distinct(toy: NodeDataset) -> NodeDataset:
    """Without parallel edges, whose weights add up."""
    return toy._replace(edge_index=toy.edge_index.unique(dim=1))


def with_equal(dataset: NodeDataset, weight: float) -> NodeDataset:
    return dataset._replace(edge_weight=torch.full((dataset.edge_index.size(1),), weight))


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_equal_weights_draw_the_same_tables(toy: NodeDataset, make: Callable[..., ResampledGraphData], weight) -> None:
    toy = distinct(toy)
    assert same(resampled(with_equal(toy, weight)).draw(3), resampled(toy).draw(3))
    by_scores, usual = make(), make()
    scores = usual.scores
    for data, dataset in ((by_scores, with_equal(toy, weight)), (usual, toy)):
        data.use_dataset(dataset)
        data.__dict__["graph"] = AugmentedGraphData("toy", expander_degree=DEGREE).graph
        data.use_scores(scores)
    assert same(by_scores.draw(3), usual.draw(3))


def test_the_unit_changes_no_draw(toy: NodeDataset) -> None:
    dataset = weighted(toy)
    thousandfold = dataset._replace(edge_weight=dataset.edge_weight * 1000)
    assert same(resampled(dataset).draw(0), resampled(thousandfold).draw(0))
    assert not same(resampled(dataset).draw(0), resampled(toy).draw(0))


@pytest.mark.parametrize("uniform", [True, False])
def test_weights_multiply_the_scores_whole_and_lazily(
    toy: NodeDataset, make: Callable[..., ResampledGraphData], uniform: bool
) -> None:
    dataset = weighted(toy)
    data, by_hand = (make(**({"sampler": "uniform", "expander_degree": DEGREE} if uniform else {})) for _ in range(2))
    scores = make().scores
    factors = row_weights(scores.graph, dataset.edge_index, dataset.edge_weight)
    data.use_dataset(dataset)
    by_hand.sampler = "attention"
    data.use_scores(scores)
    product = factors.expand_as(scores.scores_LM) if uniform else scores.scores_LM * factors
    by_hand.use_scores(scores._replace(scores_LM=product))
    assert same(data.draw(0), by_hand.draw(0))
    nodes = torch.tensor([3, 80, 41])
    for table, whole in zip(data.draw(0, [True] * len(K)), data.draw(0), strict=True):
        assert same(table.rows(nodes), whole.rows(nodes))


def test_they_follow_a_graph_that_changes(toy: NodeDataset) -> None:
    data = resampled(weighted(toy))
    before = data.draw(0)
    other = weighted(toy, seed=8)
    data.use_dataset(other)
    assert same(data.draw(0), resampled(other).draw(0))
    assert not same(data.draw(0), before)
    data.follow(torch.cat([torch.arange(1, toy.num_nodes), torch.tensor([0])]))
    table = data.draw(0)[0]
    graph_edges = table.edge_type == EdgeType.GRAPH
    assert graph_edges.any()
    known = set(map(tuple, toy.edge_index.t().tolist()))
    drawn = [(int(table.neighbors[n, k]), n) for n, k in graph_edges.nonzero().tolist()]
    assert set(drawn) <= known


def test_the_fingerprint_covers_them_and_scores_of_others_are_refused(
    toy: NodeDataset, tmp_path: Path, write_scores: Callable[..., Path]
) -> None:
    made_by = AugmentedGraphData("toy", expander_degree=DEGREE)
    made_by.use_dataset(weighted(toy))
    path = str(write_scores(tmp_path / "s.safetensors", made_by))
    same_data = resampled(weighted(toy), sampler="attention", scores=path)
    assert same_data.scores.num_layers == 2
    for dataset in (weighted(toy, seed=8), toy):
        with pytest.raises(ArtifactError, match="its edge weights changed"):
            _ = resampled(dataset, sampler="attention", scores=path).scores
    assert changes_since(resampled(toy).state_dict(), resampled(weighted(toy))).parts == {"weights"}


def test_hidden_nodes_take_theirs_with_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    edges, weight = rng.integers(0, 60, (2, 300)), rng.random(300) + 0.1
    np.savez(tmp_path / "a.npz", edge_index=edges, y=np.arange(60) % 2, w=weight, x=rng.random((60, 3)))
    dataset = AugmentedGraphData(str(tmp_path / "a.npz"), hidden=0.3, edge_weight="w").dataset
    known = {(s, t, np.float32(w)) for s, t, w in zip(*edges.tolist(), weight, strict=True)}
    names = dataset.node_ids.to_numpy()
    kept = zip(names[dataset.edge_index[0]], names[dataset.edge_index[1]], dataset.edge_weight.numpy(), strict=True)
    assert set(kept) <= known
    assert 0 < dataset.edge_weight.numel() == dataset.edge_index.size(1) < 300


def test_the_gcn_gets_them_and_other_networks_the_plain_graph(toy: NodeDataset) -> None:
    data = AugmentedGraphData("toy", expander_degree=0, self_loops=False)
    gcn, sage = (
        BaselineNetwork(data.num_features, 3, BaselineSettings(8, 2, 0.0, kind=kind)) for kind in ("gcn", "sage")
    )
    assert data.neighborhood_of(gcn) is data.graph
    data.use_dataset(weighted(toy))
    found = data.neighborhood_of(gcn)
    assert isinstance(found, WeightedGraph)
    assert float(found.weight.mean()) == pytest.approx(1)
    assert data.neighborhood_of(gcn).weight is found.weight, "made once"
    assert data.neighborhood_of(sage) is data.graph
    assert data.neighborhood_of(None) is data.graph
