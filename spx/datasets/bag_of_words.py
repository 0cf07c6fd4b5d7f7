"""Graphs of the gnn-benchmark collection (Shchur et al., arXiv 1811.05868): two CSR matrices in an .npz."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from spx.datasets.types import GraphTensors
from spx.graph.features import SparseFeatures


def parse_bag_of_words(raw: Path, _scratch: Path, *, file: str) -> GraphTensors:
    """Read one graph as PyG's `read_npz` does, but for the features, which stay the entries that they are.

    file  the .npz: matrices `attr`, of which what is above zero counts as 1, and `adj`; classes `labels`

    Edges are undirected, without self-loops and duplicates.
    """
    from torch_geometric.utils import remove_self_loops, to_undirected

    with np.load(raw / file) as arrays:
        attributes, edges, labels = _matrix(arrays, "attr"), _matrix(arrays, "adj").tocoo(), arrays["labels"]
    x = SparseFeatures.from_scipy(attributes)
    x.values[x.values > 0] = 1
    ends = torch.stack([torch.from_numpy(end).to(torch.int64) for end in (edges.row, edges.col)])
    edge_index = to_undirected(remove_self_loops(ends)[0], num_nodes=len(x))
    return GraphTensors(x, edge_index, torch.from_numpy(labels).to(torch.int64))


def _matrix(arrays: Mapping[str, np.ndarray], name: str):
    from scipy.sparse import csr_matrix

    data, indices, indptr, shape = (arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr", "shape"))
    return csr_matrix((data, indices, indptr), tuple(shape))
