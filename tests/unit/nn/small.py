"""A small graph, its table and networks over it, for the tests of networks and of their layers."""

import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import NeighborTable, sample_neighbors
from spx.nn.functional import Neighborhood
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

NUM_NODES, NUM_FEATURES, NUM_OUTPUTS = 20, 6, 3


def graph() -> AttentionGraph:
    edge_index = torch.randint(0, NUM_NODES, (2, 60), generator=torch.Generator().manual_seed(0))
    return augment(edge_index, NUM_NODES, build_expander(NUM_NODES, 1, seed=0))


def table(k: int = 4, seed: int = 0) -> NeighborTable:
    return sample_neighbors(graph(), None, k, seed, "uniform")


def neighborhood_of(layout: str) -> Neighborhood:
    return graph() if layout == "ragged" else table()


def features() -> Tensor:
    return torch.randn(NUM_NODES, NUM_FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def network(**settings: object) -> GraphTransformer:
    """A small network in float64, each parameter away from its start."""
    settings = {"width": 8, "num_layers": 2, "num_heads": 2} | settings
    torch.manual_seed(0)
    net = GraphTransformer(NUM_FEATURES, NUM_OUTPUTS, TransformerSettings(**settings)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net
