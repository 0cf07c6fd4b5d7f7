"""How well an estimator chooses edges for a trained wide network: the attention that sampled edges keep, and the error
of a layer's output. N nodes, M attention edges, H heads, D head width, K sampled degree.

Errors are relative and over all nodes: sqrt(sum_i |a~_i - a_i|^2 / sum_i |a_i|^2), with a_i the layer's attention
output on the whole graph, all heads side by side; from 0, without a unit; 1 is as bad as no output at all.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spx.analysis.row_ranges import RowRange, per_row, ranges_of
from spx.graph.csr import AttentionGraph
from spx.graph.features import Features
from spx.graph.sampling import NeighborTable, SamplerName, sample_neighbors
from spx.graph.segments import segment_sum
from spx.kernels.formula import NUM_EDGE_TYPES, SCORE_BOUND
from spx.nn.attention import SparseAttention
from spx.nn.network import GraphTransformer


class LayerView(NamedTuple):
    """One attention layer of a trained network at work on the whole graph.

    Args:
        attention: the layer's attention block.
        x: [N, width], what enters it.
        out: [N, H * D], what leaves it.
        weights: [M, H], its scores.
        edge_embedding: [3, width] of the network.
        temperature: T of the network.
    """

    attention: SparseAttention
    x: Tensor
    out: Tensor
    weights: Tensor
    edge_embedding: Tensor
    temperature: Tensor

    @torch.no_grad()
    def sampled(self, table: NeighborTable) -> Tensor:
        """What leaves the layer on a sampled graph: the softmax over the sampled edges alone, [N, H * D]."""
        return self.attention(self.x, table, self.edge_embedding, self.temperature)[0]

    def scores(self) -> Tensor:
        """Mean of the heads' scores, [M]."""
        return self.weights.mean(-1)


@torch.no_grad()
def layer_views(network: GraphTransformer, x: Features, graph: AttentionGraph) -> Iterator[LayerView]:
    """Each layer of the network in evaluation, on exact inputs, first layer first."""
    network.eval()
    edge_embedding, temperature = network.edge_embedding.weight, network.temperature
    for layer, entering in zip(network.layers, network.layer_inputs(x, (graph,)), strict=True):
        out, weights = layer.attention(entering, graph, edge_embedding, temperature, need_weights=True)
        yield LayerView(layer.attention, entering, out, weights, edge_embedding, temperature)


def sampled_edges(
    graph: AttentionGraph, weights: Tensor | None, k: int, seed: int, sampler: SamplerName = "attention"
) -> Tensor:
    """Places among the M edges of those that `sample_neighbors` would draw: [N, K] int64.

    A draw depends on the place of an edge, not on what it leads to, so the same draw over a graph whose sources are
    replaced by the places gives the places.
    """
    places = torch.arange(graph.num_edges, dtype=torch.int32, device=graph.source.device)
    return sample_neighbors(graph._replace(source=places), weights, k, seed, sampler).neighbors.long()


def as_table(graph: AttentionGraph, edges: Tensor) -> NeighborTable:
    """The neighbourhood of the edges at the places [N, K]."""
    return NeighborTable(graph.source[edges], graph.edge_type[edges])


def mass_kept(graph: AttentionGraph, weights: Tensor, edges: Tensor) -> Tensor:
    """Share of each node's attention that the sampled edges hold, [N] float64 in [0, 1].

    sum_j p_ij over the distinct edges j drawn for node i. A row of at most K edges is kept whole: 1.

    Args:
        graph: the attention graph.
        weights: [M], scores p of the wide network, each row summing to one.
        edges: [N, K] places of the drawn edges.
    """
    whole = graph.degrees() <= edges.shape[1]
    return torch.where(whole, 1.0, weights[edges].double().sum(1).clamp(max=1))


def relative_error(approximation: Tensor, exact: Tensor) -> float:
    """sqrt(sum_i |a~_i - a_i|^2 / sum_i |a_i|^2) of [N, ...] outputs; nan where the exact output is zero."""
    error, length = (tensor.double().square().sum() for tensor in (approximation - exact, exact))
    return float((error / length).sqrt())


@torch.no_grad()
def replaced_error(graph: AttentionGraph, view: LayerView, scores: Tensor) -> float:
    """Relative error of the layer's output when the heads attend by the given scores instead of their own.

    a~_i = sum_j q_ij V_j over the whole graph: what a narrow network's scores q cost before anything is sampled.

    Args:
        graph: the attention graph.
        view: the wide network's layer.
        scores: q, [M], or [M, H] for each head; each row summing to one.
    """
    values = view.attention.values(view.x).double()
    scores = scores[:, None] if scores.dim() == 1 else scores

    def of_range(part: RowRange, q: Tensor, source: Tensor) -> Tensor:
        return segment_sum(q.double().unsqueeze(-1) * values[source.long()], part.indptr)

    return relative_error(per_row(graph, of_range, scores, graph.source, chunk_edges=1 << 19).flatten(1), view.out)


def random_projection(head_width: int, width: int, seed: int) -> Tensor:
    """Gaussian projection [D, d] that keeps inner products in the mean: entries of variance 1 / d."""
    return torch.randn(head_width, width, generator=torch.Generator().manual_seed(seed)) / math.sqrt(width)


@torch.no_grad()
def projected_weights(graph: AttentionGraph, view: LayerView, projection: Tensor) -> Tensor:
    """The layer's scores when queries and typed keys are first projected to few dimensions, [M, H].

        s_ij = ((E1[t] * K_j) G) . (Q_i G) / sqrt(D) + E2[t],  p as in `spx.kernels.formula`

    This is the theory's own narrow network: by Johnson and Lindenstrauss' lemma all inner products are kept within
    epsilon of the vectors' lengths when d is of the order of log(n) / epsilon^2, so the error falls as d^(-1/2).

    Args:
        graph: the attention graph.
        view: the wide network's layer.
        projection: G, [D, d].
    """
    attention, heads = view.attention, view.weights.shape[1]
    query, key, scale = (
        tensor.unflatten(-1, (heads, -1))
        for tensor in (attention.query(view.x), attention.key(view.x), attention.edge_scale(view.edge_embedding))
    )
    bias, query = attention.edge_bias(view.edge_embedding), query @ projection / math.sqrt(query.shape[-1])
    typed_key = ((key[:, None] * scale) @ projection).flatten(0, 1)  # [N * 3, H, d]

    def of_range(part: RowRange, source: Tensor, types: Tensor) -> Tensor:
        rows, types = part.of_edge(), types.long()
        logits = (query[part.rows][rows] * typed_key[source.long() * NUM_EDGE_TYPES + types]).sum(-1) + bias[types]
        mass = (logits / view.temperature).clamp(-SCORE_BOUND, SCORE_BOUND).exp()
        return mass / segment_sum(mass, part.indptr)[rows]

    return per_row(graph, of_range, graph.source, graph.edge_type, chunk_edges=1 << 18)


@torch.no_grad()
def expected_error(graph: AttentionGraph, view: LayerView, proposal: Tensor, ks: Sequence[int]) -> list[float]:
    """Expected relative error of the theory's estimator for each K: root of the mean square over its draws.

    K edges of each node are drawn with replacement in proportion to q, and each is weighted by p_ij / (K q_ij), which
    makes the mean right whatever q is:

        E |a~_i - a_i|^2 = (1 / K) (sum_j sum_h (p^h_ij)^2 |V^h_j|^2 / q_ij - |a_i|^2)

    so the error falls as K^(-1/2), and the best q is near p. In closed form: nothing is drawn.

    Args:
        graph: the attention graph.
        view: the wide network's layer.
        proposal: q, [M], each row summing to one; inf where q is 0 and p isn't.
        ks: numbers of draws K.
    """
    lengths = view.attention.values(view.x).double().square().sum(-1)
    total = 0.0
    for part in ranges_of(graph, chunk_edges=1 << 20):
        moment = (view.weights[part.edges].double().square() * lengths[graph.source[part.edges].long()]).sum(-1)
        total += float(torch.where(moment > 0, moment / proposal[part.edges].double(), 0).sum())
    length = float(view.out.double().square().sum())
    return [math.sqrt(max(0.0, total - length) / (k * length)) if length else math.nan for k in ks]


def log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Exponent s of the power law y = c x^s through the points, by least squares of the logarithms; nan without two."""
    points = torch.tensor([(a, b) for a, b in zip(x, y, strict=True) if a > 0 and b > 0 and math.isfinite(b)]).double()
    if len(points) < 2 or points[:, 0].unique().numel() < 2:
        return math.nan
    log_x, log_y = points.log().unbind(1)
    centred = log_x - log_x.mean()
    return float((centred * (log_y - log_y.mean())).sum() / centred.square().sum())
