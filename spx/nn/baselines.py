"""The baselines, by PyG's own classes: GCN, GAT, GraphSAGE, an MLP, Polynormer and SGFormer."""

import operator
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, normalize

from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph
from spx.graph.features import Features, SparseFeatures
from spx.graph.weights import WeightedGraph
from spx.nn.encoder import FeatureEncoder
from spx.nn.norms import make_norm
from spx.nn.settings import BaselineSettings


class BaselineNetwork(nn.Module):
    """One of the baselines over the edges of the first neighbourhood, which all its layers share.

    GCN, GAT, GraphSAGE and MLP (features alone) are stacks of PyG's convolutions, or of linear maps:

    - plain: F -> d -> ... -> C with norm, ReLU and dropout between them;
    - `skip`: dropout(ReLU(norm(conv(h) + W h))) from F to d, and a linear head: "Classic GNNs are strong baselines"
      (Luo et al., NeurIPS 2024);
    - `residual`: h + dropout(ReLU(norm(conv(h)))) of width d between a linear encoder and a linear head.

    Polynormer and SGFormer are PyG's models as a whole. The GCN takes weights of the edges; the others know none.

    Args:
        num_features: F.
        num_outputs: C, logits per node.
        settings: of the rest.

    Raises:
        ConfigError: heads that don't divide the width.
    """

    def __init__(self, num_features: int, num_outputs: int, settings: BaselineSettings):
        super().__init__()
        self.num_features, self.num_outputs, self.settings = num_features, num_outputs, settings
        self._kept: tuple[tuple[Tensor | None, ...], torch.dtype, Tensor | None] | None = None
        if settings.num_heads < 1 or settings.width % settings.num_heads:
            raise ConfigError(f"num_heads is {settings.num_heads}; it must divide the width, {settings.width}.")
        self.peer = _peer(num_features, num_outputs, settings)
        if self.peer is not None:
            self.layers = tuple(_local_layers(self.peer))  # the model's, not registered twice
            if settings.kind == "polynormer":
                self.register_buffer("attends_globally", torch.tensor(False))
            return
        width, num_layers, residual, skip = settings.width, settings.num_layers, settings.residual, settings.skip
        ends = [width if residual else num_features, width if residual or skip else num_outputs]
        widths = [ends[0], *[width] * (num_layers - 1), ends[1]]
        self.encoder = FeatureEncoder(num_features, width) if residual else nn.Identity()
        self.layers = nn.ModuleList(_convolution(settings, *each) for each in pairwise(widths))
        self.skips = nn.ModuleList(nn.Linear(*each) for each in pairwise(widths) if skip)
        self.between = nn.ModuleList(
            nn.Sequential(make_norm(settings.norm, width), nn.ReLU(), nn.Dropout(settings.dropout))
            for _ in range(num_layers if residual or skip else num_layers - 1)
        )
        self.head = nn.Linear(width, num_outputs) if residual or skip else nn.Identity()

    @property
    def takes_weights(self) -> bool:
        """Whether it makes use of a `WeightedGraph`."""
        return self.settings.kind == "gcn"

    def forward(self, x: Features, neighborhoods: Sequence[AttentionGraph | WeightedGraph]) -> Tensor:
        """Logits [N, C] from `x` [N, F]; the convolutions that know self-loops add them, of weight 1. Sparse features
        are made dense: PyG's classes take no others."""
        settings, weighted = self.settings, isinstance(neighborhoods[0], WeightedGraph)
        graph, weight = neighborhoods[0] if weighted else (neighborhoods[0], None)
        x = x.to_dense() if isinstance(x, SparseFeatures) else x
        with torch.autocast(x.device.type, enabled=False):  # sparse products know no half precision
            x = x.float() if x.dtype == torch.float16 else x
            if settings.unit_sums:
                x = normalize(x, p=1)
            if settings.feature_dropout:
                x = dropout(x, settings.feature_dropout, self.training)
            return self._peer_logits(x, graph) if self.peer is not None else self._stack(x, graph, weight)

    def _stack(self, x: Tensor, graph: AttentionGraph, weight: Tensor | None) -> Tensor:
        h = self.encoder(x)
        edges = self._edges_of(graph, h.dtype, weight)
        for layer, convolution in enumerate(self.layers):
            update = convolution(h) if edges is None else convolution(h, edges)
            if self.settings.skip:
                update = update + self.skips[layer](h)
            if layer < len(self.between):
                update = self.between[layer](update)
            h = h + update if self.settings.residual else update
        return self.head(h)

    def _edges_of(self, graph: AttentionGraph, dtype: torch.dtype, weight: Tensor | None) -> Tensor | None:
        """Those of the last forward if the graph is the same: a GCN would normalise and sort them each time."""
        made_from = (graph.indptr, graph.source, weight)
        if self._kept is None or self._kept[1] != dtype or any(map(operator.is_not, self._kept[0], made_from)):
            with torch.inference_mode(False):  # an epoch of training may follow an evaluation
                self._kept = (made_from, dtype, _edges(self.settings.kind, graph, dtype, weight))
        return self._kept[2]

    def _peer_logits(self, x: Tensor, graph: AttentionGraph) -> Tensor:
        """PyG's models end in a softmax, which the difference to one output more takes out again."""
        if self.settings.kind == "sgformer" and x.dtype != torch.float32:
            raise ConfigError(
                f"PyG's SGFormer computes in float32 alone, not in {x.dtype}: use --trainer.precision 32."
            )
        if self.settings.kind == "polynormer":
            self.peer._global = bool(self.attends_globally)
        one_graph = torch.zeros(graph.num_nodes, dtype=torch.int64, device=x.device)
        logp = self.peer(x, graph.edge_index(), one_graph)
        return logp[:, :-1] - logp[:, -1:]


def _peer(num_features: int, num_outputs: int, settings: BaselineSettings) -> nn.Module | None:
    """PyG's model of this kind, with one output more; None for stacks of convolutions."""
    width, heads, p = settings.width, settings.num_heads, settings.dropout
    if settings.kind == "polynormer":
        from torch_geometric.nn.attention import PolynormerAttention
        from torch_geometric.nn.models import Polynormer

        peer = Polynormer(
            num_features,
            width // heads,
            num_outputs + 1,
            local_layers=settings.num_layers,
            global_layers=settings.global_layers,
            in_dropout=0.0,  # `feature_dropout` is that of all kinds
            dropout=p,
            global_dropout=p,
            heads=heads,
            local_attn=True,
        )
        if heads > 1:  # PyG's model gives its attention the width of one head, and fails
            peer.global_attn = nn.ModuleList(
                PolynormerAttention(width, heads, width // heads, qk_shared=False, dropout=p) for _ in peer.global_attn
            )
        return peer
    if settings.kind == "sgformer":
        from torch_geometric.nn.models import SGFormer

        return SGFormer(
            num_features,
            width,
            num_outputs + 1,
            trans_num_layers=settings.global_layers,
            trans_num_heads=heads,
            trans_dropout=p,
            gnn_num_layers=settings.num_layers,
            gnn_dropout=p,
        )
    return None


def _local_layers(peer: nn.Module) -> nn.ModuleList:
    return peer.local_convs if hasattr(peer, "local_convs") else peer.graph_conv.convs


def _convolution(settings: BaselineSettings, before: int, after: int) -> nn.Module:
    if settings.kind == "mlp":
        return nn.Linear(before, after)
    from torch_geometric.nn import GATConv, GCNConv, SAGEConv

    if settings.kind == "gcn":
        return GCNConv(before, after, normalize=False)  # `_edges` has normalised
    if settings.kind == "sage":
        return SAGEConv(before, after)
    if after % settings.num_heads == 0 and after == settings.width:
        return GATConv(before, after // settings.num_heads, settings.num_heads, dropout=settings.dropout)
    return GATConv(before, after, settings.num_heads, concat=False, dropout=settings.dropout)  # the last one's classes


def _edges(kind: str, graph: AttentionGraph, dtype: torch.dtype, given: Tensor | None) -> Tensor | None:
    """The edges as the convolutions of a kind take them: a sparse matrix [N, N], ten times faster than an edge_index
    where edges carry no vectors; GAT's do. `given`: weights [M], of the GCN alone."""
    if kind == "mlp":
        return None
    if kind == "gat":
        return graph.edge_index()
    indptr, source = graph.indptr, graph.source.long()
    weight = torch.ones(graph.num_edges, dtype=dtype, device=source.device)
    if kind == "gcn":
        from torch_geometric.nn.conv.gcn_conv import gcn_norm

        (source, rows), weight = gcn_norm(
            graph.edge_index(), None if given is None else given.to(dtype), graph.num_nodes, dtype=dtype
        )
        by_row = rows.argsort(stable=True)
        source, weight = source[by_row], weight[by_row]
        indptr = torch.cat((indptr[:1], torch.bincount(rows, minlength=graph.num_nodes).cumsum(0)))
    size = (graph.num_nodes, graph.num_nodes)
    return torch.sparse_csr_tensor(indptr, source, weight, size, check_invariants=False)
