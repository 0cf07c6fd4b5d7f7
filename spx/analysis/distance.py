"""How alike two networks' attention is: their agreement, the energy distance of Appendix F ("Even Sparser Graph
Transformers") and its baselines, and the agreement of ranks. N nodes, M attention edges, R networks.

For distributions p and q over the d edges of one node, under the discrete metric [x != y],

    D^2 = 2 E[X != Y] - E[X != X'] - E[Y != Y'] = sum_j (p_j - q_j)^2        X, X' ~ p and Y, Y' ~ q

without a unit, from 0 (the same) to 2 (each all on one edge, not the same one). Parallel edges of different types are
edges of their own. Nodes of fewer than two edges have no choice: they give nan, and drop out of the means.

The distance mixes two things, how sharp the two are and whether they choose the same edges. With u uniform in each row,
a = |p - u| and b = |q - u| over all rows, and the agreement r, the correlation of p - u and q - u,

    D^2 = a^2 + b^2 - 2 r a b,    while uniform scores are at b^2 from q

so p is nearer to q than uniform scores are only where r > a / (2 b): above 0.5 where both are as sharp, and the less
sharp p is the less it has to agree. The agreement alone asks whether they choose the same edges.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from spx.analysis.row_ranges import RowRange, check_edges, per_row, ranges_of, row_sums, sorted_in_rows, with_choice
from spx.graph.csr import AttentionGraph
from spx.graph.segments import segment_sum

RandomScores = Literal["normal logits", "uniform logits", "dirichlet"]
ROUNDING = 1e-6
"""Scores whose |p - u| is below this share of |u| count as uniform: float32 holds no more."""


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


class Likeness(NamedTuple):
    """Of each two of R networks, symmetric.

    Args:
        distance: mean energy distance over the nodes with a choice, [R, R] float64 in [0, 2]; nan if no node has one.
        agreement: correlation of p - u, [R, R] float64 in [-1, 1]; nan for scores that are uniform to rounding.
    """

    distance: Tensor
    agreement: Tensor


def likeness(graph: AttentionGraph, scores_R: Sequence[Tensor]) -> Likeness:
    """How far each two of R networks are apart, and how far they attend to the same edges.

    With u_ij = 1 / d_i uniform in each row, all from the Gram matrix G_rs = sum_ij (p^r_ij - u_ij) (p^s_ij - u_ij), one
    matrix product for all pairs:

        distance_rs = (G_rr + G_ss - 2 G_rs) / nodes,    agreement_rs = G_rs / sqrt(G_rr G_ss)

    p - u has the mean 0 in each row, so this is its correlation over all edges: 1 for the same edges whatever the
    sharpness, 0 in the mean for scores in random order. Nodes count as much as they attend sharply.

    Args:
        graph: the attention graph of all.
        scores_R: R times [M], each row summing to one.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)  # 0 attends to 1, 2 and itself
        >>> weights = torch.tensor([0.5, 0.25, 0.25, 1.0, 0.0, 1.0])  # rows of 3, 2 and 1 edges
        >>> likeness(graph, [weights, 0.5 * weights + 0.5 * torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.5, 0.5, 1])]).agreement
        tensor([[1.0000, 1.0000],
                [1.0000, 1.0000]], dtype=torch.float64)
    """
    for scores in scores_R:
        check_edges(graph, scores)
    number, device = len(scores_R), graph.indptr.device
    gram, uniform = torch.zeros(number, number, dtype=torch.float64, device=device), 0.0
    for part in ranges_of(graph, chunk_edges=1 << 20):
        u = (1 / part.indptr.diff().double())[part.of_edge()]
        centred = torch.stack([scores[part.edges].double() - u for scores in scores_R])
        gram += centred @ centred.T
        uniform += float(u.square().sum())
    nodes, norms = with_choice(graph).sum(), gram.diagonal().clone()
    distance = (norms[:, None] + norms - 2 * gram).clamp_(min=0) / nodes  # 0 / 0 gives nan
    norms[norms <= ROUNDING**2 * uniform] = torch.nan
    agreement = (gram / (norms[:, None] * norms).sqrt()).clamp_(-1, 1)
    return Likeness(distance.fill_diagonal_(0) if nodes else distance, agreement)


def distance_to_uniform(graph: AttentionGraph, p: Tensor) -> Tensor:
    """Energy distance to uniform attention, sum_j p_ij^2 - 1 / d_i: [N] in [0, 1), nan without a choice."""
    degrees = graph.degrees().double()
    return _without_choice_nan(graph, row_sums(graph, p.double().square()) - 1 / degrees)


def random_scores(graph: AttentionGraph, kind: RandomScores, seed: int) -> Tensor:
    """Scores that know nothing, drawn anew for each row: [M] float32.

    "normal logits": softmax of N(0, 1); "uniform logits": softmax of U(0, 1), nearly uniform scores; "dirichlet":
    Dirichlet(1, ..., 1), uniform on the simplex, as exponentials over their sum. In long rows their squares sum to
    2.72, 1.08 and 2 times those of uniform scores.
    """
    mass = torch.empty(graph.num_edges)
    generator = torch.Generator().manual_seed(seed)
    if kind == "dirichlet":
        mass.exponential_(generator=generator)
    else:
        (mass.normal_ if kind == "normal logits" else mass.uniform_)(generator=generator).exp_()
    mass = mass.to(graph.indptr.device)
    return (mass / row_sums(graph, mass).float()[graph.rows()]) if graph.num_edges else mass


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
