"""Files as their authors publish them, counted by NumPy, SciPy and networkx alone: the table in docs/own-data.md.

They lie in data/ where they were put there by hand, and are not part of the project.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from daily import every_day
from scipy import sparse

from .conftest import read

ROOT = Path(__file__).parents[4]
DATA = ROOT / "data"
UNDIRECTED = "--data.undirected true"


class Counts(NamedTuple):
    nodes: int
    edges: int
    features: int
    classes: int
    split: tuple[int, ...] | None
    """Train, validation and test of split 0; None: the file has none."""


def platonov(path: Path, undirected: bool) -> Counts:
    held = np.load(path)
    edges = held["edges"]
    if undirected:
        edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    split = tuple(int(held[f"{part}_masks"][0].sum()) for part in ("train", "val", "test"))
    return Counts(
        *held["node_features"].shape[:1], len(edges), held["node_features"].shape[1], num(held["node_labels"]), split
    )


def gnn_benchmark(path: Path, _: bool) -> Counts:
    held = np.load(path)
    adjacency = sparse.csr_matrix(tuple(held[f"adj_{part}"] for part in ("data", "indices", "indptr")))
    nodes, features = map(int, held["attr_shape"])
    return Counts(nodes, int(np.count_nonzero(adjacency.data)), features, num(held["labels"]), None)


def geom_gcn(path: Path, _: bool) -> Counts:
    edges = np.loadtxt(path / "out1_graph_edges.txt", dtype=int, skiprows=1)
    lines = (path / "out1_node_feature_label.txt").read_text().splitlines()[1:]
    words = max(int(word) for line in lines for word in line.split("\t")[1].split(","))
    labels = np.array([int(line.split("\t")[2]) for line in lines])
    masks = np.load(next(path.glob("*_split_0.6_0.2_0.npz")))
    split = tuple(int(masks[f"{part}_mask"].sum()) for part in ("train", "val", "test"))
    return Counts(len(lines), len(edges), words + 1, num(labels), split)


def num(labels: np.ndarray) -> int:
    return len(np.unique(labels))


FILES = {
    "npz/texas.npz": (platonov, True),
    "npz/squirrel_filtered.npz": (platonov, True),
    "npz/blogcatalog.npz": (gnn_benchmark, False),
    "npz/cora_gnnbench.npz": (gnn_benchmark, False),
    "Amazon/Photo/raw/amazon_electronics_photo.npz": (gnn_benchmark, False),
    "Coauthor/CS/raw/ms_academic_cs.npz": (gnn_benchmark, False),
    "HeterophilousGraphDataset/minesweeper/raw/minesweeper.npz": (platonov, True),
    "Actor/raw": (geom_gcn, False),
}


@every_day("name", FILES, 3)
def test_counts(name: str) -> None:
    path, (count, undirected) = DATA / name, FILES[name]
    if not path.exists():
        pytest.skip(f"{path} is not there")
    expected = count(path, undirected)
    dataset = read(str(path), undirected=undirected)
    split = tuple(len(nodes) for nodes in dataset.split)
    found = Counts(dataset.num_nodes, dataset.edge_index.size(1), dataset.num_features, dataset.num_classes, split)
    assert found._replace(split=expected.split and split) == expected
    assert sum(split) <= dataset.num_nodes
    row = next(line for line in (ROOT / "docs/own-data.md").read_text().splitlines() if f"`{name}" in line)
    assert (UNDIRECTED in row) == undirected
    numbers = [int(cell.replace(",", "")) for cell in re.findall(r"(?<=\| )[\d,]+(?= \|)", row)]
    assert numbers == list(expected[:4])
    assert ("{:,} / {:,} / {:,}".format(*expected.split) if expected.split else "drawn") in row
