import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spx.errors import DatasetError
from spx.graph import csr
from spx.graph.csr import AttentionGraph, EdgeType, augment, distinct_edges, fingerprint
from spx.graph.expander import build_expander
from spx.kernels import cpu_augment

COMPILED, PLAIN = 0, 1 << 60  # edges from which on the build is compiled
GRAPH, EXPANDER, SELF = EdgeType.GRAPH, EdgeType.EXPANDER, EdgeType.SELF_LOOP


@pytest.fixture(scope="module", autouse=True, params=[COMPILED, PLAIN], ids=["compiled", "plain"])
def _build(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both builds do all that is asked for here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csr, "COMPILED_EDGES", request.param)
        yield


def edges(*pairs: tuple[int, int]) -> Tensor:
    """edge_index [2, E] of message-passing edges (source, target)."""
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()


def rows_of(graph: AttentionGraph) -> list[list[tuple[int, int]]]:
    """The (source, type) pairs of each row, in order."""
    bounds = graph.indptr.tolist()
    pairs = list(zip(graph.source.tolist(), graph.edge_type.tolist(), strict=True))
    return [pairs[start:stop] for start, stop in itertools.pairwise(bounds)]


def slow_augment(
    pairs: list[tuple[int, int]], num_nodes: int, expander: list[list[int]] | None, self_loops: bool
) -> list[list[tuple[int, int]]]:
    """The oracle: a dict of lists, one edge at a time."""
    incoming: dict[int, set[int]] = {node: set() for node in range(num_nodes)}
    for source, target in pairs:
        if source != target:
            incoming[target].add(source)
    rows = []
    for node in range(num_nodes):
        row = [(source, int(GRAPH)) for source in sorted(incoming[node])]
        row += [(source, int(EXPANDER)) for source in (expander[node] if expander else [])]
        row += [(node, int(SELF))] if self_loops else []
        rows.append(row)
    return rows


def random_edges(num_nodes: int, num_edges: int, seed: int = 0) -> Tensor:
    return torch.randint(0, num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(seed))


def test_a_row_lists_what_its_node_attends_to() -> None:
    graph = augment(edges((3, 1), (0, 1), (2, 0)), num_nodes=4, self_loops=False)
    assert rows_of(graph) == [[(2, GRAPH)], [(0, GRAPH), (3, GRAPH)], [], []]
    assert graph.indptr.tolist() == [0, 1, 3, 3, 3]


def test_directed_edges_stay_directed() -> None:
    graph = augment(edges((0, 1), (1, 2)), num_nodes=3, self_loops=False)
    assert graph.edge_index().tolist() == [[0, 1], [1, 2]]


def test_duplicates_count_once() -> None:
    graph = augment(edges((0, 1), (0, 1), (1, 0), (0, 1)), num_nodes=2, self_loops=False)
    assert rows_of(graph) == [[(1, GRAPH)], [(0, GRAPH)]]


def test_self_loops_of_the_dataset_give_way_to_the_added_ones() -> None:
    given_loops = edges((0, 0), (1, 0), (1, 1), (1, 1))
    assert rows_of(augment(given_loops, 2)) == [[(1, GRAPH), (0, SELF)], [(1, SELF)]]
    assert rows_of(augment(given_loops, 2, self_loops=False)) == [[(1, GRAPH)], []]


def test_an_isolated_node_has_an_empty_row_or_only_what_is_added() -> None:
    pairs = edges((0, 2))
    assert augment(pairs, 4, self_loops=False).degrees().tolist() == [0, 0, 1, 0]
    assert rows_of(augment(pairs, 4))[3] == [(3, SELF)]


def test_edges_of_a_row_stand_in_the_order_graph_expander_self_loop() -> None:
    expander = torch.tensor([[2, 1], [0, 2], [1, 0]], dtype=torch.int32)
    graph = augment(edges((2, 0), (1, 0)), 3, expander)
    assert rows_of(graph)[0] == [(1, GRAPH), (2, GRAPH), (2, EXPANDER), (1, EXPANDER), (0, SELF)]
    assert rows_of(graph)[1] == [(0, EXPANDER), (2, EXPANDER), (1, SELF)]


def test_an_expander_edge_beside_a_graph_edge_is_kept() -> None:
    graph = augment(edges((1, 0)), 2, torch.tensor([[1], [0]], dtype=torch.int32), self_loops=False)
    assert rows_of(graph)[0] == [(1, GRAPH), (1, EXPANDER)]


@pytest.mark.parametrize("self_loops", [True, False])
def test_one_node(self_loops: bool) -> None:
    graph = augment(edges((0, 0)), 1, build_expander(1, 3, seed=0), self_loops).check()
    assert rows_of(graph) == [[(0, SELF)] if self_loops else []]


@pytest.mark.parametrize("self_loops", [True, False])
def test_no_edges(self_loops: bool) -> None:
    graph = augment(edges(), 3, self_loops=self_loops).check()
    assert graph.num_nodes == 3
    assert graph.num_edges == 3 * self_loops


def test_dtypes() -> None:
    graph = augment(random_edges(9, 20), 9, build_expander(9, 2, seed=0))
    assert [tensor.dtype for tensor in graph] == [torch.int64, torch.int32, torch.uint8]


def test_the_edge_index_given_is_left_alone() -> None:
    edge_index = random_edges(9, 30)
    before = edge_index.clone()
    augment(edge_index, 9)
    assert torch.equal(edge_index, before)


@given(data=st.data(), num_nodes=st.integers(1, 12), self_loops=st.booleans(), with_expander=st.booleans())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_graph_equals_the_slow_oracle(
    data: st.DataObject, num_nodes: int, self_loops: bool, with_expander: bool
) -> None:
    node = st.integers(0, num_nodes - 1)
    pairs = data.draw(st.lists(st.tuples(node, node), max_size=40))
    expander = build_expander(num_nodes, 1, seed=1) if with_expander else None
    graph = augment(edges(*pairs), num_nodes, expander, self_loops).check()
    assert rows_of(graph) == slow_augment(pairs, num_nodes, expander.tolist() if with_expander else None, self_loops)


@pytest.mark.parametrize("chunk_edges", [1, 7, 64, 1000])
@pytest.mark.parametrize("with_expander", [True, False])
def test_building_in_chunks_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, chunk_edges: int, with_expander: bool
) -> None:
    hub = torch.stack((torch.arange(57), torch.full((57,), 20)))
    edge_index = torch.cat((random_edges(57, 300), hub), 1)
    expander = build_expander(57, 2, seed=0) if with_expander else None
    whole = augment(edge_index, 57, expander)
    monkeypatch.setattr(csr, "CHUNK_EDGES", chunk_edges)
    assert all(map(torch.equal, augment(edge_index, 57, expander), whole))


@pytest.mark.parametrize("rows", [None, range(1000), range(137, 612), range(999, 1000), range(4, 4)])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("bucket_bits", [0, 3, 10])
def test_any_number_of_threads_and_buckets_builds_the_same(
    monkeypatch: pytest.MonkeyPatch, bucket_bits: int, threads: int, rows: range | None
) -> None:
    """Rows of very unequal length, one of them with an edge from every node, many edges twice."""
    hub = torch.stack((torch.arange(1000), torch.full((1000,), 400)))
    source, target = random_edges(1000, 60_000)
    edge_index = torch.cat((torch.stack((source, target**2 // 1000)), hub, hub), 1)
    expander = build_expander(1000, 2, seed=0)
    expander = expander if rows is None else expander[rows.start : rows.stop]
    monkeypatch.setattr(csr, "COMPILED_EDGES", PLAIN)
    plain = augment(edge_index, 1000, expander, rows=rows)
    monkeypatch.setattr(csr, "COMPILED_EDGES", COMPILED)
    monkeypatch.setattr(cpu_augment, "num_threads", lambda nanoseconds: threads)
    monkeypatch.setattr(cpu_augment, "BUCKET_BITS", bucket_bits)
    built = augment(edge_index, 1000, expander, rows=rows)
    assert [(one.dtype, one.shape) for one in built] == [(one.dtype, one.shape) for one in plain]
    assert all(map(torch.equal, built, plain))


@pytest.mark.parametrize("edge_type", list(EdgeType))
def test_select_keeps_the_edges_of_one_type_in_order(edge_type: EdgeType) -> None:
    graph = augment(random_edges(15, 40), 15, build_expander(15, 2, seed=0))
    selected = graph.select(edge_type).check()
    assert selected.num_nodes == 15
    assert rows_of(selected) == [[pair for pair in row if pair[1] == edge_type] for row in rows_of(graph)]


def test_the_edge_index_makes_a_round_trip() -> None:
    edge_index = edges(*{(s, t) for s, t in random_edges(20, 60).t().tolist() if s != t})
    graph = augment(edge_index, 20, self_loops=False)
    assert Counter(map(tuple, graph.edge_index().t().tolist())) == Counter(map(tuple, edge_index.t().tolist()))
    assert all(map(torch.equal, augment(graph.edge_index(), 20, self_loops=False), graph))
    assert graph.edge_index().dtype == torch.int64


def test_rows_names_the_attending_node_of_each_edge() -> None:
    graph = augment(edges((0, 2), (1, 2), (2, 0)), 4, self_loops=False)
    assert graph.rows().tolist() == [0, 2, 2]
    assert graph.degrees().tolist() == [1, 0, 2, 0]


def test_the_fingerprint_changes_with_each_tensor() -> None:
    graph = augment(random_edges(15, 40), 15)
    prints = {graph.fingerprint()}
    for name, tensor in graph._asdict().items():
        changed = tensor.clone()
        changed[5] += 1
        prints.add(graph._replace(**{name: changed}).fingerprint())
    assert len(prints) == 4


def test_the_fingerprint_is_stable() -> None:
    graph = augment(edges((0, 1), (2, 1)), 3)
    assert graph.fingerprint() == "a0ab4502d98c6337c9e30866871e5d819f1aae07dc2f974fadeb7497fbb28a54"
    assert graph.fingerprint() == graph._replace(source=graph.source.repeat_interleave(2)[::2]).fingerprint()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((torch.zeros(4),), (torch.zeros(2, 2),)),
        ((torch.zeros(4),), (torch.zeros(4, dtype=torch.int32),)),
        ((torch.zeros(4), torch.zeros(2)), (torch.zeros(2), torch.zeros(4))),
        ((torch.zeros(0),), ()),
    ],
    ids=["shape", "dtype", "order", "number"],
)
def test_the_fingerprint_tells_apart_what_the_bytes_do_not(
    first: tuple[Tensor, ...], second: tuple[Tensor, ...]
) -> None:
    assert fingerprint(*first) != fingerprint(*second)


def test_the_fingerprint_of_an_empty_tensor_does_not_ask_for_its_strides() -> None:
    empty = torch.empty(0, dtype=torch.int32)
    assert fingerprint(empty.as_strided((0,), (0,))) == fingerprint(empty)


def damaged(name: str, position: int, value: int) -> AttentionGraph:
    graph = augment(edges((0, 1), (2, 1), (1, 2)), 3)
    tensor = getattr(graph, name).clone()
    tensor[position] = value
    return graph._replace(**{name: tensor})


def test_check_returns_a_valid_graph() -> None:
    graph = damaged("source", 0, 2)
    assert graph.check() is graph


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (AttentionGraph(*(torch.zeros(size, dtype=torch.int64) for size in (1, 0, 0))), "it has no node"),
        (damaged("indptr", 0, 1), "indptr must rise from 0 to the number of edges, 6"),
        (damaged("indptr", -1, 5), "indptr must rise"),
        (damaged("indptr", 1, 5), "indptr must rise"),
        (damaged("source", 2, 3), r"a source lies outside \[0, 3\)"),
        (damaged("source", 2, -1), r"a source lies outside \[0, 3\)"),
        (damaged("edge_type", 2, 3), r"an edge type lies outside \[0, 3\)"),
        (
            damaged("source", 0, 2)._replace(edge_type=torch.zeros(5, dtype=torch.uint8)),
            "6 sources stand beside 5 edge types",
        ),
    ],
)
def test_check_refuses_a_damaged_graph(graph: AttentionGraph, message: str) -> None:
    with pytest.raises(DatasetError, match=f"{message}.*Build it again"):
        graph.check()


@pytest.mark.parametrize(("pair", "node"), [((0, 3), 3), ((7, 1), 7), ((-2, 0), -2), ((0, -1), -1)])
def test_an_endpoint_out_of_range_is_named(pair: tuple[int, int], node: int) -> None:
    with pytest.raises(DatasetError, match=f"holds node {node}, but the graph has nodes 0 to 2"):
        distinct_edges(edges((0, 1), pair), num_nodes=3)
