import pytest
import torch
from torch import Tensor

from spx.graph.blocks import LayeredBlocks, build_blocks, separate_blocks, take_rows
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.sampling import LazyTable, NeighborTable, sample_neighbors
from spx.nn.functional import as_rows
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

NUM_NODES, DEGREES = 60, (4, 3, 2)
CORE = torch.tensor([17, 3, 59, 0, 31])


def sampled_tables(num_nodes: int = NUM_NODES, degrees: tuple[int, ...] = DEGREES) -> list[NeighborTable]:
    edge_index = torch.randint(0, num_nodes, (2, 4 * num_nodes), generator=torch.Generator().manual_seed(0))
    graph = augment(edge_index, num_nodes, build_expander(num_nodes, 2, seed=0))
    return [sample_neighbors(graph, None, k, seed, "uniform") for seed, k in enumerate(degrees)]


def slow_needed(tables: list[NeighborTable], core: list[int]) -> list[set[int]]:
    """Oracle: the nodes that must enter each layer, first layer first, then the core."""
    needed = [set(core)]
    for table in reversed(tables):
        needed.append(needed[-1] | {j for i in needed[-1] for j in table.neighbors[i].tolist()})
    return needed[::-1]


def sizes(blocks: LayeredBlocks) -> list[int]:
    """N_0 to N_L."""
    return [blocks.nodes.numel(), *(table.num_nodes for table in blocks.layers)]


@pytest.fixture(params=[CORE, torch.tensor([8]), torch.arange(NUM_NODES).flip(0)], ids=["some", "one", "all"])
def core(request: pytest.FixtureRequest) -> Tensor:
    return request.param


def test_nodes_are_distinct_and_the_core_comes_first(core: Tensor) -> None:
    blocks = build_blocks(sampled_tables(), core)
    assert torch.equal(blocks.nodes[: core.numel()], core)
    assert blocks.nodes.unique().numel() == blocks.nodes.numel()
    assert blocks.layers[-1].num_nodes == core.numel()


def test_each_layer_holds_just_the_nodes_that_the_slow_oracle_needs(core: Tensor) -> None:
    tables = sampled_tables()
    blocks = build_blocks(tables, core)
    needed = slow_needed(tables, core.tolist())
    for size, nodes in zip(sizes(blocks), needed, strict=True):
        assert set(blocks.nodes[:size].tolist()) == nodes
        assert size == len(nodes)


def test_positions_name_the_neighbours_of_the_tables(core: Tensor) -> None:
    tables = sampled_tables()
    blocks = build_blocks(tables, core)
    entering = sizes(blocks)
    for table, block, num_in, num_out in zip(tables, blocks.layers, entering, entering[1:], strict=False):
        outputs = blocks.nodes[:num_out]
        assert block.neighbors.shape == (num_out, table.neighbors.shape[1])
        assert block.neighbors.dtype == torch.int32
        assert int(block.neighbors.max()) < num_in
        assert torch.equal(blocks.nodes[block.neighbors.long()], table.neighbors[outputs].long())
        assert torch.equal(block.edge_type, table.edge_type[outputs])


def test_the_nodes_that_leave_a_layer_are_the_first_that_enter_it() -> None:
    """A layer that hands on its residual stream alone returns the core nodes' own features."""
    blocks = build_blocks(sampled_tables(), CORE)
    x = blocks.nodes
    for block in blocks.layers:
        x = x[: block.num_nodes]
    assert torch.equal(x, CORE)


def test_parallel_neighbours_keep_their_slots() -> None:
    table = NeighborTable(torch.tensor([[1, 1, 2], [1, 0, 0], [2, 2, 2]], dtype=torch.int32), torch.zeros(3, 3).byte())
    blocks = build_blocks([table], torch.tensor([2, 0]))
    assert blocks.nodes.tolist() == [2, 0, 1]
    assert blocks.layers[0].neighbors.tolist() == [[0, 0, 0], [2, 2, 0]]


def test_the_size_does_not_depend_on_the_number_of_nodes() -> None:
    """Nodes outside the neighbourhood may be any number: nothing of the batch changes."""
    tables = sampled_tables()
    blocks = build_blocks(tables, CORE)
    more = [
        NeighborTable(torch.cat((t.neighbors, t.neighbors[:1].expand(100_000, -1))), t.edge_type.repeat(2000, 1))
        for t in tables
    ]
    larger = build_blocks(more, CORE)
    assert torch.equal(blocks.nodes, larger.nodes)
    assert all(torch.equal(a.neighbors, b.neighbors) for a, b in zip(blocks.layers, larger.layers, strict=True))
    bound = CORE.numel() * 3 * 4 * 5
    assert blocks.nodes.numel() <= bound


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_network_gives_the_core_nodes_the_same_outputs_as_the_whole_tables(
    norm: str, shared: bool, core: Tensor
) -> None:
    torch.manual_seed(0)
    tables = sampled_tables(degrees=(3, 3, 3) if shared else DEGREES)
    tables = [tables[0]] * 3 if shared else tables
    net = GraphTransformer(
        6, 5, TransformerSettings(width=8, num_layers=3, num_heads=2, norm=norm, dropout=0.3)
    ).double()
    x = torch.randn(NUM_NODES, 6, dtype=torch.float64)
    for _ in range(3):
        net(x, tables)  # moves the running statistics away from their start
    net.eval()
    blocks = build_blocks(tables, core)
    with torch.no_grad():
        whole = net(x, (tables[0],) if shared else tables)
        batch = net(x[blocks.nodes], blocks.layers)
    torch.testing.assert_close(batch, whole[core], rtol=0, atol=1e-10)
    assert whole.std(0).min() > 1e-3, "the case must tell nodes apart"


def test_lazy_tables_give_the_same_blocks_and_draw_only_what_is_reached(core: Tensor, monkeypatch) -> None:
    edge_index = torch.randint(0, NUM_NODES, (2, 4 * NUM_NODES), generator=torch.Generator().manual_seed(0))
    graph = augment(edge_index, NUM_NODES, build_expander(NUM_NODES, 2, seed=0))
    whole = build_blocks(sampled_tables(), core)
    lazy = [LazyTable(graph, None, k, seed, "uniform") for seed, k in enumerate(DEGREES)]
    drawn: list[int] = []
    rows = LazyTable.rows
    monkeypatch.setattr(LazyTable, "rows", lambda self, nodes: drawn.append(nodes.numel()) or rows(self, nodes))
    found = build_blocks(lazy, core)
    assert found.nodes.equal(whole.nodes)
    for one, other in zip(found.layers, whole.layers, strict=True):
        assert one.neighbors.equal(other.neighbors)
        assert one.edge_type.equal(other.edge_type)
    assert drawn[::-1] == sizes(whole)[1:]


def test_rows_are_taken_in_any_order_and_twice() -> None:
    graph = as_rows(sampled_tables()[0])
    rows = torch.tensor([7, 0, 7])
    taken = take_rows(graph, rows)
    assert taken.indptr.tolist() == [0, 4, 8, 12]
    assert torch.equal(taken.source.view(3, 4), graph.source.view(-1, 4)[rows])
    assert torch.equal(taken.edge_type.view(3, 4), graph.edge_type.view(-1, 4)[rows])
    ragged = AttentionGraph(torch.tensor([0, 0, 2]), torch.tensor([1, 0]).int(), torch.zeros(2, dtype=torch.uint8))
    assert take_rows(ragged, torch.tensor([1, 0])).indptr.tolist() == [0, 2, 2]


def test_targets_apart_give_what_the_whole_graph_gives(core: Tensor) -> None:
    layers = [as_rows(table) for table in sampled_tables()]
    targets = torch.cat((core, core[:1]))  # one of them twice
    blocks = separate_blocks(layers, targets)
    assert torch.equal(blocks.nodes[: targets.numel()], targets)
    assert torch.equal(blocks.owner[: targets.numel()], torch.arange(targets.numel()))
    assert torch.equal(blocks.targets, torch.arange(targets.numel()))
    for rows, whole in zip(blocks.layers, layers, strict=True):
        assert torch.equal(blocks.owner[rows.rows()], blocks.owner[rows.source.long()])  # no edge between two targets'
        wanted = take_rows(whole, blocks.nodes[: rows.num_nodes])
        assert torch.equal(blocks.nodes[rows.source.long()], wanted.source.long())
        assert torch.equal(rows.edge_type, wanted.edge_type)
    needed = slow_needed(sampled_tables(), [int(targets[-1])])[0]
    assert set(blocks.nodes[blocks.owner == targets.numel() - 1].tolist()) == needed
