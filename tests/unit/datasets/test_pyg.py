from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.io import read_npz

from spx.datasets import NodeDataset, load_dataset
from spx.datasets.bag_of_words import parse_bag_of_words
from spx.graph.features import SparseFeatures

from .raw_files import (
    Known,
    both_ways,
    edge_set,
    nodes_of,
    write_actor,
    write_heterophilous,
    write_planetoid,
    write_shchur,
    write_wikics,
)

DATA = Path("data")
SHCHUR = {
    "photo": ("Amazon/Photo", "amazon_electronics_photo.npz"),
    "computer": ("Amazon/Computers", "amazon_electronics_computers.npz"),
    "cs": ("Coauthor/CS", "ms_academic_cs.npz"),
    "physics": ("Coauthor/Physics", "ms_academic_phy.npz"),
}


def assert_graph(dataset: NodeDataset, known: Known, edges: set[tuple[int, int]]) -> None:
    x = dataset.x.to_dense() if isinstance(dataset.x, SparseFeatures) else dataset.x
    assert torch.equal(x, torch.from_numpy(known.x))
    assert torch.equal(dataset.y, torch.from_numpy(known.y))
    assert edge_set(dataset.edge_index) == edges
    assert dataset.edge_index.size(1) == len(edges), "no duplicates"
    assert (dataset.num_nodes, dataset.num_features) == known.x.shape
    assert dataset.num_classes == known.y.max() + 1


def assert_fixed_split(dataset: NodeDataset, known: Known) -> None:
    for part, nodes in dataset.split._asdict().items():
        assert torch.equal(nodes, nodes_of(known.masks[part][dataset.split_index]))


def test_actor(tmp_path: Path) -> None:
    known = write_actor(tmp_path)
    for index in (0, 9):
        dataset = load_dataset("actor", tmp_path, split=index)
        assert_graph(dataset, known, set(map(tuple, known.edges.tolist())))
        assert_fixed_split(dataset, known)
    balanced = load_dataset("actor", tmp_path, protocol="paper", split=11)
    assert torch.bincount(balanced.y[balanced.split.train]).tolist() == [5, 5, 5]
    assert [len(part) for part in balanced.split] == [15, 8, 7]  # round(7.5) is 8


@pytest.mark.parametrize("name", ["minesweeper", "tolokers", "roman-empire", "amazon-ratings", "questions"])
def test_heterophilous(tmp_path: Path, name: str) -> None:
    known = write_heterophilous(tmp_path, name.replace("-", "_"))
    public, paper = load_dataset(name, tmp_path, split=3), load_dataset(name, tmp_path, "paper", split=3)
    assert_graph(public, known, both_ways(known.edges))
    assert_fixed_split(public, known)
    assert_fixed_split(paper, known)


@pytest.mark.parametrize("name", list(SHCHUR))
def test_amazon_and_coauthor(tmp_path: Path, name: str) -> None:
    known = write_shchur(tmp_path, *SHCHUR[name])
    public, paper = load_dataset(name, tmp_path), load_dataset(name, tmp_path, protocol="paper")
    assert_graph(public, known, both_ways(known.edges))
    assert [len(part) for part in public.split] == [len(part) for part in paper.split] == [18, 6, 6]
    per_class = torch.bincount(paper.y[paper.split.train]).tolist()
    assert (per_class == [6, 6, 6]) == (name in {"photo", "computer"})
    assert not torch.equal(public.split.train, load_dataset(name, tmp_path, split=1).split.train)


def test_wikics_has_one_test_mask_for_all_splits(tmp_path: Path) -> None:
    known = write_wikics(tmp_path)
    first, last = (load_dataset("wikics", tmp_path, split=index) for index in (0, 19))
    assert_graph(first, known, both_ways(known.edges))
    assert_fixed_split(first, known)
    assert_fixed_split(last, known)
    assert torch.equal(first.split.test, last.split.test)
    assert not torch.equal(first.split.train, last.split.train)


@pytest.mark.parametrize(("name", "folder"), [("cora", "Cora"), ("citeseer", "CiteSeer"), ("pubmed", "PubMed")])
def test_planetoid(tmp_path: Path, name: str, folder: str) -> None:
    known = write_planetoid(tmp_path, folder)
    dataset = load_dataset(name, tmp_path)
    assert_graph(dataset, known, both_ways(known.edges))
    assert_fixed_split(dataset, known)


def test_nothing_but_the_cache_is_left_behind(tmp_path: Path) -> None:
    write_heterophilous(tmp_path)
    load_dataset("minesweeper", tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    home = "HeterophilousGraphDataset/minesweeper"
    cache = f"{home}/processed/spx-dataset-2.safetensors"
    assert left == {f"{home}/.lock", f"{home}/raw/minesweeper.npz", cache}


def test_an_npz_with_a_pickle_inside_is_not_opened(tmp_path: Path) -> None:
    known = write_heterophilous(tmp_path)
    file = tmp_path / "HeterophilousGraphDataset/minesweeper/raw/minesweeper.npz"
    masks = {f"{part}_masks": mask for part, mask in known.masks.items()}
    objects = np.array([Bomb()] * len(known.y), dtype=object)
    np.savez(file, node_features=known.x, node_labels=objects, edges=known.edges, **masks)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_dataset("minesweeper", tmp_path)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize(
    ("name", "raw", "num_nodes", "num_edges", "num_features", "num_classes", "sizes"),
    [
        ("actor", "Actor/raw", 7_600, 30_019, 932, 5, [3648, 2432, 1520]),
        (
            "minesweeper",
            "HeterophilousGraphDataset/minesweeper/raw",
            10_000,
            78_804,
            7,
            2,
            [5000, 2500, 2500],
        ),
        ("cora", "Planetoid/Cora/raw", 2_708, 10_556, 1_433, 7, [140, 500, 1000]),
    ],
)
def test_real_files(
    name: str,
    raw: str,
    num_nodes: int,
    num_edges: int,
    num_features: int,
    num_classes: int,
    sizes: list[int],
) -> None:
    if not (DATA / raw).is_dir():
        pytest.skip(f"{DATA / raw} is not here")
    dataset = load_dataset(name, DATA)
    assert dataset.num_nodes == num_nodes
    assert dataset.edge_index.shape == (2, num_edges)
    assert dataset.num_features == num_features
    assert dataset.num_classes == num_classes
    assert [len(part) for part in dataset.split] == sizes


def test_real_actor_under_the_paper_protocol() -> None:
    if not (DATA / "Actor/raw").is_dir():
        pytest.skip(f"{DATA / 'Actor/raw'} is not here")
    dataset = load_dataset("actor", DATA, protocol="paper")
    assert torch.bincount(dataset.y[dataset.split.train]).tolist() == [760] * 5
    assert [len(part) for part in dataset.split] == [3800, 1900, 1900]


@pytest.mark.parametrize("name", ["actor", "cora", "photo", "cs"])
def test_features_that_are_entries_in_their_file_stay_so(tmp_path: Path, name: str) -> None:
    """However many there are."""
    write = {"actor": write_actor, "cora": write_planetoid}.get(name) or partial(write_shchur, folder=SHCHUR[name][0])
    known = write(tmp_path) if name in ("actor", "cora") else write(tmp_path, file=SHCHUR[name][1])
    assert (known.x != 0).mean() > 0.1
    for _ in range(2):  # parsed, then from the cache
        assert isinstance(load_dataset(name, tmp_path).x, SparseFeatures)


def test_a_bag_of_words_is_what_pyg_makes_of_it(tmp_path: Path) -> None:
    """Entries at the same place, in no order, zero and below zero; edges that run one way, twice, and to themselves."""
    attr = {"data": [2.0, 1.0, -3.0, 0.0, 5.0, -5.0], "indices": [2, 0, 1, 1, 3, 3], "indptr": [0, 2, 4, 6]}
    adj = {"data": [1.0, 1.0, 1.0, 1.0], "indices": [1, 1, 2, 0], "indptr": [0, 2, 2, 4]}
    parts = {f"attr_{name}": np.array(part) for name, part in {**attr, "shape": (3, 4)}.items()}
    parts |= {f"adj_{name}": np.array(part) for name, part in {**adj, "shape": (3, 3)}.items()}
    np.savez(tmp_path / "graph.npz", labels=np.array([0, 1, 0]), **parts)
    found, wanted = parse_bag_of_words(tmp_path, tmp_path, file="graph.npz"), read_npz(str(tmp_path / "graph.npz"))
    assert found.x.to_dense().equal(wanted.x)
    assert found.x.num_entries == 3
    assert found.edge_index.equal(wanted.edge_index)
    assert found.y.equal(wanted.y)
