"""One small graph in the formats of other programs: 30 nodes, 3 classes, 2 features, 60 edges, split in thirds."""

import gzip
from pathlib import Path

import numpy as np
import torch

from .samples import NUM_NODES

IDS = [f"n{number}" for number in range(NUM_NODES)]
CLASSES = ["blue", "green", "red"]
Y = np.arange(NUM_NODES) % 3
X = np.random.default_rng(0).integers(-8, 8, (NUM_NODES, 2)) / 4 + 0.25 * np.eye(NUM_NODES, 2)
RANK = np.random.default_rng(1).permutation(NUM_NODES) * 3 // NUM_NODES
PARTS = ("train", "val", "test")
_STEPS = np.arange(NUM_NODES)
EDGES = np.concatenate([np.stack([_STEPS, (_STEPS + step) % NUM_NODES], axis=1) for step in (1, 7)])


def networkx_graph(directed: bool = True, named: bool = True, **attributes: object):
    import networkx

    graph = (networkx.DiGraph if directed else networkx.Graph)()
    for node in range(NUM_NODES):
        values = {"label": CLASSES[Y[node]], "a": float(X[node, 0]), "b": float(X[node, 1]), **attributes}
        graph.add_node(IDS[node] if named else node, **values, split=PARTS[RANK[node]])
    graph.add_edges_from((IDS[i], IDS[j]) if named else (i, j) for i, j in EDGES.tolist())
    return graph


def graphml(folder: Path) -> list[Path]:
    import networkx

    folder.mkdir()
    networkx.write_graphml(networkx_graph(), folder / "graph.graphml")
    return [folder / "graph.graphml"]


def gexf(folder: Path) -> list[Path]:
    import networkx

    folder.mkdir()
    networkx.write_gexf(networkx_graph(), folder / "graph.gexf")
    return [folder / "graph.gexf"]


def gml(folder: Path) -> list[Path]:
    """As igraph writes it: nodes have ids, and a label that is no name."""
    folder.mkdir()
    nodes = [
        f'node [ id {i} label "{CLASSES[Y[i]]}" a {float(X[i, 0])} b {float(X[i, 1])} split "{PARTS[RANK[i]]}" ]'
        for i in range(NUM_NODES)
    ]
    edges = [f"edge [ source {i} target {j} ]" for i, j in EDGES.tolist()]
    (folder / "graph.gml").write_text("\n".join(["graph [", "directed 1", *nodes, *edges, "]"]))
    return [folder / "graph.gml"]


def _nodes_csv(folder: Path, ids: list[str] = IDS) -> None:
    rows = [f"{ids[i]},{CLASSES[Y[i]]},{X[i, 0]},{X[i, 1]},{PARTS[RANK[i]]}" for i in range(NUM_NODES)]
    (folder / "nodes.csv").write_text("\n".join(["id,label,a,b,split", *rows, ""]))


def edgelist(folder: Path) -> list[Path]:
    folder.mkdir()
    _nodes_csv(folder)
    lines = [f"{IDS[i]} {IDS[j]} {{}}" for i, j in EDGES.tolist()]
    (folder / "graph.edgelist").write_text("\n".join(["# written by networkx", *lines, ""]))
    return [folder / "graph.edgelist"]


def matrix_market(folder: Path) -> list[Path]:
    from scipy import io, sparse

    folder.mkdir()
    _nodes_csv(folder)
    io.mmwrite(folder / "graph.mtx", sparse.coo_matrix((np.ones(len(EDGES)), EDGES.T), shape=(NUM_NODES,) * 2))
    return [folder / "graph.mtx"]


def dgl(folder: Path) -> list[Path]:
    folder.mkdir()
    masks = ",".join(f"{part}_mask" for part in PARTS)
    rows = [
        f'{IDS[i]},{Y[i]},"{X[i, 0]}, {X[i, 1]}",{",".join(str(RANK[i] == part) for part in range(3))}'
        for i in range(NUM_NODES)
    ]
    (folder / "nodes.csv").write_text("\n".join([f"node_id,label,feat,{masks}", *rows, ""]))
    lines = [f"{IDS[i]},{IDS[j]}" for i, j in EDGES.tolist()]
    (folder / "edges.csv").write_text("\n".join(["src_id,dst_id", *lines, ""]))
    meta = "dataset_name: mine\nedge_data:\n- file_name: edges.csv\nnode_data:\n- file_name: nodes.csv\n"
    (folder / "meta.yaml").write_text(meta)
    return [folder / "meta.yaml", folder / "nodes.csv", folder / "edges.csv"]


def _gz(file: Path, rows: np.ndarray) -> None:
    lines = [",".join(map(str, row)) for row in rows.reshape(len(rows), -1).tolist()]
    file.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def ogb(folder: Path) -> list[Path]:
    (folder / "raw").mkdir(parents=True)
    (folder / "split/time").mkdir(parents=True)
    _gz(folder / "raw/num-node-list.csv.gz", np.array([NUM_NODES]))
    _gz(folder / "raw/num-edge-list.csv.gz", np.array([len(EDGES)]))
    _gz(folder / "raw/edge.csv.gz", EDGES)
    _gz(folder / "raw/node-label.csv.gz", Y)
    _gz(folder / "raw/node-feat.csv.gz", X)
    for number, part in enumerate(("train", "valid", "test")):
        _gz(folder / f"split/time/{part}.csv.gz", np.flatnonzero(number == RANK))
    return [file for file in sorted(folder.rglob("*.gz")) if file.name != "num-edge-list.csv.gz"]


def geom_gcn(folder: Path) -> list[Path]:
    folder.mkdir()
    rows = [f"{i}\t{X[i, 0]},{X[i, 1]}\t{Y[i]}\n" for i in reversed(range(NUM_NODES))]
    (folder / "out1_node_feature_label.txt").write_text("node_id\tfeature\tlabel\n" + "".join(rows))
    lines = [f"{i}\t{j}\n" for i, j in EDGES.tolist()]
    (folder / "out1_graph_edges.txt").write_text("node_id\tnode_id\n" + "".join(lines))
    for number in (0, 10, 9):
        masks = {f"{part}_mask": (np.roll(RANK, number) == place).astype(int) for place, part in enumerate(PARTS)}
        np.savez(folder / f"mine_split_0.6_0.2_{number}.npz", **masks)
    return sorted(folder.iterdir())


def platonov(folder: Path) -> list[Path]:
    folder.mkdir()
    masks = {f"{part}_masks": np.stack([place == RANK, RANK[::-1] == place]) for place, part in enumerate(PARTS)}
    np.savez_compressed(folder / "graph.npz", node_features=X, node_labels=Y, edges=EDGES, **masks)
    return [folder / "graph.npz"]


def csr_parts(name: str, matrix: np.ndarray, mark: str = "_") -> dict[str, np.ndarray]:
    from scipy import sparse

    held = sparse.csr_matrix(matrix)
    parts = {"data": held.data, "indices": held.indices, "indptr": held.indptr, "shape": np.array(held.shape)}
    return {f"{name}{mark}{part}": array for part, array in parts.items()}


def adjacency() -> np.ndarray:
    matrix = np.zeros((NUM_NODES, NUM_NODES), dtype=np.float32)
    matrix[tuple(EDGES.T)] = 1
    return matrix


def gnn_benchmark(folder: Path) -> list[Path]:
    folder.mkdir()
    arrays = {**csr_parts("adj", adjacency()), **csr_parts("attr", X), "labels": Y.astype(np.int8)}
    names = {"node_names": np.array(IDS), "class_names": np.array(CLASSES)}
    np.savez(
        folder / "graph.npz", **arrays, **names, **{f"{PARTS[n]}_idx": np.flatnonzero(n == RANK) for n in range(3)}
    )
    return [folder / "graph.npz"]


def processed(folder: Path) -> list[Path]:
    """A processed file of a dataset of one graph, with sparse features, and the split in a dictionary."""
    from torch_geometric.data import Data

    folder.mkdir()
    split = {name: torch.from_numpy(np.flatnonzero(n == RANK)) for n, name in enumerate(("train", "valid", "test"))}
    tensors = {"edge_index": torch.from_numpy(EDGES.T.copy()), "y": torch.from_numpy(Y)}
    data = {"x": torch.from_numpy(X).to_sparse_coo(), **tensors, "split_idx": split}
    torch.save((data, {"x": torch.tensor([0, NUM_NODES])}, Data), folder / "graph.pt")
    return [folder / "graph.pt"]


def annotated(folder: Path) -> list[Path]:
    import anndata
    import pandas
    from scipy import sparse

    folder.mkdir()
    with pandas.option_context("future.infer_string", False):  # what pandas 3 infers anndata only writes on request
        obs = pandas.DataFrame(
            {"label": pandas.Categorical([CLASSES[y] for y in Y]), "split": [PARTS[part] for part in RANK]}, index=IDS
        )
        found = anndata.AnnData(X=sparse.csr_matrix(X.astype(np.float32)), obs=obs)
        found.obsp["connectivities"] = sparse.csr_matrix(adjacency())
        found.write_h5ad(folder / "graph.h5ad")
    return [folder / "graph.h5ad"]


SINGLE = [graphml, gexf, gml, edgelist, matrix_market, platonov, gnn_benchmark, processed, annotated]
"""Makers of graphs in one file, which is the first that they return."""
FOLDERS = [dgl, ogb, geom_gcn]
