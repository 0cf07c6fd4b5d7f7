"""Sampling a k-regular sparse graph from the attention graph (method of Spexphormer, arXiv 2411.16278).

For each node, k distinct attention edges are drawn from its row, successively and without replacement,
with probability proportional to their scores. The draw is the one of weighted reservoir sampling
(Efraimidis and Spirakis, 2006): of independent keys Exp(1) / p the k smallest are kept.

Letters: N nodes, M attention edges, K sampled degree.
"""

import hashlib
import itertools
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from spx.errors import ConfigError, DatasetError
from spx.graph.csr import AttentionGraph

SamplerName = Literal["attention", "uniform", "top"]

CHUNK_EDGES = 1 << 22  # edges whose keys are held at a time; part of the law of the draw: don't change lightly
SMALLEST_WEIGHT = 1e-30  # a score that underflowed to zero still ranks behind every other


class NeighborTable(NamedTuple):
    """A regular neighbourhood: each of N nodes attends to K sampled ones.

    Args:
        neighbors: [N, K] int32, the nodes attended to.
        edge_type: [N, K] uint8, see `spx.graph.csr.EdgeType`.
    """

    neighbors: Tensor
    edge_type: Tensor

    @property
    def num_nodes(self) -> int:
        return self.neighbors.shape[0]

    @property
    def num_edges(self) -> int:
        return self.neighbors.numel()


def draw_seed(seed: int, draw: int, layer: int) -> int:
    """Seed of one layer's draw: a hash of the run's seed, the number of the draw and the layer.

    Neighbouring arguments give unrelated random streams; every rank and every resumed run gets the same.
    """
    digest = hashlib.sha256(f"{seed}/{draw}/{layer}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def sample_neighbors(
    graph: AttentionGraph, weights: Tensor | None, k: int, seed: int, sampler: SamplerName = "attention"
) -> NeighborTable:
    """Draw the K attention edges of each node.

    Rows with fewer than K edges keep all of them. Their remaining slots are drawn from the same row with
    replacement, in proportion to the weights ("top": by repeating the ranked row from its start).

    Args:
        graph: the attention graph; every row must have an edge.
        weights: [M] non-negative scores; None for the sampler "uniform", which ignores them.
        k: K, at least 1.
        seed: of this draw (`draw_seed`); "top" draws nothing.
        sampler: "attention" in proportion to `weights`, "uniform", or "top", the K largest weights, which of
            equal ones the first.

    Returns:
        The table over all N nodes, on the device of the graph.

    Raises:
        ConfigError: K below 1, weights missing or of another length.
        DatasetError: a row without an edge.
    """
    if k < 1:
        raise ConfigError(f"k is {k}; each layer samples at least 1 neighbour per node.")
    if sampler != "uniform" and weights is None:
        raise ConfigError(f"The sampler '{sampler}' needs attention scores; only 'uniform' goes without.")
    if sampler != "uniform" and weights.shape != graph.source.shape:
        raise ConfigError(
            f"There are {weights.numel():,} scores for {graph.num_edges:,} attention edges: those of another graph."
        )
    degrees = graph.degrees()
    if (degrees == 0).any():
        node = int((degrees == 0).nonzero()[0])
        raise DatasetError(f"Node {node} has no attention edge to sample from. Augment with self-loops or an expander.")

    generator = torch.Generator(graph.indptr.device).manual_seed(seed)
    chosen = torch.empty(graph.num_nodes, k, dtype=torch.int64, device=graph.indptr.device)
    for start, stop in _row_chunks(graph.indptr):
        first, last = graph.indptr[start], graph.indptr[stop]
        local = graph.indptr[start : stop + 1] - first
        chunk_weights = _chunk_weights(weights, int(first), int(last), sampler, graph.indptr.device)
        chosen[start:stop] = first + _choose(local, chunk_weights, k, generator, random=sampler != "top")
    return NeighborTable(graph.source[chosen], graph.edge_type[chosen])


def _row_chunks(indptr: Tensor) -> list[tuple[int, int]]:
    """Consecutive ranges of rows of about `CHUNK_EDGES` edges each (a longer row stands alone)."""
    num_nodes, num_edges = indptr.numel() - 1, int(indptr[-1])
    marks = torch.arange(CHUNK_EDGES, max(num_edges, CHUNK_EDGES), CHUNK_EDGES, device=indptr.device)
    bounds = [0, *torch.searchsorted(indptr, marks).clamp_(1, num_nodes).unique().tolist(), num_nodes]
    return [(start, stop) for start, stop in itertools.pairwise(bounds) if start < stop]


def _chunk_weights(weights: Tensor | None, first: int, last: int, sampler: str, device: torch.device) -> Tensor:
    if sampler == "uniform":
        return torch.ones(last - first, device=device)
    return weights[first:last].to(device, torch.float32).clamp_min(SMALLEST_WEIGHT)


def _choose(indptr: Tensor, weights: Tensor, k: int, generator: torch.Generator, random: bool) -> Tensor:
    """Chosen edges of each row as positions in `weights`: [rows, k] int64.

    Rows are handled in groups of like degree (up to the next power of two), each a padded matrix, so that
    one top-k serves many rows and the padding never more than doubles the work.
    """
    degrees = indptr.diff()
    keys = torch.empty_like(weights).exponential_(generator=generator).div_(weights) if random else -weights
    fill = torch.rand(degrees.numel(), k, generator=generator, device=weights.device) if random else None
    chosen = torch.empty(degrees.numel(), k, dtype=torch.int64, device=weights.device)
    width_class = torch.log2(degrees.double()).ceil_().long()
    for exponent in width_class.unique().tolist():
        rows = (width_class == exponent).nonzero().squeeze(1)
        width = int(degrees[rows].max())
        columns = torch.arange(width, device=weights.device)
        inside = columns < degrees[rows, None]
        place = indptr[rows, None] + torch.where(inside, columns, 0)
        ranked = torch.where(inside, keys[place], torch.inf)
        best = _smallest(ranked, min(k, width), stable=not random)
        if degrees[rows].min() < k:
            best = _fill_short_rows(best, degrees[rows], torch.where(inside, weights[place], 0), k, fill, rows)
        chosen[rows] = indptr[rows, None] + best
    return chosen


def _smallest(keys: Tensor, k: int, stable: bool) -> Tensor:
    if stable:  # equal weights: the first ones, on every device
        return keys.sort(dim=1, stable=True).indices[:, :k]
    return keys.topk(k, dim=1, largest=False, sorted=False).indices


def _fill_short_rows(
    best: Tensor, degrees: Tensor, weights: Tensor, k: int, fill: Tensor | None, rows: Tensor
) -> Tensor:
    """Give each row of fewer than k edges all of its edges, then repeats: [rows, k] positions within the row.

    Args:
        best: [rows, min(k, width)] positions of the smallest keys.
        degrees: [rows] edges of each row.
        weights: [rows, width], zero in the padding.
        fill: [all rows, k] uniform numbers that choose the repeats, or None to repeat in ranked order.
    """
    slots = torch.arange(k, device=best.device)
    short = degrees < k
    best = torch.nn.functional.pad(best, (0, k - best.shape[1]))
    degrees = degrees[short, None]
    if fill is None:
        filled = best[short].gather(1, slots % degrees)
    else:
        cumulative = weights[short].double().cumsum(1)
        target = fill[rows[short]].double() * cumulative.gather(1, degrees - 1)
        repeats = torch.minimum(torch.searchsorted(cumulative, target, right=True), degrees - 1)
        filled = torch.where(slots < degrees, slots, repeats)
    best[short] = filled
    return best
