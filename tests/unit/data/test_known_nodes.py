"""What a run remembers of its nodes, and how it finds them in a graph that has changed."""

from pathlib import Path

import polars as pl
import pytest
import torch

from spx.data import known_nodes as module
from spx.data.known_nodes import known_nodes, load_known_nodes, match_nodes, save_known_nodes
from spx.datasets import NodeDataset
from spx.datasets.hidden import without_nodes
from spx.errors import ArtifactError
from spx.graph.features import SparseFeatures


def named(dataset: NodeDataset) -> NodeDataset:
    return dataset._replace(node_ids=pl.Series([f"n{number}" for number in range(dataset.num_nodes)]))


@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_what_changed_is_counted(chunk: int, toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the edges or the features at a time: the size of the parts changes nothing."""
    then = named(toy)
    known = known_nodes(then)
    monkeypatch.setattr(module, "_CHUNK", chunk)
    x = then.x.clone()
    x[[2, 60]] += 1
    now = without_nodes(then._replace(x=x), torch.tensor([30]))
    now = now._replace(edge_index=torch.cat((now.edge_index, torch.tensor([[0, 5], [7, 0]])), 1))
    near = set(then.edge_index[1][then.edge_index[0] == 30].tolist()) - {30} | {7, 0}
    match = match_nodes(known, now)
    assert match.text == (
        f"1 node is gone, {len(near)} that stayed have other neighbours, 2 that stayed have other features, "
        f"{now.edge_index.shape[1]} edges in place of 300"
    )
    assert match.places.tolist() == [*range(30), -1, *range(30, 89)]
    assert match.numbers.tolist() == [*range(30), *range(31, 90)]
    assert match_nodes(known, then).text == ""


def test_order_doesn_t_count(toy: NodeDataset) -> None:
    then, order = named(toy), torch.randperm(90, generator=torch.Generator().manual_seed(2))
    place = order.argsort()
    edges = place[then.edge_index][:, torch.randperm(300)]
    now = then._replace(x=then.x[order], edge_index=edges, node_ids=then.node_ids.gather(order.numpy()))
    match = match_nodes(known_nodes(then), now)
    assert match.text == ""
    assert match.numbers.equal(order)


def test_degrees_are_those_of_the_edges_as_given(toy: NodeDataset, tmp_path: Path) -> None:
    known = known_nodes(toy)
    assert known.degree.tolist() == [int((toy.edge_index[1] == node).sum()) for node in range(90)]
    save_known_nodes(tmp_path / "nodes.parquet", known)
    read = load_known_nodes(tmp_path / "nodes.parquet")
    assert read.names is None
    assert all(torch.equal(one, other) for one, other in zip(known[1:], read[1:], strict=True))
    with pytest.raises(ArtifactError, match=r"none\.parquet is damaged"):
        load_known_nodes(tmp_path / "none.parquet")


def test_sparse_features_have_the_digests_of_dense_ones(toy: NodeDataset) -> None:
    x = torch.where(toy.x > 0.5, toy.x, 0.0)
    then = known_nodes(toy._replace(x=x))
    assert match_nodes(then, toy._replace(x=SparseFeatures.from_dense(x))).text == ""
