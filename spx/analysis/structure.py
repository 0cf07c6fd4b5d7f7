"""What the scores have to do with the graph's structure: degrees and effective resistances. N nodes, M edges."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spx.analysis.row_ranges import check_edges
from spx.graph.csr import AttentionGraph, EdgeType

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

RESISTANCE_PROBES = 64  # random directions: a relative error of about sqrt(2 / 64) = 18% an edge
RESISTANCE_TOLERANCE = 1e-4


def relative_scores(graph: AttentionGraph, weights: Tensor) -> Tensor:
    """Each score over that of uniform attention, d_i p_ij: [M] from 0 to d_i; 1 is uniform."""
    check_edges(graph, weights)
    degrees = graph.degrees()
    return weights * torch.repeat_interleave(degrees.to(weights.dtype), degrees, output_size=graph.num_edges)


def graph_degrees(graph: AttentionGraph) -> Tensor:
    """In how many rows each node stands as the source of a graph edge: how many nodes could listen to it, [N] int64."""
    return torch.bincount(graph.source[graph.edge_type == EdgeType.GRAPH], minlength=graph.num_nodes)


def effective_resistances(graph: AttentionGraph, probes: int = RESISTANCE_PROBES, seed: int = 0) -> Tensor:
    """Effective resistance between the ends of each attention edge, [M] float64; 0 for self-loops.

        R_ij = (e_i - e_j)^T L^+ (e_i - e_j)

    with L the Laplacian of the attention edges without self-loops, each a unit resistor in both directions. From above
    0 to 1 for an edge of the graph: 1 for a bridge, little where many short detours lead around it. Sampling edges in
    proportion to it keeps a graph's spectrum (Spielman and Srivastava, 2008); their random projection estimates it:

        R_ij ~ |Z_i - Z_j|^2,  Z = L^+ B^T G / sqrt(probes)

    with B the edges' incidence matrix and G a matrix of random signs. Runs on the CPU: a linear system a probe, solved
    by conjugate gradients.

    Args:
        graph: the attention graph.
        probes: columns of G; the relative error is about sqrt(2 / probes).
        seed: of G.
    """
    from scipy.sparse import csr_matrix

    num_nodes, rows, source = graph.num_nodes, graph.rows().cpu(), graph.source.long().cpu()
    proper = rows != source
    low, high = torch.minimum(rows, source)[proper], torch.maximum(rows, source)[proper]
    key = (low * num_nodes + high).unique()  # each pair of nodes is one resistor, whatever edges join it
    low, high = key // num_nodes, key % num_nodes
    if not key.numel():
        return torch.zeros(graph.num_edges, dtype=torch.float64)
    ones = torch.ones(2 * key.numel(), dtype=torch.float64)
    ends = (torch.cat((low, high)).numpy(), torch.cat((high, low)).numpy())
    solve = _solver(csr_matrix((ones.numpy(), ends), shape=(num_nodes, num_nodes)))
    generator = torch.Generator().manual_seed(seed)
    projected = torch.zeros(num_nodes, probes, dtype=torch.float64)
    for column in range(probes):
        signs = torch.randint(2, (key.numel(),), generator=generator).double() * 2 - 1
        right = torch.zeros(num_nodes, dtype=torch.float64).index_add_(0, low, signs).index_add_(0, high, -signs)
        projected[:, column] = solve(right)
    gaps = (projected[rows] - projected[source]).square().sum(1) / probes
    return torch.where(proper, gaps, 0)


def _solver(adjacency: "csr_matrix") -> Callable[[Tensor], Tensor]:
    """What gives the Laplacian's pseudo-inverse times a vector that sums to zero in each connected part."""
    import numpy as np
    from scipy.sparse import diags
    from scipy.sparse.linalg import cg

    degrees = np.asarray(adjacency.sum(1)).ravel()
    laplacian, preconditioner = diags(degrees) - adjacency, diags(1 / np.maximum(degrees, 1))

    def solve(right: Tensor) -> Tensor:
        solution, _ = cg(laplacian, right.numpy(), rtol=RESISTANCE_TOLERANCE, M=preconditioner)
        return torch.from_numpy(solution)

    return solve
