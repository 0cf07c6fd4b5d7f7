import lightning as L
import pytest
import torch

from spx.data import AugmentedGraphData, NodeBatch, graph_data
from spx.datasets import NodeDataset, OwnSettings
from spx.errors import ConfigError
from spx.graph.csr import EdgeType

from .conftest import at_epoch, same


def assert_batch(batch: NodeBatch, dataset: NodeDataset, nodes: torch.Tensor, data: AugmentedGraphData) -> None:
    assert batch.x.equal(dataset.x), "all nodes enter"
    assert same(batch.neighborhoods, (data.graph,)), "one neighbourhood, which all layers share"
    assert batch.targets.equal(nodes)
    assert batch.nodes.equal(nodes)
    assert batch.y.equal(dataset.y[nodes])


def test_training_is_one_batch_of_the_whole_graph(toy: NodeDataset) -> None:
    data = AugmentedGraphData("toy", expander_degree=2)
    batches = list(data.train_dataloader())
    assert len(batches) == 1
    assert_batch(batches[0], toy, toy.split.train, data)


@pytest.mark.parametrize("part", ["val", "test", "predict"])
def test_evaluation_is_one_draw_of_the_whole_graph(toy: NodeDataset, part: str) -> None:
    data = AugmentedGraphData("toy", expander_degree=2)
    ((batch,),) = list(getattr(data, f"{part}_dataloader")())
    nodes = torch.arange(toy.num_nodes) if part == "predict" else getattr(toy.split, part)
    assert_batch(batch, toy, nodes, data)


def test_the_graph_has_the_datasets_edges_the_expanders_and_the_self_loops(toy: NodeDataset) -> None:
    data = AugmentedGraphData("toy", expander_degree=3)
    counts = torch.bincount(data.graph.edge_type.long()).tolist()
    source, target = toy.edge_index
    proper = {pair for pair in zip(source.tolist(), target.tolist(), strict=True) if pair[0] != pair[1]}
    assert counts == [len(proper), 6 * toy.num_nodes, toy.num_nodes]
    assert data.edges_per_layer == [sum(counts)]
    assert data.augmented_edges == sum(counts)


def test_without_expander_and_self_loops_the_graph_is_the_datasets(toy: NodeDataset) -> None:
    graph = AugmentedGraphData("toy", expander_degree=0, self_loops=False).graph
    assert (graph.edge_type == EdgeType.GRAPH).all()
    columns = {(int(a), int(b)) for a, b in toy.edge_index.T if a != b}
    assert {(int(a), int(b)) for a, b in graph.edge_index().T} == columns


def test_the_expander_is_a_function_of_the_seed(toy: NodeDataset) -> None:
    first, again, other = (AugmentedGraphData("toy", seed=seed, expander_degree=2).graph for seed in (3, 3, 4))
    assert same(first, again)
    assert not first.source.equal(other.source)


def test_runs_of_several_seeds_may_share_one_expander(toy: NodeDataset) -> None:
    first, other, own = (
        AugmentedGraphData("toy", seed=seed, expander_degree=2, expander_seed=shared).graph
        for seed, shared in ((3, 7), (4, 7), (7, None))
    )
    assert same(first, other)
    assert same(first, own)


def test_the_expander_is_of_the_kind_that_is_asked_for(toy: NodeDataset) -> None:
    cycles, permutations = (
        AugmentedGraphData("toy", expander_degree=2, expander=kind).graph for kind in ("hamiltonian", "permutation")
    )
    assert cycles.num_edges == permutations.num_edges
    assert not cycles.source.equal(permutations.source)


def test_the_dataset_is_loaded_once_and_not_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(*arguments: object) -> str:
        asked.append(arguments)
        return "a dataset"

    monkeypatch.setattr(graph_data, "load_dataset", load)
    data = AugmentedGraphData("toy", data_dir="elsewhere", protocol="paper", split=7, undirected=True)
    assert asked == []
    assert (data.dataset, data.dataset) == ("a dataset", "a dataset")
    assert asked == [("toy", "elsewhere", "paper", 7, OwnSettings(undirected=True), None, "auto")]


def test_the_models_settings_follow_from_the_data(toy: NodeDataset) -> None:
    data = AugmentedGraphData("toy-labels")
    assert (data.num_features, data.num_outputs, data.task, data.metric) == (5, 4, "multilabel", "roc_auc")


def test_a_negative_expander_degree_is_refused() -> None:
    with pytest.raises(ConfigError, match="expander_degree is -1; it must be at least 0"):
        AugmentedGraphData("toy", expander_degree=-1)


def test_several_devices_must_split_the_graph(toy: NodeDataset) -> None:
    at_epoch(AugmentedGraphData("toy")).setup("fit")
    with pytest.raises(ConfigError, match=r"2 devices .*whole graph.*--data\.shard true.*--trainer\.devices 1"):
        at_epoch(AugmentedGraphData("toy"), world_size=2).setup("fit")


def test_a_trainer_that_would_share_out_the_nodes_itself_is_refused(toy: NodeDataset) -> None:
    """Lightning's own setting, which only `spx fit` turns off."""
    data, settings = AugmentedGraphData("toy", shard=True), {"accelerator": "cpu", "logger": False}
    data.trainer = L.Trainer(devices=2, strategy="ddp", **settings)
    with pytest.raises(ConfigError, match="Set use_distributed_sampler=False in the Trainer"):
        data.setup("fit")
    data.trainer = L.Trainer(devices=2, strategy="ddp", use_distributed_sampler=False, **settings)
    data.check_ranks()
    data.trainer = L.Trainer(devices=1, **settings)
    data.check_ranks()
