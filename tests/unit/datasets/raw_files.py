"""Small raw files in the true formats, each written from arrays that the tests know."""

import gzip
import io
import json
import pickle
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io
import scipy.sparse
import torch
from torch import Tensor


class Known(NamedTuple):
    """What the loader must find: edges [E, 2] are those of the raw file."""

    x: np.ndarray
    edges: np.ndarray
    y: np.ndarray
    masks: dict[str, np.ndarray] | None = None


def graph(num_nodes: int = 30, num_features: int = 6, num_classes: int = 3, num_splits: int = 10) -> Known:
    """A cycle with chords, random binary features, all classes, and [S, N] masks that differ by split."""
    rng = np.random.default_rng(0)
    x = (rng.random((num_nodes, num_features)) < 0.4).astype(np.float32)
    x[:, 0] = 1
    x[0] = 1
    ring = np.arange(num_nodes)
    edges = np.concatenate([np.stack([ring, (ring + step) % num_nodes], 1) for step in (1, 3)])
    y = ring % num_classes
    orders = np.stack([rng.permutation(num_nodes) for _ in range(num_splits)])
    ranks = orders.argsort(1) / num_nodes
    masks = {"train": ranks < 0.5, "val": (ranks >= 0.5) & (ranks < 0.75), "test": ranks >= 0.75}
    return Known(x, edges, y, masks)


def write_actor(data_dir: Path) -> Known:
    known, raw = graph(), _folder(data_dir / "Actor" / "raw")
    lines = [
        f"{node}\t{','.join(map(str, np.flatnonzero(features)))}\t{label}"
        for node, (features, label) in enumerate(zip(known.x, known.y, strict=True))
    ]
    _write_lines(raw / "out1_node_feature_label.txt", ["node_id\tfeature\tlabel", *lines])
    edges = [f"{source}\t{target}" for source, target in known.edges]
    _write_lines(raw / "out1_graph_edges.txt", ["node_id\tnode_id", *edges])
    for i in range(10):
        masks = {f"{part}_mask": mask[i].astype(np.uint8) for part, mask in known.masks.items()}
        np.savez(raw / f"film_split_0.6_0.2_{i}.npz", **masks)
    return known


def write_heterophilous(data_dir: Path, name: str = "minesweeper", num_nodes: int = 30) -> Known:
    known = graph(num_nodes, num_classes=2 if name in ("minesweeper", "tolokers", "questions") else 3)
    masks = {f"{part}_masks": mask for part, mask in known.masks.items()}
    file = _folder(data_dir / "HeterophilousGraphDataset" / name / "raw") / f"{name}.npz"
    np.savez_compressed(file, node_features=known.x, node_labels=known.y, edges=known.edges, **masks)
    return known


def write_shchur(data_dir: Path, folder: str, file: str) -> Known:
    """The npz of Amazon and Coauthor: features and adjacency as CSR."""
    known = graph()
    num_nodes = len(known.y)
    adj = scipy.sparse.csr_matrix((np.ones(len(known.edges)), known.edges.T), (num_nodes, num_nodes))
    attr = scipy.sparse.csr_matrix(known.x * 3)  # counts: the loader makes them binary
    parts = {
        f"{prefix}_{part}": getattr(matrix, part)
        for prefix, matrix in (("adj", adj), ("attr", attr))
        for part in ("data", "indices", "indptr", "shape")
    }
    np.savez(_folder(data_dir / folder / "raw") / file, labels=known.y, **parts)
    return known


def write_wikics(data_dir: Path) -> Known:
    known = graph(num_splits=20)
    test = np.repeat(known.masks["test"][:1], 20, 0)
    masks = {"train": known.masks["train"] & ~test, "val": known.masks["val"] & ~test, "test": test}
    links = [known.edges[known.edges[:, 0] == node, 1].tolist() for node in range(len(known.y))]
    content = {
        "features": known.x.tolist(),
        "labels": known.y.tolist(),
        "links": links,
        "train_masks": masks["train"].tolist(),
        "val_masks": masks["val"].tolist(),
        "stopping_masks": masks["val"].tolist(),
        "test_mask": test[0].tolist(),
    }
    (_folder(data_dir / "WikiCS" / "raw") / "data.json").write_text(json.dumps(content))
    return known._replace(masks=masks)


def write_planetoid(data_dir: Path, name: str = "Cora", num_train: int = 6, num_test: int = 20) -> Known:
    """The 8 ind.* files; the public split validates on the 500 nodes after the training nodes."""
    num_nodes = num_train + 500 + num_test
    known, raw = graph(num_nodes, num_splits=1), _folder(data_dir / "Planetoid" / name / "raw")
    rest, labels = num_nodes - num_test, np.eye(3, dtype=np.int32)[known.y]
    neighbours = defaultdict(list)
    for source, target in known.edges.tolist():
        neighbours[source].append(target)
        neighbours[target].append(source)
    parts = {
        "x": scipy.sparse.csr_matrix(known.x[:num_train]),
        "allx": scipy.sparse.csr_matrix(known.x[:rest]),
        "tx": scipy.sparse.csr_matrix(known.x[rest:]),
        "y": labels[:num_train],
        "ally": labels[:rest],
        "ty": labels[rest:],
        "graph": neighbours,
    }
    prefix = f"ind.{name.lower()}"
    for part, value in parts.items():
        (raw / f"{prefix}.{part}").write_bytes(pickle.dumps(value))
    _write_lines(raw / f"{prefix}.test.index", [str(node) for node in range(rest, num_nodes)])
    node = np.arange(num_nodes)[None]
    masks = {"train": node < num_train, "val": (node >= num_train) & (node < rest), "test": node >= rest}
    return known._replace(masks=masks)


def write_pokec(data_dir: Path) -> Known:
    known = graph(num_nodes=60, num_classes=2)
    y = np.where(np.arange(60) % 6 == 5, -1, known.y)
    content = {"edge_index": known.edges.T, "node_feat": known.x.astype(np.float64), "label": y[None]}
    scipy.io.savemat(_folder(data_dir / "pokec") / "pokec.mat", content)
    return known._replace(y=y)


def ogb_members(kind: str) -> tuple[dict[str, str], Known]:
    """Member -> CSV text of a small arxiv, products or proteins archive, and what is in it."""
    known = graph(num_splits=1)
    num_nodes = len(known.y)
    split = {"arxiv": "time", "products": "sales_ranking", "proteins": "species"}[kind]
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (num_nodes, 112)) if kind == "proteins" else known.y[:, None]
    members = {
        "raw/edge.csv.gz": csv(known.edges),
        "raw/num-node-list.csv.gz": f"{num_nodes}\n",
        "raw/num-edge-list.csv.gz": f"{len(known.edges)}\n",
        "raw/node-label.csv.gz": csv(y),
    }
    x = known.x
    if kind == "proteins":
        x = rng.random((len(known.edges), 8)).round(3).astype(np.float32)
        members["raw/edge-feat.csv.gz"] = csv(x)
        members["raw/node_species.csv.gz"] = csv(np.full((num_nodes, 1), 9606))
    else:
        members["raw/node-feat.csv.gz"] = csv(x)
    for part, file in (("train", "train"), ("val", "valid"), ("test", "test")):
        nodes = np.flatnonzero(known.masks[part][0])
        members[f"split/{split}/{file}.csv.gz"] = csv(nodes[:, None])
    return members, known._replace(x=x, y=y)


def write_ogb(data_dir: Path, kind: str, changes: dict[str, str | None] | None = None) -> Known:
    """Write <kind>.zip, some members changed, or left out where the change is None."""
    members, known = ogb_members(kind)
    members |= changes or {}
    path = _folder(data_dir / f"ogbn_{kind}" / "raw") / f"{kind}.zip"
    write_zip(path, {f"{kind}/{name}": text for name, text in members.items() if text is not None})
    return known


def write_zip(path: Path, members: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, gzip.compress(text.encode(), mtime=0))


def csv(table: np.ndarray) -> str:
    text = io.StringIO()
    np.savetxt(text, table, delimiter=",", fmt="%d" if table.dtype.kind == "i" else "%.3f")
    return text.getvalue()


def edge_set(edge_index: Tensor) -> set[tuple[int, int]]:
    return set(map(tuple, edge_index.t().tolist()))


def both_ways(edges: np.ndarray) -> set[tuple[int, int]]:
    return set(map(tuple, edges.tolist())) | set(map(tuple, edges[:, ::-1].tolist()))


def nodes_of(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(np.flatnonzero(mask))


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n")
