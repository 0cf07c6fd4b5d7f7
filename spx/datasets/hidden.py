"""A part of the nodes hidden in training, with all their edges: how a network does on nodes that come later."""

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spx.datasets.types import NodeDataset, Split
from spx.errors import DatasetError


def hidden_nodes(num_nodes: int, share: float, seed: int) -> Tensor:
    """Round(share * N) nodes, drawn uniformly: sorted int64, the same for the same arguments."""
    order = torch.randperm(num_nodes, generator=torch.Generator().manual_seed(seed))
    return order[: round(share * num_nodes)].sort().values


def without_nodes(dataset: NodeDataset, hidden: Tensor) -> NodeDataset:
    """The dataset of all other nodes: the edges among them, their labels, and what is left of the split.

    Nodes keep their names; where they have none, their numbers in the whole graph are their names from now on. Numbers
    of a table stay scaled by the training nodes of the whole graph.

    Raises:
        DatasetError: no training, validation or test node is left.
    """
    keep = torch.ones(dataset.num_nodes, dtype=torch.bool)
    keep[hidden] = False
    kept = keep.nonzero().flatten()
    number = keep.cumsum(0) - 1
    source, target = dataset.edge_index
    among_kept = keep[source] & keep[target]
    split = Split(*(number[part[keep[part]]] for part in dataset.split))
    for name, part in split._asdict().items():
        if not part.numel():
            raise DatasetError(f"no {name} node is left with {hidden.numel():,} of the nodes hidden: hide fewer")
    names = pl.Series(np.arange(dataset.num_nodes)) if dataset.node_ids is None else dataset.node_ids
    return dataset._replace(
        x=dataset.x[kept],
        edge_index=number[dataset.edge_index[:, among_kept]],
        y=dataset.y[kept],
        edge_weight=None if dataset.edge_weight is None else dataset.edge_weight[among_kept],
        split=split,
        node_ids=names.gather(kept.numpy()),
        features_file=None,
        table_digest=None,
    )
