"""Stage 2 on several ranks: the gradient of a batch is that of one process, whatever share of it a rank has."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from spx.data.batch import NodeBatch
from spx.data.resampled import CoreNodeBatches
from spx.graph.csr import augment
from spx.graph.expander import build_expander
from spx.graph.sampling import sample_neighbors
from spx.nn.collectives import share_of_ranks
from spx.nn.network import GraphTransformer
from spx.nn.norms import normalize_over_ranks
from spx.nn.objectives import log_probabilities, node_loss

from .ranks import on_ranks

NUM_NODES, CLASSES = 200, 3


def network(norm: str) -> nn.Module:
    torch.manual_seed(0)
    return GraphTransformer(6, CLASSES, 8, 2, num_heads=2, norm=norm).double()


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


def on_rank(rank: int, ranks: int, norm: str, num_core: int) -> dict[str, Tensor]:
    model = network(norm)
    normalize_over_ranks(model, sharded=False)
    core = torch.arange(num_core)[rank::ranks]
    return gradients(DistributedDataParallel(model), core, share_of=True)


@pytest.mark.parametrize(("ranks", "num_core"), [(2, 40), (3, 40), (3, 2)])
def test_the_gradient_of_a_batch_is_that_of_one_process(ranks: int, num_core: int) -> None:
    """Shares of unequal size, and a rank without any core node."""
    alone = gradients(network("none"), torch.arange(num_core), share_of=False)
    largest = max(float(gradient.abs().max()) for gradient in alone.values())
    for of_rank in on_ranks(ranks, on_rank, "none", num_core):
        for name, gradient in alone.items():
            torch.testing.assert_close(of_rank[name], gradient, rtol=1e-6, atol=1e-12 * largest)


def test_batch_norm_counts_a_node_once_for_each_rank_that_holds_it() -> None:
    """So with it the gradient is near that of one process, and the same on all ranks."""
    first, second = on_ranks(2, on_rank, "batch", 200)
    alone = gradients(network("batch"), torch.arange(200), share_of=False)
    assert all(first[name].equal(second[name]) for name in first)
    flat, expected = (torch.cat([each[name].flatten() for name in alone]) for each in (first, alone))
    assert torch.nn.functional.cosine_similarity(flat, expected, dim=0) > 0.9
