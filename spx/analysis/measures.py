"""Measures of attention scores over CSR rows. N nodes, M attention edges, C classes.

They go through the edges in ranges, so that their own memory doesn't grow with M. Distances between networks stand in
`spx.analysis.distance`, what the scores have to do with the graph's structure in `spx.analysis.structure`, what a
sampled graph keeps in `spx.analysis.choice`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from spx.analysis.row_ranges import CHUNK_EDGES, check_edges, per_row, ranges_of, sorted_in_rows
from spx.graph.csr import AttentionGraph, EdgeType
from spx.graph.segments import segment_sum
from spx.kernels.formula import NUM_EDGE_TYPES


def normalized_entropy(graph: AttentionGraph, weights: Tensor) -> Tensor:
    """Entropy of each row over the logarithm of its degree: -sum_j p_ij ln p_ij / ln d_i, [N] in [0, 1].

    1 is uniform attention, 0 all on one edge. Rows of fewer than two edges have no choice and give nan.

    Args:
        graph: the attention graph.
        weights: [M], each row summing to one.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)  # 0 attends to 1, 2 and itself
        >>> weights = torch.tensor([0.5, 0.25, 0.25, 1.0, 0.0, 1.0])  # rows of 3, 2 and 1 edges
        >>> normalized_entropy(graph, weights)
        tensor([0.9464, 0.0000,    nan])
    """
    entropy = per_row(graph, lambda part, p: segment_sum(torch.special.entr(p.float()), part.indptr), weights)
    degrees = graph.degrees()
    return torch.where(degrees > 1, entropy / degrees.float().log(), torch.nan)


def top_k_mass(graph: AttentionGraph, weights: Tensor, ks: Sequence[int]) -> Tensor:
    """Share of each row's attention that its k largest scores hold, for each k: [N, len(ks)] in [0, 1].

    The sum of the k largest p_ij; 1 for rows of at most k edges, nan for empty ones. Uniform attention gives k / d_i.

    Args:
        graph: the attention graph.
        weights: [M], each row summing to one.
        ks: numbers of edges, each at least 1.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)  # 0 attends to 1, 2 and itself
        >>> weights = torch.tensor([0.5, 0.25, 0.25, 1.0, 0.0, 1.0])  # rows of 3, 2 and 1 edges
        >>> top_k_mass(graph, weights, ks=[1, 2])
        tensor([[0.5000, 0.7500],
                [1.0000, 1.0000],
                [1.0000, 1.0000]], dtype=torch.float64)
    """

    def of_range(part, p: Tensor) -> Tensor:
        p, rows = p.double(), part.of_edge()
        largest_first = p[sorted_in_rows(part.indptr, p, descending=True)]
        place = torch.arange(p.numel(), device=p.device) - part.indptr[rows]
        held = torch.stack([segment_sum(largest_first * (place < k), part.indptr) for k in ks], dim=1)
        return torch.where(part.indptr.diff()[:, None] > 0, held.clamp(max=1), torch.nan)

    return per_row(graph, of_range, weights)


def edge_type_shares(graph: AttentionGraph, weights: Tensor) -> Tensor:
    """Share of all attention that runs along graph edges, expander edges and self-loops: [3], summing to one; nan where
    there is no attention.

    Args:
        graph: the attention graph.
        weights: [M], non-negative.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)  # 0 attends to 1, 2 and itself
        >>> weights = torch.tensor([0.5, 0.25, 0.25, 1.0, 0.0, 1.0])  # rows of 3, 2 and 1 edges
        >>> edge_type_shares(graph, weights)  # graph edges, expander edges, self-loops
        tensor([0.5833, 0.0000, 0.4167], dtype=torch.float64)
    """
    mass = edge_type_mass(graph, weights)
    return mass / mass.sum()


def edge_type_mass(graph: AttentionGraph, weights: Tensor) -> Tensor:
    """Sum of the weights [M] over graph edges, expander edges and self-loops: [3] float64."""
    check_edges(graph, weights)
    mass = torch.zeros(NUM_EDGE_TYPES, dtype=torch.float64, device=weights.device)
    for types, part in zip(graph.edge_type.split(CHUNK_EDGES), weights.split(CHUNK_EDGES), strict=True):
        mass += torch.bincount(types.long(), part.double(), minlength=NUM_EDGE_TYPES)
    return mass


def class_mass(graph: AttentionGraph, weights: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Attention by class of the attending node, whether the node attended to is of the same class, and edge type.

    [C, 2, 3] float64: the sum of p_ij over the edges of that kind; the middle index is 1 for the same class. Shares by
    type, by class and from the same class are ratios of its sums. With all weights 1 it counts edges.

    Args:
        graph: the attention graph.
        weights: [M], non-negative.
        labels: [N] int64 classes; a negative one belongs to no class: its row is left out, and an edge to it counts as
            one to another class.
        num_classes: C.
    """
    check_edges(graph, weights)
    mass = torch.zeros(num_classes * 2 * NUM_EDGE_TYPES, dtype=torch.float64, device=weights.device)
    for part in ranges_of(graph):
        attending = labels[part.rows][part.of_edge()]
        known = attending >= 0
        same = labels[graph.source[part.edges].long()] == attending
        kind = (attending * 2 + same) * NUM_EDGE_TYPES + graph.edge_type[part.edges]
        mass += torch.bincount(kind[known], weights[part.edges][known].double(), minlength=mass.numel())
    return mass.view(num_classes, 2, NUM_EDGE_TYPES)


def same_class_share(mass: Tensor, types: Sequence[EdgeType] = (EdgeType.GRAPH, EdgeType.EXPANDER)) -> Tensor:
    """Share of the attention along edges of the given types that goes to nodes of the attending node's own class.

    In [0, 1], nan where no attention runs along them. With the mass of unit weights over graph edges alone it is the
    edge homophily of the graph.

    Args:
        mass: [..., 2, 3] of `class_mass`, for each class or summed over them.
        types: edge types that count; self-loops, always of the same class, by default don't.

    Example:
        >>> import torch
        >>> from spx.graph.csr import augment
        >>> graph = augment(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)  # 0 attends to 1, 2 and itself
        >>> weights = torch.tensor([0.5, 0.25, 0.25, 1.0, 0.0, 1.0])  # rows of 3, 2 and 1 edges
        >>> mass = class_mass(graph, weights, torch.tensor([0, 0, 1]), num_classes=2)
        >>> same_class_share(mass.sum(0))  # of all classes together
        tensor(0.8571, dtype=torch.float64)
    """
    chosen = mass[..., list(types)].sum(-1)
    return chosen[..., 1] / chosen.sum(-1)


def adjusted_homophily(graph: AttentionGraph, labels: Tensor, num_classes: int) -> float:
    """Edge homophily beyond what the classes' sizes give by chance, over graph edges: at most 1, 0 by chance.

        (h - sum_c a_c b_c) / (1 - sum_c a_c b_c)

    with h the share of edges within a class, and a_c, b_c the shares of edges that leave from and lead to class c
    (Newman, 2003; for undirected graphs the adjusted homophily of Platonov et al., NeurIPS 2023). nan without edges or
    with a single class.
    """
    edges = graph.select(EdgeType.GRAPH)
    attending, source = labels[edges.rows()], labels[edges.source.long()]
    known = (attending >= 0) & (source >= 0)
    attending, source = attending[known], source[known]
    if not attending.numel():
        return float("nan")
    shares = [torch.bincount(side, minlength=num_classes).double() / side.numel() for side in (attending, source)]
    by_chance = float(shares[0] @ shares[1])
    return (float((attending == source).double().mean()) - by_chance) / (1 - by_chance) if by_chance < 1 else torch.nan


def degree_bins(degrees: Tensor) -> Tensor:
    """Number b of the bin [2^b, 2^(b+1)) of each degree, int64; -1 for degree 0."""
    return torch.where(degrees > 0, degrees.clamp(min=1).double().log2().floor().long(), -1)


def bin_means(values: Tensor, bins: Tensor, num_bins: int) -> tuple[Tensor, Tensor]:
    """Mean of the finite values in each bin, [bins] float64 (nan where there is none), and their number [bins] int64.

    Args:
        values: [N].
        bins: [N] int64; negative: in no bin.
        num_bins: number of bins.
    """
    counted = values.isfinite() & (bins >= 0)
    bins, values = bins[counted], values[counted].double()
    number = torch.bincount(bins, minlength=num_bins)
    return torch.bincount(bins, values, minlength=num_bins) / number, number
