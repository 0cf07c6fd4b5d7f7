"""Stage 2 on several ranks: the gradient of a batch is that of one process, whatever share of it a rank has."""

import itertools

import pytest
import torch
from daily import every_day
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from spx.data.batch import NodeBatch
from spx.data.core_nodes import CoreNodeBatches
from spx.graph.csr import augment
from spx.graph.expander import build_expander
from spx.graph.features import SparseFeatures
from spx.graph.sampling import sample_neighbors
from spx.nn.collectives import share_of_ranks
from spx.nn.network import GraphTransformer
from spx.nn.norms import normalize_over_ranks
from spx.nn.objectives import log_probabilities, node_loss
from spx.nn.settings import TransformerSettings

from .ranks import on_ranks

NUM_NODES, CLASSES = 200, 3
NORMS, LAYERS = ["batch", "graph", "layer", "none"], ["transformer", "concat", "residual"]


def network(norm: str, layer: str = "transformer", dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return GraphTransformer(
        6, CLASSES, TransformerSettings(width=8, num_layers=2, num_heads=2, norm=norm, layer=layer, dropout=dropout)
    ).double()


def batch_of(core: Tensor) -> NodeBatch:
    stream = torch.Generator().manual_seed(3)
    x = torch.randn(NUM_NODES, 6, generator=stream, dtype=torch.float64)
    y = torch.randint(CLASSES, (NUM_NODES,), generator=stream)
    graph = augment(torch.randint(NUM_NODES, (2, 800), generator=stream), NUM_NODES, build_expander(NUM_NODES, 2, 0))
    tables = tuple(sample_neighbors(graph, None, k, seed=k, sampler="uniform") for k in (3, 2))
    return CoreNodeBatches(core, [tables], x, y)[list(range(core.numel()))][0]


def gradients(model: nn.Module, core: Tensor, share_of: bool) -> dict[str, Tensor]:
    batch = batch_of(core)
    logits = model(batch.x, batch.neighborhoods)[batch.targets]
    loss = node_loss(log_probabilities(logits, "multiclass"), batch.y, "multiclass")
    (loss * share_of_ranks(batch.y) if share_of else loss).backward()
    model = model.module if isinstance(model, DistributedDataParallel) else model
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def on_rank(rank: int, ranks: int, norm: str, num_core: int) -> list[dict[str, Tensor]]:
    """Gradients of one network of each kind of layer."""
    core = torch.arange(num_core)[rank::ranks]
    answers = []
    for layer in LAYERS:
        model = network(norm, layer)
        normalize_over_ranks(model)
        answers.append(gradients(DistributedDataParallel(model), core, share_of=True))
    return answers


@pytest.mark.parametrize(
    ("ranks", "num_core"),
    [pytest.param(2, 40, marks=pytest.mark.full), pytest.param(3, 40, marks=pytest.mark.full), (3, 2)],
)
@every_day("norm", ("none", "layer"), ("layer",))
def test_the_gradient_of_a_batch_is_that_of_one_process(norm: str, ranks: int, num_core: int) -> None:
    """Shares of unequal size, and a rank without any core node."""
    of_ranks = on_ranks(ranks, on_rank, norm, num_core)
    for number, layer in enumerate(LAYERS):
        alone = gradients(network(norm, layer), torch.arange(num_core), share_of=False)
        largest = max(float(gradient.abs().max()) for gradient in alone.values())
        for of_rank in of_ranks:
            for name, gradient in alone.items():
                torch.testing.assert_close(of_rank[number][name], gradient, rtol=1e-6, atol=1e-12 * largest)


@pytest.mark.parametrize("norm", ["batch", pytest.param("graph", marks=pytest.mark.full)])
def test_norms_over_nodes_count_a_node_once_for_each_rank_that_holds_it(norm: str) -> None:
    """So with them the gradient is near that of one process, and the same on all ranks."""
    first, second = on_ranks(2, on_rank, norm, 200)
    for number, layer in enumerate(LAYERS):
        alone = gradients(network(norm, layer), torch.arange(200), share_of=False)
        assert all(first[number][name].equal(second[number][name]) for name in alone)
        flat, expected = (torch.cat([each[name].flatten() for name in alone]) for each in (first[number], alone))
        assert torch.nn.functional.cosine_similarity(flat, expected, dim=0) > 0.9, layer


def trained(rank: int, ranks: int, num_core: int, batch_size: int) -> dict[tuple[str, str], dict[str, Tensor]]:
    """The state after each batch of one epoch, of every norm and every layer."""
    states = {}
    for norm, layer in itertools.product(NORMS, LAYERS):
        model = network(norm, layer, dropout=0.3)
        normalize_over_ranks(model)
        of_ranks = DistributedDataParallel(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        for batch in torch.arange(num_core).split(batch_size):
            optimizer.zero_grad()
            gradients(of_ranks, batch[rank::ranks], share_of=True)
            optimizer.step()
        model.eval()
        own = batch_of(torch.arange(num_core)[:rank])
        assert model(own.x, own.neighborhoods).shape == (rank, CLASSES)
        states[norm, layer] = model.state_dict()
    return states


@pytest.mark.full
def test_a_last_batch_without_a_node_for_some_rank_leaves_every_parameter_a_number() -> None:
    """Of 40 nodes in batches of 38 the third of three ranks gets none of the last two."""
    first, *others = on_ranks(3, trained, 40, 38)
    for kind, state in first.items():
        for name, tensor in state.items():
            assert tensor.isfinite().all(), (kind, name)
            assert all(other[kind][name].equal(tensor) for other in others), (kind, name)


def dropless_gradients(core: Tensor, sparse: bool, ranks: int = 1) -> dict[str, Tensor]:
    model = network("none")
    batch = batch_of(core)
    x = batch.x * (batch.x > 0.5)
    batch = batch._replace(x=SparseFeatures.from_dense(x) if sparse else x)
    model = DistributedDataParallel(model) if ranks > 1 else model
    logits = model(batch.x, batch.neighborhoods)[batch.targets]
    loss = node_loss(log_probabilities(logits, "multiclass"), batch.y, "multiclass")
    (loss * share_of_ranks(batch.y) if ranks > 1 else loss).backward()
    return {name.removeprefix("module."): parameter.grad for name, parameter in model.named_parameters()}


def sparse_on_rank(rank: int, ranks: int, num_core: int) -> dict[str, Tensor]:
    return dropless_gradients(torch.arange(num_core)[rank::ranks], sparse=True, ranks=ranks)


@pytest.mark.parametrize("num_core", [40, 2])
@pytest.mark.full
def test_sparse_features_over_ranks_give_the_gradient_of_dense_ones_in_one_process(num_core: int) -> None:
    """A rank without a node among them."""
    alone = dropless_gradients(torch.arange(num_core), sparse=False)
    for of_rank in on_ranks(3, sparse_on_rank, num_core):
        for name, gradient in alone.items():
            torch.testing.assert_close(of_rank[name], gradient, rtol=1e-6, atol=1e-9)
