"""How far two networks' attention is apart: the energy distance of Appendix F ("Even Sparser Graph Transformers"),
its baselines, and the agreement of ranks. N nodes, M attention edges, R networks.

For distributions p and q over the d edges of one node, under the discrete metric [x != y],

    D^2 = 2 E[X != Y] - E[X != X'] - E[Y != Y'] = sum_j (p_j - q_j)^2        X, X' ~ p and Y, Y' ~ q

without a unit, from 0 (the same) to 2 (each all on one edge, not the same one). Parallel edges of different types are
edges of their own. Nodes of fewer than two edges have no choice: they give nan, and drop out of the means.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from spx.analysis.row_ranges import RowRange, check_edges, per_row, ranges_of, row_sums, sorted_in_rows, with_choice
from spx.graph.csr import AttentionGraph
from spx.graph.segments import segment_sum


def energy_distance(graph: AttentionGraph, p: Tensor, q: Tensor) -> Tensor:
    """D^2 = sum_j (p_ij - q_ij)^2 of each node, [N] float64 in [0, 2]; nan without a choice.

    Args:
        graph: the attention graph of both.
        p, q: [M], each row summing to one.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)  # 0 attends to 1, 2 and itself
        >>> weights = torch.tensor([0.5, 0.25, 0.25, 1.0, 0.0, 1.0])  # rows of 3, 2 and 1 edges
        >>> energy_distance(graph, weights, torch.tensor([0.25, 0.5, 0.25, 0.5, 0.5, 1.0]))
        tensor([0.1250, 0.5000,    nan], dtype=torch.float64)
    """
    squares = per_row(graph, lambda part, a, b: segment_sum((a.double() - b.double()).square(), part.indptr), p, q)
    return _without_choice_nan(graph, squares)


def mean_energy_distances(graph: AttentionGraph, scores_R: Sequence[Tensor]) -> Tensor:
    """Mean over the nodes with a choice of the energy distance between each two of R networks: [R, R] float64.

    By the Gram matrix G_rs = sum_ij p^r_ij p^s_ij, as D^2_rs = (G_rr + G_ss - 2 G_rs) / nodes: one matrix product for
    all pairs. Symmetric, 0 on the diagonal; nan if no node has a choice.

    Args:
        graph: the attention graph of all.
        scores_R: R times [M], each row summing to one.
    """
    choice = with_choice(graph)
    gram = torch.zeros(len(scores_R), len(scores_R), dtype=torch.float64, device=graph.indptr.device)
    for part, scores in _stacked(graph, scores_R):
        scores = scores * choice[part.rows][part.of_edge()]
        gram += scores @ scores.T
    norms = gram.diagonal()
    distances = (norms[:, None] + norms - 2 * gram).clamp_(min=0) / choice.sum()
    return distances.fill_diagonal_(0) if choice.any() else torch.full_like(distances, torch.nan)


def distance_to_uniform(graph: AttentionGraph, p: Tensor) -> Tensor:
    """Energy distance to uniform attention, sum_j p_ij^2 - 1 / d_i: [N] in [0, 1), nan without a choice."""
    degrees = graph.degrees().double()
    return _without_choice_nan(graph, row_sums(graph, p.double().square()) - 1 / degrees)


def distance_to_random(graph: AttentionGraph, p: Tensor) -> Tensor:
    """Expected energy distance to scores drawn uniformly from the simplex (Dirichlet(1, ..., 1)): [N] in (0, 2).

    E = sum_j p_ij^2 - 2 / d_i + 2 / (d_i + 1), since E[q_j] = 1 / d and E[q_j^2] = 2 / (d (d + 1)). In closed form,
    so the baseline has no noise of its own.
    """
    degrees = graph.degrees().double()
    return _without_choice_nan(graph, row_sums(graph, p.double().square()) - 2 / degrees + 2 / (degrees + 1))


def distance_to_shuffled(graph: AttentionGraph, p: Tensor) -> Tensor:
    """Expected energy distance to the same scores in random order within each row, 2 (sum_j p_ij^2 - 1 / d_i): [N].

    As sharp as p, but about other edges: a network closer to p than this has found some of p's edges. In [0, 2).
    """
    return 2 * distance_to_uniform(graph, p)


def row_ranks(graph: AttentionGraph, values: Tensor) -> Tensor:
    """Rank of each edge among its row's, from 0 for the smallest; equal values share their mean rank: [M] float64."""
    return per_row(graph, _ranks, values)


def rank_agreement(graph: AttentionGraph, p: Tensor, q: Tensor) -> Tensor:
    """Spearman's rank correlation of two scores of each node's edges, [N] float64 in [-1, 1].

    Pearson's correlation of `row_ranks`; nan where p or q is the same on all edges, and without a choice.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)  # 0 attends to 1, 2 and itself
        >>> weights = torch.tensor([0.5, 0.25, 0.25, 1.0, 0.0, 1.0])  # rows of 3, 2 and 1 edges
        >>> rank_agreement(graph, weights, torch.tensor([0.25, 0.5, 0.25, 0.9, 0.1, 1.0]))
        tensor([-0.5000,  1.0000,     nan], dtype=torch.float64)
    """

    def of_range(part: RowRange, p: Tensor, q: Tensor) -> Tensor:
        a, b = _standard_ranks(part, p), _standard_ranks(part, q)
        defined = _varies(part, a) & _varies(part, b)
        return torch.where(defined, segment_sum(a * b, part.indptr), torch.nan)

    return per_row(graph, of_range, p, q)


def mean_rank_agreements(graph: AttentionGraph, scores_R: Sequence[Tensor]) -> Tensor:
    """Mean of `rank_agreement` over the nodes where it is defined, between each two of R networks: [R, R] float64."""
    size = (len(scores_R), len(scores_R))
    products, defined = (torch.zeros(size, dtype=torch.float64, device=graph.indptr.device) for _ in range(2))
    for part, scores in _stacked(graph, scores_R):
        ranks = torch.stack([_standard_ranks(part, each) for each in scores])
        varies = torch.stack([_varies(part, each) for each in ranks]).double()
        products += ranks @ ranks.T
        defined += varies @ varies.T
    return products / defined  # 0 / 0 gives nan


def _stacked(graph: AttentionGraph, scores_R: Sequence[Tensor]) -> Iterator[tuple[RowRange, Tensor]]:
    """Ranges of rows with the [R, m] float64 scores of all networks over their m edges."""
    for scores in scores_R:
        check_edges(graph, scores)
    for part in ranges_of(graph, chunk_edges=1 << 20):
        yield part, torch.stack([scores[part.edges].double() for scores in scores_R])


def _standard_ranks(part: RowRange, values: Tensor) -> Tensor:
    """Ranks of each row brought to mean 0 and unit length, [m]; 0 in rows of equal values."""
    rows, degrees = part.of_edge(), part.indptr.diff()
    centred = _ranks(part, values) - ((degrees - 1) / 2)[rows]
    length = segment_sum(centred.square(), part.indptr).sqrt()[rows]
    return torch.where(length > 0, centred / length, 0)


def _varies(part: RowRange, standard_ranks: Tensor) -> Tensor:
    return segment_sum(standard_ranks.square(), part.indptr) > 0


def _ranks(part: RowRange, values: Tensor) -> Tensor:
    rows, order = part.of_edge(), sorted_in_rows(part.indptr, values)
    ordered, place = values[order], torch.arange(values.numel(), device=values.device) - part.indptr[rows]
    first = torch.ones_like(order, dtype=torch.bool)  # of a group of equal values in one row
    first[1:] = (ordered[1:] != ordered[:-1]) | (rows[1:] != rows[:-1])
    group = first.cumsum(0) - 1
    size = torch.bincount(group)
    ranks = torch.empty_like(values, dtype=torch.float64)
    ranks[order] = (place[first].double() + (size - 1) / 2)[group]
    return ranks


def _without_choice_nan(graph: AttentionGraph, values: Tensor) -> Tensor:
    return torch.where(with_choice(graph), values.clamp(min=0), torch.nan)
