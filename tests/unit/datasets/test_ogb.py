from pathlib import Path

import numpy as np
import pytest
import torch

from spx.datasets import load_dataset, ogb
from spx.datasets.ogb import mean_over_edges
from spx.errors import DatasetError

from .raw_files import Known, both_ways, csv, edge_set, nodes_of, ogb_members, write_ogb, write_zip

KINDS = ["arxiv", "products", "proteins"]


def assert_split(split: tuple[torch.Tensor, ...], known: Known) -> None:
    for part, nodes in zip(("train", "val", "test"), split, strict=True):
        assert torch.equal(nodes, nodes_of(known.masks[part][0]))


@pytest.mark.parametrize("block_bytes", [16, 1 << 26])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_edges_and_split(tmp_path: Path, kind: str, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ogb, "_BLOCK_BYTES", block_bytes)
    known = write_ogb(tmp_path, kind)
    dataset = load_dataset(f"ogbn-{kind}", tmp_path)
    assert edge_set(dataset.edge_index) == both_ways(known.edges)
    assert dataset.edge_index.size(1) == 2 * len(known.edges)
    assert_split(dataset.split, known)
    if kind == "proteins":
        assert torch.equal(dataset.y, torch.from_numpy(known.y).float())
        assert (dataset.task, dataset.metric, dataset.num_classes) == ("multilabel", "roc_auc", 112)
    else:
        assert torch.equal(dataset.y, torch.from_numpy(known.y[:, 0]))
        assert torch.equal(dataset.x, torch.from_numpy(known.x))
        assert (dataset.task, dataset.metric, dataset.num_classes) == ("multiclass", "accuracy", 3)


def test_proteins_features_are_the_mean_over_a_nodes_edges(tmp_path: Path) -> None:
    known = write_ogb(tmp_path, "proteins")
    x = load_dataset("ogbn-proteins", tmp_path).x
    assert x.shape == (30, 8)
    for node in range(30):
        expected = known.x[(known.edges == node).any(1)].mean(0)
        np.testing.assert_allclose(x[node].numpy(), expected, rtol=1e-6)


def test_mean_over_edges_by_hand() -> None:
    edge_x = torch.tensor([[1.0, 10.0], [2.0, 20.0]])
    x = mean_over_edges(edge_x, torch.tensor([[0, 0], [1, 2]]), num_nodes=4)
    assert x.dtype == torch.float32
    assert x.tolist() == [[1.5, 15.0], [1.0, 10.0], [2.0, 20.0], [0.0, 0.0]]


def test_mean_over_edges_keeps_its_digits_over_many_edges() -> None:
    edge_x = torch.full((200_000, 1), 0.1)
    ends = torch.stack([torch.zeros(200_000, dtype=torch.int64), torch.ones(200_000, dtype=torch.int64)])
    assert mean_over_edges(edge_x, ends, 2).flatten().tolist() == pytest.approx([0.1, 0.1], rel=1e-7)


def test_arxiv_holds_each_direction_once(tmp_path: Path) -> None:
    mutual = np.array([[0, 1], [1, 0], [1, 2], [1, 2]])
    changes = {"raw/edge.csv.gz": csv(mutual), "raw/num-edge-list.csv.gz": "4\n"}
    write_ogb(tmp_path, "arxiv", changes)
    edge_index = load_dataset("ogbn-arxiv", tmp_path).edge_index
    assert edge_index.t().tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]


@pytest.mark.parametrize("kind", ["products", "proteins"])
def test_the_other_archives_get_the_inverse_of_every_edge_they_list(tmp_path: Path, kind: str) -> None:
    edges = ogb_members(kind)[1].edges
    edges[1] = edges[0]
    write_ogb(tmp_path, kind, {"raw/edge.csv.gz": csv(edges)})
    edge_index = load_dataset(f"ogbn-{kind}", tmp_path).edge_index
    assert sorted(edge_index.t().tolist()) == sorted([*edges.tolist(), *edges[:, ::-1].tolist()])


def test_amazon2m_is_products_under_a_random_split(tmp_path: Path) -> None:
    write_ogb(tmp_path, "products")
    products, random = load_dataset("ogbn-products", tmp_path), load_dataset("amazon2m", tmp_path)
    assert torch.equal(products.edge_index, random.edge_index)
    assert [len(part) for part in random.split] == [15, 7, 8]
    assert not torch.equal(products.split.train, random.split.train)
    again = load_dataset("amazon2m", tmp_path, protocol="paper")
    assert torch.equal(random.split.train, again.split.train)


def test_an_empty_label_is_unlabelled(tmp_path: Path) -> None:
    known = write_ogb(tmp_path, "arxiv")
    test_node = int(np.flatnonzero(known.masks["test"][0])[0])
    labels = known.y[:, 0].astype(str)
    labels[test_node] = ""
    write_ogb(tmp_path, "arxiv", {"raw/node-label.csv.gz": "\n".join(labels) + "\n"})
    with pytest.raises(DatasetError, match="the test split names 1 nodes that have no label"):
        load_dataset("ogbn-arxiv", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"raw/edge.csv.gz": None}, r"arxiv\.zip must hold 'raw/edge\.csv\.gz' once, not 0 times"),
        ({"raw/num-edge-list.csv.gz": "61\n"}, r"raw/edge\.csv\.gz .* has 60 rows where 61 are announced"),
        ({"raw/num-node-list.csv.gz": "40\n"}, r"node-feat\.csv\.gz .* has 30 rows where 40 are announced"),
        ({"raw/num-node-list.csv.gz": "29\n"}, "edge.csv.gz names nodes from 0 to 29, but the graph has 29"),
        ({"split/time/test.csv.gz": "30\n"}, "a split file names nodes from 30 to 30, but the graph has 30"),
        ({"split/time/test.csv.gz": ""}, "the test split is empty"),
        ({"raw/edge.csv.gz": "0,1\n2,oops\n"}, "can't be parsed"),
        ({"raw/edge.csv.gz": "0,1\n2,\n"}, "can't be parsed .*missing"),
        ({"raw/edge.csv.gz": "0,1\n2,3,4\n"}, "can't be parsed"),
    ],
)
def test_archives_that_do_not_hold_what_they_should(
    tmp_path: Path, changes: dict[str, str | None], message: str
) -> None:
    write_ogb(tmp_path, "arxiv", changes)
    with pytest.raises(DatasetError, match=f"dataset 'ogbn-arxiv': .*{message}"):
        load_dataset("ogbn-arxiv", tmp_path)


def test_a_truncated_archive(tmp_path: Path) -> None:
    write_ogb(tmp_path, "arxiv")
    path = tmp_path / "ogbn_arxiv/raw/arxiv.zip"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DatasetError, match=r"arxiv\.zip is not a whole zip file"):
        load_dataset("ogbn-arxiv", tmp_path)
    write_ogb(tmp_path, "arxiv")
    load_dataset("ogbn-arxiv", tmp_path)


def test_an_archive_with_an_escaping_path_writes_nothing(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    members, _ = ogb_members("arxiv")
    (data_dir / "ogbn_arxiv/raw").mkdir(parents=True)
    path = data_dir / "ogbn_arxiv/raw/arxiv.zip"
    write_zip(path, {f"arxiv/{name}": text for name, text in members.items()} | {"../../../evil": "x"})
    with pytest.raises(DatasetError, match="leads out of it"):
        load_dataset("ogbn-arxiv", data_dir)
    assert not list(tmp_path.rglob("evil"))
