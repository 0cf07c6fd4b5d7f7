"""The layers through torch.compile: in one piece, for batches of any size, with the numbers of the plain ones."""

from collections.abc import Iterator

import pytest
import torch
from torch._inductor import config as inductor_config

from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import NeighborTable, sample_neighbors
from spx.nn.baselines import BaselineNetwork
from spx.nn.compiled import check_compiler, compile_layers
from spx.nn.functional import Neighborhood
from spx.nn.layers import ConcatLayer, ResidualLayer, TransformerLayer
from spx.nn.network import GraphTransformer
from spx.nn.settings import BaselineSettings, TransformerSettings

WIDTH = 8


@pytest.fixture(autouse=True)
def _forget_what_was_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def ragged(num_nodes: int) -> AttentionGraph:
    stream = torch.Generator().manual_seed(num_nodes)
    edges = torch.randint(num_nodes, (2, 3 * num_nodes), generator=stream)
    return augment(edges, num_nodes, build_expander(num_nodes, 2, 0), self_loops=True)


def regular(num_nodes: int) -> NeighborTable:
    """A layer of a batch: fewer nodes leave it than enter."""
    table = sample_neighbors(ragged(num_nodes), None, 3, seed=1, sampler="uniform")
    return NeighborTable(table.neighbors[: num_nodes // 2], table.edge_type[: num_nodes // 2])


LAYERS = {
    "estimator": (lambda: TransformerLayer(WIDTH, 1, "graph", 0.0, normalize_values=True), ragged),
    "wide": (lambda: TransformerLayer(WIDTH, 2, "batch", 0.3, normalize_values=False), regular),
    "concat": (lambda: ConcatLayer(WIDTH, 2, "batch", 0.3, normalize_values=False), regular),
    "residual": (lambda: ResidualLayer(WIDTH, 2, "layer", 0.3, normalize_values=False), regular),
}


def inputs(neighborhood: Neighborhood, num_nodes: int) -> tuple:
    x = torch.randn(num_nodes, WIDTH, generator=torch.Generator().manual_seed(0))
    return x, neighborhood, torch.linspace(-1, 1, 3 * WIDTH).view(3, WIDTH), torch.tensor(0.5)


@pytest.mark.full
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stage", LAYERS)
def test_a_layer_is_one_graph_for_all_sizes(stage: str, training: bool, need_weights: bool) -> None:
    torch.manual_seed(0)
    make, neighborhood_of = LAYERS[stage]
    layer = make().train(training)
    whole = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    for num_nodes, stance in ((40, "default"), (47, "fail_on_recompile"), (61, "fail_on_recompile")):
        arguments = (*inputs(neighborhood_of(num_nodes), num_nodes), need_weights)
        results, gradients = [], []
        for function in (layer, whole):
            torch.manual_seed(1)
            with torch.compiler.set_stance(stance):
                out, weights = function(*arguments)
            results.append((out, weights) if need_weights else out)
            gradients.append(torch.autograd.grad(out.square().sum(), list(layer.parameters())))
        torch.testing.assert_close(*results)
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_compiling_in_place_keeps_the_names_of_the_parameters() -> None:
    network = GraphTransformer(3, 2, TransformerSettings(width=WIDTH, num_layers=2))
    names = list(network.state_dict())
    assert compile_layers(network) == 3
    assert list(network.state_dict()) == names


def test_a_gcn_has_nothing_to_compile() -> None:
    assert compile_layers(BaselineNetwork(3, 2, BaselineSettings(width=4, num_layers=2, dropout=0.0))) == 0


def test_without_a_compiler_the_error_says_what_to_do() -> None:
    no_compiler = inductor_config.patch({"cpp.cxx": (None, "no-such-compiler")})
    with (
        no_compiler,
        pytest.raises(ConfigError, match=r"torch.compile doesn't work here on cpu: .*C\+\+ compiler .*leave --compile"),
    ):
        check_compiler(torch.device("cpu"))
