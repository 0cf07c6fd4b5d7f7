"""Networks and their parts over no node at all: what a rank computes that has no share of a batch."""

import pytest
import torch
from daily import every_day
from torch import Tensor

from benchmarks.plain_attention import plain_attend
from spx.graph.blocks import build_blocks
from spx.graph.csr import AttentionGraph
from spx.graph.sampling import NeighborTable
from spx.nn.baselines import BaselineNetwork
from spx.nn.encoder import FeatureEncoder
from spx.nn.functional import Neighborhood, attend
from spx.nn.network import GraphTransformer
from spx.nn.settings import BaselineSettings, TransformerSettings

K = 3
NEIGHBORHOODS: dict[str, Neighborhood] = {
    "ragged": AttentionGraph(torch.zeros(1).long(), torch.zeros(0).int(), torch.zeros(0).byte()),
    "regular": NeighborTable(torch.zeros(0, K).int(), torch.zeros(0, K).byte()),
}
SHAPES = {"ragged": (0, 2), "regular": (0, K, 2)}
LAYOUTS = pytest.mark.parametrize("layout", list(NEIGHBORHOODS))


def assert_nothing(network: torch.nn.Module, out: Tensor) -> None:
    """No output, and a gradient of zero for every parameter: other ranks wait for them all."""
    assert out.shape == (0, 3)
    out.sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


@LAYOUTS
@every_day("training", [True, False], 1)
@pytest.mark.parametrize("layer", ["transformer", "concat", "residual"])
@every_day("norm", ["batch", "graph", "layer", "none"], 2)
def test_networks_of_every_kind(norm: str, layer: str, training: bool, layout: str) -> None:
    settings = {"num_heads": 2, "num_post_layers": 2, "dropout": 0.3, "drop_features": True, "normalize_values": True}
    network = GraphTransformer(
        6, 3, TransformerSettings(width=8, num_layers=2, norm=norm, layer=layer, **settings)
    ).train(training)
    x, neighborhoods = torch.zeros(0, 6), (NEIGHBORHOODS[layout],) * 2
    assert_nothing(network, network(x, neighborhoods))
    assert [weights.shape for weights in network.attention_weights(x, neighborhoods)] == [SHAPES[layout]] * 2
    assert [entering.shape for entering in network.layer_inputs(x, neighborhoods)] == [(0, 8)] * 2


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("num_nodes", [0, 1])
def test_gcn(num_nodes: int, residual: bool) -> None:
    """And over one node, which torch's own batch norm refuses."""
    network = BaselineNetwork(6, 3, BaselineSettings(width=8, num_layers=2, dropout=0.5, residual=residual))
    graph = NEIGHBORHOODS["ragged"]._replace(indptr=torch.zeros(num_nodes + 1).long())
    out = network(torch.ones(num_nodes, 6), (graph,))
    if num_nodes:
        assert out.isfinite().all()
    else:
        assert_nothing(network, out)


@LAYOUTS
@pytest.mark.parametrize("compiled", [True, False])
def test_attention_and_its_formula(layout: str, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr("spx.kernels.row_attention.can_compile", lambda: False)
    nothing, constants = torch.zeros(0, 2, 4, requires_grad=True), (torch.ones(3, 2, 4), torch.zeros(3, 2))
    for num_in in (0, 5):
        keys = torch.ones(num_in, 2, 4, requires_grad=True)
        for function in (attend, plain_attend):
            asked = {"need_weights": True} if function is attend else {}
            out, weights = function(nothing, keys, keys, NEIGHBORHOODS[layout], *constants, **asked)
            assert (out.shape, weights.shape) == ((0, 2, 4), SHAPES[layout])
        out.sum().backward()
        assert not keys.grad.any()


def test_blocks_of_no_core_node() -> None:
    tables = [NeighborTable(torch.ones(5, k).int(), torch.zeros(5, k).byte()) for k in (2, K)]
    blocks = build_blocks(tables, torch.zeros(0).long())
    assert blocks.nodes.shape == (0,)
    assert [layer.neighbors.shape for layer in blocks.layers] == [(0, 2), (0, K)]
    assert [layer.edge_type.shape for layer in blocks.layers] == [(0, 2), (0, K)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_encoder(dropout: float, dtype: torch.dtype) -> None:
    encoder = FeatureEncoder(6, 3, dropout)
    assert_nothing(encoder, encoder(torch.zeros(0, 6, dtype=dtype)))
