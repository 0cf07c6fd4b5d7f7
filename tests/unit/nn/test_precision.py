"""What stays in float32 under autocast: statistics, lengths, scores, losses."""

import pytest
import torch
from torch import Tensor

from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import sample_neighbors
from spx.nn.functional import Neighborhood
from spx.nn.layers import HiddenLayer
from spx.nn.network import GraphTransformer
from spx.nn.norms import GraphNorm, make_norm
from spx.nn.objectives import log_probabilities, node_loss
from spx.nn.settings import TransformerSettings

NUM_NODES = 10_000


@pytest.fixture
def half() -> Tensor:
    """Far from zero: a mean in bfloat16 would be wrong by as much as the numbers spread."""
    return (100 + torch.randn(NUM_NODES, 4, generator=torch.Generator().manual_seed(0))).bfloat16()


def test_graph_norm_of_half_precision_is_that_of_the_same_numbers_in_float32(half: Tensor) -> None:
    norm = GraphNorm(4)
    with torch.autocast("cpu", torch.bfloat16):
        found = norm(half)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, norm(half.float()))


def test_batch_norms_statistics_are_those_in_float32(half: Tensor) -> None:
    mixed, full = make_norm("batch", 4), make_norm("batch", 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = mixed(half)
    wanted = full(half.float())
    torch.testing.assert_close(found.float(), wanted, rtol=2**-8, atol=2**-8)
    torch.testing.assert_close(mixed.running_mean, full.running_mean, rtol=1e-5, atol=0)
    torch.testing.assert_close(mixed.running_var, full.running_var, rtol=1e-3, atol=0)


def test_unit_rows_have_unit_length_in_float32() -> None:
    layer = HiddenLayer(64, "batch", unit_rows=True)
    with torch.autocast("cpu", torch.bfloat16):
        rows = layer(torch.randn(500, 64))
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(500))


def neighborhoods() -> tuple[AttentionGraph, Neighborhood]:
    graph = augment(torch.randint(60, (2, 200)), 60, build_expander(60, 3, 0), self_loops=True)
    return graph, sample_neighbors(graph, None, 4, seed=0, sampler="uniform")


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("norm", ["graph", "batch"])
def test_scores_loss_and_gradients_of_a_network_are_float32(norm: str, layout: int) -> None:
    torch.manual_seed(0)
    network = GraphTransformer(
        5,
        3,
        TransformerSettings(
            width=8, num_layers=2, num_heads=2, norm=norm, normalize_values=norm == "graph", dropout=0.2
        ),
    )
    x, neighborhood, y = torch.randn(60, 5), neighborhoods()[layout], torch.randint(3, (60,))
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(x, (neighborhood,))
        loss = node_loss(log_probabilities(logits, "multiclass"), y, "multiclass")
        weights = list(network.attention_weights(x, (neighborhood,)))
    assert logits.dtype == torch.bfloat16, "autocast must be on"
    assert loss.dtype == torch.float32
    assert {each.dtype for each in weights} == {torch.float32}
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.dtype == torch.float32, name
        assert parameter.grad.isfinite().all(), name
