"""What a user should know of a graph before training on it, counted over tensors.

Letters: N nodes, E edges, M attention edges.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spx.datasets.types import NodeDataset
from spx.graph.csr import distinct_edges
from spx.graph.expander import ALL_PAIRS_NODES
from spx.graph.features import Features, SparseFeatures, row_chunks


class EdgeFacts(NamedTuple):
    """Of a dataset's edges.

    Args:
        given: E, as the dataset holds them.
        distinct: E', without duplicates and self-loops: what the attention graph takes.
        duplicates, self_loops: what is left out.
        reciprocal: share of the distinct edges whose reverse is there too; 1 is an undirected graph.
        isolated: nodes without an edge in either direction.
        components: weakly connected parts, isolated nodes included.
        degrees: least, median, mean and largest number of distinct edges that end at a node.
        homophily: share of the distinct edges between labelled nodes of one class; None for several labels.
    """

    given: int
    distinct: int
    duplicates: int
    self_loops: int
    reciprocal: float
    isolated: int
    components: int
    degrees: tuple[int, float, float, int]
    homophily: float | None


def edge_facts(dataset: NodeDataset) -> EdgeFacts:
    """Count; in the order of sorting E numbers."""
    import numpy as np
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    num_nodes, (source, target) = dataset.num_nodes, dataset.edge_index
    indptr, sources = distinct_edges(dataset.edge_index, num_nodes)
    rows = torch.repeat_interleave(indptr.diff(), output_size=sources.numel())
    self_loops = int((source == target).sum())
    sources = sources.long()
    reciprocal = 2 * (1 - _num_pairs(rows, sources, num_nodes) / sources.numel()) if sources.numel() else 1.0
    matrix = csr_matrix(
        (np.ones(sources.numel(), np.int8), sources.int().numpy(), indptr.int().numpy()), shape=(num_nodes, num_nodes)
    )
    touched = indptr.diff() > 0
    touched[sources] = True
    degrees = indptr.diff()
    spread = degrees.double()
    return EdgeFacts(
        given=source.numel(),
        distinct=sources.numel(),
        duplicates=source.numel() - self_loops - sources.numel(),
        self_loops=self_loops,
        reciprocal=reciprocal,
        isolated=int((~touched).sum()),
        components=int(connected_components(matrix, directed=True, connection="weak")[0]),
        degrees=(int(degrees.min()), float(spread.median()), float(spread.mean()), int(degrees.max())),
        homophily=_homophily(dataset, rows, sources),
    )


def weight_row(dataset: NodeDataset) -> dict[str, str]:
    """What the edges' weights are, under the name of its line; nothing of a dataset without."""
    weight = dataset.edge_weight
    if weight is None:
        return {}
    of_all = weight.numel() + dataset.zero_weights
    if not weight.numel():
        return {"edge weights": f"all of {of_all:,} are zeros, which are no edges"}
    low, high = weight.aminmax()
    share = dataset.zero_weights / of_all
    return {
        "edge weights": f"from {low:.4g} to {high:.4g}, mean {weight.double().mean():.4g}; {share:.1%} zeros, left out"
    }


def _num_pairs(rows: Tensor, sources: Tensor, num_nodes: int) -> int:
    """How many pairs of nodes have an edge, in either direction."""
    pairs = (torch.minimum(rows, sources) * num_nodes + torch.maximum(rows, sources)).numpy()
    pairs.sort()  # several times as fast as torch's
    return 1 + int((pairs[1:] != pairs[:-1]).sum())


def _homophily(dataset: NodeDataset, rows: Tensor, sources: Tensor) -> float | None:
    if dataset.task != "multiclass":
        return None
    y = dataset.y.to(torch.int32)  # half as much to gather for each edge
    mine, theirs = y[rows], y[sources]
    labelled = (mine >= 0) & (theirs >= 0)
    num_labelled = int(labelled.sum())
    return int(((mine == theirs) & labelled).sum()) / num_labelled if num_labelled else None


class FeatureFacts(NamedTuple):
    """Of the features [N, F]: their range, mean, share of zeros, and columns that hold one value only."""

    low: float
    high: float
    mean: float
    zeros: float
    constant: int


def feature_facts(x: Features) -> FeatureFacts:
    """Count over [N, F], a block of rows at a time where they are dense."""
    if not x.size(1):
        return FeatureFacts(0.0, 0.0, 0.0, 0.0, 0)
    if isinstance(x, SparseFeatures):
        return _facts_of_entries(x)
    low, high = torch.full((x.size(1),), torch.inf), torch.full((x.size(1),), -torch.inf)
    total, zeros = 0.0, 0
    for rows in row_chunks(x):
        low, high = torch.minimum(low, rows.amin(0)), torch.maximum(high, rows.amax(0))
        total, zeros = total + float(rows.double().sum()), zeros + int((rows == 0).sum())
    cells = max(1, x.numel())
    return FeatureFacts(float(low.min()), float(high.max()), total / cells, zeros / cells, int((low == high).sum()))


def _facts_of_entries(x: SparseFeatures) -> FeatureFacts:
    matrix = x.to_scipy()
    low, high = (torch.from_numpy(each(axis=0).toarray()[0]) for each in (matrix.min, matrix.max))
    mean, zeros = float(x.values.double().sum()) / x.numel(), 1 - int(x.values.count_nonzero()) / x.numel()
    return FeatureFacts(float(low.min()), float(high.max()), mean, zeros, int((low == high).sum()))


def memory_of_features(x: Features) -> str:
    """What they take in the form that they have, and in the other one: "0.4 MB, sparse (dense: 28.3 MB)"."""
    if not isinstance(x, SparseFeatures):
        return f"{x.nbytes / 1e6:,.1f} MB, dense"
    return f"{x.nbytes / 1e6:,.1f} MB, sparse (dense: {x.numel() * x.dtype.itemsize / 1e6:,.1f} MB)"


def class_counts(dataset: NodeDataset) -> tuple[Tensor, int]:
    """Nodes of each class, or nodes that have each label, [C] int64; and the nodes without any label."""
    if dataset.task == "multilabel":
        split = torch.cat(dataset.split)
        return (dataset.y[split] == 1).sum(0), dataset.num_nodes - split.numel()
    labelled = dataset.y >= 0
    return torch.bincount(dataset.y[labelled], minlength=dataset.num_classes), int((~labelled).sum())


def attention_edges(distinct: int, num_nodes: int, expander_degree: int, self_loops: bool = True) -> int:
    """M: what augmenting gives, without building it."""
    added = num_nodes - 1 if num_nodes <= ALL_PAIRS_NODES else 2 * expander_degree
    return distinct + num_nodes * ((added if expander_degree else 0) + self_loops)
