"""A graph small enough to do sums over by hand."""

import pytest
import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph


@pytest.fixture
def graph() -> AttentionGraph:
    """5 nodes; rows of 2, 0, 4, 1 and 3 edges."""
    return AttentionGraph(
        indptr=torch.tensor([0, 2, 2, 6, 7, 10]),
        source=torch.tensor([0, 1, 0, 1, 2, 3, 4, 0, 1, 4], dtype=torch.int32),
        edge_type=torch.tensor([2, 0, 0, 0, 2, 1, 0, 1, 0, 2], dtype=torch.uint8),
    )


@pytest.fixture
def scores() -> Tensor:
    """Scores over `graph`, [10]."""
    return torch.tensor([0.5, 0.5, 0.1, 0.2, 0.3, 0.4, 1.0, 0.7, 0.2, 0.1])


@pytest.fixture
def others() -> Tensor:
    """Other scores over `graph`, [10]."""
    return torch.tensor([0.25, 0.75, 0.4, 0.3, 0.2, 0.1, 1.0, 0.2, 0.2, 0.6])


def random_scores(graph: AttentionGraph, seed: int) -> Tensor:
    mass = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(seed)) + 1e-3
    sums = torch.zeros(graph.num_nodes).index_add_(0, graph.rows(), mass)
    return mass / sums[graph.rows()]


def random_graph(num_nodes: int, degree: int, seed: int = 0) -> AttentionGraph:
    """Rows of 0 to `degree` edges, of all types."""
    generator = torch.Generator().manual_seed(seed)
    degrees = torch.randint(0, degree + 1, (num_nodes,), generator=generator)
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), degrees.cumsum(0)))
    number = int(indptr[-1])
    source = torch.randint(num_nodes, (number,), generator=generator).to(torch.int32)
    return AttentionGraph(indptr, source, torch.randint(3, (number,), generator=generator).to(torch.uint8))
