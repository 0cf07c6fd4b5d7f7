"""Untrained networks over small graphs, and what a pass over the whole graph gives."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import sample_neighbors
from spx.nn.functional import as_rows
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

NUM_NODES, NUM_FEATURES, NUM_CLASSES = 40, 5, 3


def make_network(num_layers: int = 3, **settings: object) -> GraphTransformer:
    """In evaluation mode and float64, with running statistics away from their start."""
    torch.manual_seed(3)
    usual = {"width": 8, "num_layers": num_layers, "num_heads": 2}
    network = GraphTransformer(NUM_FEATURES, NUM_CLASSES, TransformerSettings(**usual | settings))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval().double()


def make_graph() -> AttentionGraph:
    """Edges of all three types, a row without a graph edge, and in row 5 an expander edge beside a graph edge."""
    edge_index = torch.randint(1, NUM_NODES, (2, 3 * NUM_NODES), generator=torch.Generator().manual_seed(0))
    expander = build_expander(NUM_NODES, 1, seed=0)
    beside = torch.tensor([[int(expander[5, 0])], [5]])
    return augment(torch.cat((edge_index, beside), 1), NUM_NODES, expander)


def make_draw(number: int = 0, degrees: Sequence[int] = (4, 3, 2)) -> list[AttentionGraph]:
    """Sampled tables as rows; some have one edge twice."""
    return [as_rows(sample_neighbors(make_graph(), None, k, 10 * number + k, "uniform")) for k in degrees]


def features() -> Tensor:
    return torch.randn(NUM_NODES, NUM_FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def without_edge(layers: Sequence[AttentionGraph], target: int, source: int, edge_type: int) -> list[AttentionGraph]:
    """The rows with all slots of one edge taken out of the target's, edge by edge."""
    changed = []
    for rows in layers:
        edges = zip(rows.rows().tolist(), rows.source.tolist(), rows.edge_type.tolist(), strict=True)
        kept = [edge for edge in edges if edge != (target, source, edge_type)]
        indptr = torch.tensor([sum(row < node for row, *_ in kept) for node in range(rows.num_nodes + 1)])
        sources, types = (torch.tensor([edge[part] for edge in kept]) for part in (1, 2))
        changed.append(AttentionGraph(indptr, sources.int(), types.byte()))
    return changed
