"""Nodes by name and number, new features, and graphs that are or aren't the run's."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import torch
from scipy.sparse import csc_matrix
from torch_geometric.data import Data

from spx.data import AugmentedGraphData
from spx.data.known_nodes import known_nodes
from spx.datasets import NodeDataset
from spx.datasets.hidden import without_nodes
from spx.errors import ArtifactError, ConfigError
from spx.graph.features import SparseFeatures
from spx.inference.selection import asked_nodes, check_features, find_nodes, is_graph, is_same_graph

Named = Callable[[list], NodeDataset]


@pytest.fixture
def texts(toy: NodeDataset) -> NodeDataset:
    return toy._replace(node_ids=pl.Series([f"n{89 - number}" for number in range(90)]))


@pytest.fixture
def integers(toy: NodeDataset) -> NodeDataset:
    return toy._replace(node_ids=pl.Series([1000 - number for number in range(90)], dtype=pl.Int64))


@pytest.mark.parametrize("given", [[3, 88, 0], np.array([3, 88, 0]), pl.Series([3, 88, 0]), torch.tensor([3, 88, 0])])
def test_numbers_where_nodes_have_no_names(given: object, toy: NodeDataset) -> None:
    assert find_nodes(given, toy).tolist() == [3, 88, 0]
    assert find_nodes(given, toy).dtype == torch.int64


def test_all_nodes(toy: NodeDataset) -> None:
    assert find_nodes(None, toy).equal(torch.arange(90))


def test_names_of_text(texts: NodeDataset) -> None:
    assert find_nodes(["n89", "n0", "n5"], texts).tolist() == [0, 89, 84]
    assert find_nodes(torch.tensor([2, 1]), texts).tolist() == [2, 1], "a tensor holds numbers"


def test_a_table_is_no_list_of_nodes() -> None:
    """Its columns of several types are more than polars can make one of."""
    table = pl.DataFrame({"id": ["n1"], "age": [3]})
    message = r"nodes is a table of the columns 'id', 'age'; .* run\.on\(nodes, edges\)"
    for given in ((table, None), (None, table), (table, ["n1"])):
        with pytest.raises(ConfigError, match=message):
            asked_nodes(*given)
    assert asked_nodes(None, ["n1"]) == asked_nodes(["n1"], None) == ["n1"]
    assert asked_nodes(None, None) is None


def test_a_node_that_is_gone_is_told_from_one_that_never_was(texts: NodeDataset, toy: NodeDataset) -> None:
    for then, now, gone in (
        (texts, without_nodes(texts, torch.tensor([4])), "n85"),
        (toy, toy._replace(x=toy.x[:50], edge_index=toy.edge_index[:, :0]), 70),
    ):
        known = known_nodes(then)
        with pytest.raises(
            ConfigError, match=f"1 of 2 nodes are gone from the graph since .* such as {gone!r}"
        ) as caught:
            find_nodes([then.node_ids[0] if then is texts else 0, gone], now, known)
        assert "as it was" in str(caught.value)
        with pytest.raises(ConfigError, match="1 of 1 nodes aren't in the graph, such as 'never'"):
            find_nodes(["never"], now, known)
        with pytest.raises(ConfigError, match="1 of 1 nodes aren't in the graph"):
            find_nodes([gone], now)


@pytest.mark.parametrize("given", [[1000, 911, 995], ["1000", "911", "995"], np.array([1000, 911, 995], np.int32)])
def test_names_that_are_integers_also_as_text(given: object, integers: NodeDataset) -> None:
    assert find_nodes(given, integers).tolist() == [0, 89, 5]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["n1", "x", "y"], "2 of 3 nodes aren't in the graph, such as 'x', 'y'. Its nodes have names such as 'n89'"),
        ([1, 2], "2 of 2 nodes aren't in the graph, such as 1, 2"),
        ([f"m{number}" for number in range(50)], "'m0', 'm1', 'm2', 'm3', 'm4'. Its"),
        ([None, "n1"], "1 of 2 nodes aren't in the graph, such as None"),
        (["n1", "n2", "n1", "n2"], "given twice, such as 'n2', 'n1'"),
        ([], "No node is given"),
        ("n1", "nodes is 'n1'; give a list of names"),
        (7, "nodes is '7'; give a list of names"),
        ([1, "n1"], "give a list of names"),
        ([0.5], "nodes holds Float64, such as 0.5"),
        (torch.tensor([0, 90, -1]), "2 of 3 nodes aren't in the graph, such as 90, -1. Its nodes are numbered from 0"),
        (torch.ones(90, dtype=torch.bool), "mask.nonzero"),
        (torch.zeros(3, 1, dtype=torch.int64), r"shape \[3, 1\]"),
    ],
)
def test_nodes_that_can_not_be(given: object, words: str, texts: NodeDataset) -> None:
    with pytest.raises(ConfigError, match=words):
        find_nodes(given, texts)


def test_numbers_beyond_the_graph(toy: NodeDataset) -> None:
    with pytest.raises(ConfigError, match="1 of 2 nodes aren't in the graph, such as 90"):
        find_nodes([3, 90], toy)
    with pytest.raises(ConfigError, match="such as 'x'"):
        find_nodes(["x"], toy)


@pytest.mark.parametrize("kind", [torch.float64, torch.int64])
def test_features_become_float32(kind: torch.dtype, toy: NodeDataset) -> None:
    x = torch.arange(450).view(90, 5)
    for given in (x.to(kind), x.to(kind).numpy()):
        assert check_features(given, toy).equal(x.float())


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(90, 4), r"shape \[90, 4\]; this run needs \[90, 5\]"),
        (torch.zeros(90), r"shape \[90\]"),
        (np.array([["a"] * 5] * 90), "aren't an array of numbers"),
        (torch.zeros(90, 5).index_fill(0, torch.tensor([7]), float("nan")), "1 nodes hold NaN or infinity.* 'n82'"),
    ],
)
def test_features_that_can_not_be(x: object, words: str, texts: NodeDataset) -> None:
    with pytest.raises(ConfigError, match=words):
        check_features(x, texts)


def test_the_same_graph_in_another_order_is_the_run_s(toy: NodeDataset) -> None:
    data = AugmentedGraphData("toy")
    edges = toy.edge_index
    assert is_graph(toy)
    assert not is_graph([1])
    loops = torch.arange(5).expand(2, -1)
    for same in (edges, edges.flip(1), torch.cat((edges, edges[:, :9], loops), 1)):
        assert is_same_graph(Data(x=toy.x, edge_index=same), data)
        assert is_same_graph(toy._replace(edge_index=same), data)


def test_edges_whose_reverses_the_run_added(toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    both = toy._replace(edge_index=torch.cat((toy.edge_index, toy.edge_index.flip(0)), 1))
    monkeypatch.setattr("spx.data.graph_data.load_dataset", lambda *_: both)
    assert is_same_graph(Data(x=toy.x, edge_index=toy.edge_index), AugmentedGraphData("toy", undirected=True))
    assert not is_same_graph(Data(x=toy.x, edge_index=toy.edge_index), AugmentedGraphData("toy"))


def test_another_graph_is_told(toy: NodeDataset) -> None:
    data, edges = AugmentedGraphData("toy"), toy.edge_index
    assert not is_same_graph(Data(x=torch.zeros(91, 5), edge_index=edges), data)
    assert not is_same_graph(Data(x=toy.x, edge_index=edges[:, 1:]), data)
    assert not is_same_graph(Data(x=toy.x, edge_index=edges.flip(0)), data)
    with pytest.raises(ArtifactError, match="has no edge_index"):
        is_same_graph(Data(x=toy.x), data)


@pytest.mark.filterwarnings("ignore:Sparse CS")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_sparse_features_stay_sparse(toy: NodeDataset, layout: torch.layout) -> None:
    x = toy.x * (toy.x > 1)
    for given in (x.to_sparse(layout=layout), csc_matrix(x.numpy()), SparseFeatures.from_dense(x)):
        found = check_features(given, toy)
        assert isinstance(found, SparseFeatures)
        assert found.to_dense().equal(x)


def test_sparse_features_are_looked_at_as_dense_ones(toy: NodeDataset) -> None:
    x = toy.x * (toy.x > 1)
    with pytest.raises(ConfigError, match=r"shape \[89, 5\]; this run needs \[90, 5\]"):
        check_features(csc_matrix(x[:-1].numpy()), toy)
    x[[3, 8], 1] = torch.nan
    with pytest.raises(ConfigError, match="features of 2 nodes hold NaN or infinity, such as nodes 3, 8"):
        check_features(x.to_sparse(), toy)


def test_a_graph_of_other_weights_is_another(toy: NodeDataset) -> None:
    weight = torch.arange(1.0, toy.edge_index.size(1) + 1)
    data = AugmentedGraphData("toy", expander_degree=2, edge_weight="w")
    data.use_dataset(toy._replace(edge_weight=weight))
    order = torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(0))
    graph = Data(x=toy.x, edge_index=toy.edge_index[:, order], num_nodes=90)
    assert not is_same_graph(graph, data), "without weights"
    graph.w = weight[order, None]
    assert is_same_graph(graph, data)
    graph.w = graph.w.roll(1, 0)
    assert not is_same_graph(graph, data)
    assert is_same_graph(data.dataset, data)
    assert not is_same_graph(toy._replace(edge_weight=weight.roll(1)), data)
    none = torch.tensor([[3], [4]])
    graph = Data(edge_index=torch.cat((toy.edge_index, none), 1), w=torch.cat((weight, torch.zeros(1))), num_nodes=90)
    assert is_same_graph(graph, data), "an edge of weight 0 is none"
