"""What is counted of a graph, against counts by hand and by plain Python."""

import pytest
import torch

from spx.datasets import NodeDataset, Split
from spx.graph.csr import augment
from spx.graph.expander import build_expander
from spx.graph.features import SparseFeatures
from spx.graph_check import facts


def dataset_of(edges: list[tuple[int, int]], y: list[int], x: torch.Tensor | None = None) -> NodeDataset:
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    labels, split = torch.tensor(y), Split(*torch.arange(3).split(1))
    x = torch.zeros(len(y), 1) if x is None else x
    return NodeDataset("hand", "public", x, edge_index, labels, split, 0, max(y) + 1, "multiclass", "accuracy")


def test_edges_counted_by_hand():
    # 0 <-> 1, 1 -> 2 twice, a self-loop at 2, 3 alone
    found = facts.edge_facts(dataset_of([(0, 1), (1, 0), (1, 2), (1, 2), (2, 2)], [0, 0, 1, 1]))
    assert found == facts.EdgeFacts(
        given=5,
        distinct=3,
        duplicates=1,
        self_loops=1,
        reciprocal=pytest.approx(2 / 3),
        isolated=1,
        components=2,
        degrees=(0, 1.0, 0.75, 1),
        homophily=pytest.approx(2 / 3),
    )


def test_unlabelled_nodes_have_no_say_in_homophily():
    assert facts.edge_facts(dataset_of([(0, 1), (1, 2)], [0, 0, -1])).homophily == 1.0
    assert facts.edge_facts(dataset_of([(0, 1)], [0, -1, 1])).homophily is None


def test_a_graph_without_edges():
    found = facts.edge_facts(dataset_of([], [0, 1, 1]))
    assert (found.given, found.distinct, found.isolated, found.components) == (0, 0, 3, 3)
    assert found.reciprocal == 1.0


@pytest.mark.parametrize("num_nodes", [2, 7, 40])
def test_random_graphs_against_plain_python(num_nodes):
    generator = torch.Generator().manual_seed(num_nodes)
    pairs = torch.randint(num_nodes, (3 * num_nodes, 2), generator=generator).tolist()
    found = facts.edge_facts(dataset_of([tuple(pair) for pair in pairs], [i % 2 for i in range(max(3, num_nodes))]))
    distinct = {(source, target) for source, target in pairs if source != target}
    assert found.distinct == len(distinct)
    assert found.self_loops == sum(source == target for source, target in pairs)
    assert found.duplicates == len(pairs) - found.self_loops - len(distinct)
    assert found.reciprocal == pytest.approx(sum(pair[::-1] in distinct for pair in distinct) / len(distinct))
    assert found.homophily == pytest.approx(sum(a % 2 == b % 2 for a, b in distinct) / len(distinct))


def test_features_and_classes():
    x = torch.tensor([[1.0, 0.0, 5.0], [3.0, 0.0, 5.0], [-2.0, 0.0, 5.0]])
    dataset = dataset_of([(0, 1)], [0, 2, -1], x)
    assert facts.feature_facts(x) == facts.FeatureFacts(-2.0, 5.0, pytest.approx(17 / 9), pytest.approx(3 / 9), 2)
    counts, unlabelled = facts.class_counts(dataset)
    assert (counts.tolist(), unlabelled) == ([1, 0, 1], 1)


def test_labels_of_a_multilabel_task():
    y = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    dataset = dataset_of([(0, 1)], [0, 1, 1, 1])._replace(y=y, task="multilabel", num_classes=2)
    counts, unlabelled = facts.class_counts(dataset)
    assert (counts.tolist(), unlabelled) == ([2, 1], 1)


@pytest.mark.parametrize(("num_nodes", "degree"), [(2, 3), (10, 3), (11, 3), (50, 1), (50, 0)])
def test_attention_edges_are_those_of_the_augmented_graph(num_nodes, degree):
    edges = torch.randint(num_nodes, (2, 60), generator=torch.Generator().manual_seed(degree))
    table = build_expander(num_nodes, degree, 0) if degree else None
    built = augment(edges, num_nodes, table)
    distinct = facts.edge_facts(dataset_of(edges.t().tolist(), [i % 2 for i in range(max(3, num_nodes))])).distinct
    assert facts.attention_edges(distinct, num_nodes, degree) == built.num_edges


@pytest.mark.parametrize(
    "x", [torch.tensor([[1.0, 0.0, 5.0, 0.0], [3.0, 0.0, 5.0, -1.0]]), torch.zeros(2, 3), torch.ones(2, 0)]
)
def test_facts_of_features_are_the_same_in_either_form(x):
    wanted = facts.feature_facts(x)
    assert facts.feature_facts(SparseFeatures.from_dense(x)) == pytest.approx(wanted)


def test_memory_of_features_names_both_forms():
    x = torch.zeros(1000, 250)
    x[:, 3] = 1
    assert facts.memory_of_features(x) == "1.0 MB, dense"
    assert facts.memory_of_features(SparseFeatures.from_dense(x)) == "0.0 MB, sparse (dense: 1.0 MB)"
