"""Predictions of loaded runs against whole-graph passes by hand."""

from collections.abc import Callable

import polars as pl
import pytest
import torch
from scipy.sparse import csr_matrix
from torch_geometric.data import Data

from benchmarks.common import generated_dataset
from spx.data import AugmentedGraphData, graph_data
from spx.datasets import NodeDataset
from spx.errors import ArtifactError, ConfigError
from spx.graph import sampling
from spx.graph.features import SparseFeatures
from spx.inference.run import TrainedRun
from spx.training import AttentionEstimator, GCNBaseline

from .conftest import by_hand, resampled

MakeRun = Callable[..., TrainedRun]
close = dict(rtol=0, atol=1e-6)


@pytest.mark.parametrize("dataset", ["toy", "toy-binary", "toy-labels"])
@pytest.mark.parametrize("draws", [1, 2, 5])
def test_mean_and_spread_are_those_of_the_evaluation_s_draws(dataset: str, draws: int, make_run: MakeRun) -> None:
    run = make_run(dataset)
    predictions = run.predict(draws=draws)
    mean, spread = by_hand(run, draws)
    torch.testing.assert_close(predictions.probabilities, mean, **close)
    if draws == 1:
        assert predictions.spread is None
    else:
        torch.testing.assert_close(predictions.spread, spread, **close)
        assert spread.max() > 1e-3
    assert predictions.nodes.equal(torch.arange(90))
    assert predictions.class_names == run.class_names
    assert predictions.task == run.data.task


@pytest.mark.full
def test_batches_don_t_change_what_is_predicted_and_nothing_is_drawn_anew(make_run: MakeRun) -> None:
    run = make_run()
    whole = run.predict(draws=3)
    for batch_size in (1, 7, 90, 1000):
        batches = list(run.predict_batches(draws=3, batch_size=batch_size))
        assert [batch.nodes.numel() for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
        assert len(batches) == -(-90 // batch_size)
        for name in ("probabilities", "spread"):
            parts = torch.cat([getattr(batch, name) for batch in batches])
            torch.testing.assert_close(parts, getattr(whole, name), **close)
    assert run.predict(draws=3).probabilities.equal(whole.probabilities)


def test_some_nodes_in_the_order_given(make_run: MakeRun) -> None:
    run = make_run()
    run.data.dataset = run.data.dataset._replace(node_ids=pl.Series([f"n{number}" for number in range(90)]))
    whole, some = run.predict(draws=2), run.predict(["n70", "n3", "n12"], draws=2, batch_size=2)
    assert some.ids.to_list() == ["n70", "n3", "n12"]
    assert some.nodes.tolist() == [70, 3, 12]
    torch.testing.assert_close(some.probabilities, whole.probabilities[some.nodes], **close)
    assert run.predict(nodes=torch.tensor([70, 3, 12]), draws=2, batch_size=2).probabilities.equal(some.probabilities)


def test_few_nodes_are_predicted_without_drawing_the_graph(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, few = generated_dataset(4000, 10), torch.tensor([17, 3999, 1800])
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: dataset)
    drawn: list[int] = []
    sample = sampling.sample_neighbors

    def count(*arguments: object) -> object:
        table = sample(*arguments)
        drawn.append(table.num_nodes)
        return table

    monkeypatch.setattr(sampling, "sample_neighbors", count)
    run = make_run("generated")
    some = run.predict(nodes=few, draws=2)
    assert 0 < sum(drawn) < 100
    drawn.clear()
    whole = run.predict(draws=2)
    assert drawn == [4000] * 4, "two draws of two layers"
    torch.testing.assert_close(some.probabilities, whole.probabilities[few], **close)
    drawn.clear()
    assert run.predict(nodes=few, draws=2).probabilities.equal(some.probabilities)
    assert drawn == [], "whole tables that are there are used"


def test_new_features_alone_or_with_the_graph(make_run: MakeRun, toy: NodeDataset) -> None:
    run, x = make_run(), torch.randn(90, 5, generator=torch.Generator().manual_seed(8))
    mean, _ = by_hand(run, 2, x)
    for predictions in (
        run.predict(x=x, draws=2),
        run.predict(x=x.numpy(), draws=2),
        run.predict(Data(x=x, edge_index=toy.edge_index), draws=2),
        run.predict(toy._replace(x=x), draws=2),
    ):
        torch.testing.assert_close(predictions.probabilities, mean, **close)
    some = run.predict(Data(x=x, edge_index=toy.edge_index), nodes=[5, 4], draws=2)
    torch.testing.assert_close(some.probabilities, mean[[5, 4]], **close)
    plain = run.predict(Data(edge_index=toy.edge_index, num_nodes=90), draws=2)
    torch.testing.assert_close(plain.probabilities, by_hand(run, 2)[0], **close)


@pytest.mark.parametrize("kind", ["exphormer", "estimator", "gcn"])
def test_data_without_draws_give_one_prediction_and_no_spread(
    kind: str, make_run: MakeRun, whole: AugmentedGraphData
) -> None:
    if kind == "gcn":
        data = AugmentedGraphData("toy", expander_degree=0, self_loops=False)
        run = make_run(data=data, kind=GCNBaseline)
    else:
        run = make_run(data=whole, **({"kind": AttentionEstimator} if kind == "estimator" else {}))
    with torch.no_grad():
        expected = run.model.network(run.data.dataset.x, (run.data.graph,)).softmax(-1)
    batches = list(run.predict_batches(nodes=list(range(50, 80)), batch_size=12))
    assert [batch.nodes.numel() for batch in batches] == [12, 12, 6]
    torch.testing.assert_close(torch.cat([batch.probabilities for batch in batches]), expected[50:80], **close)
    assert {batch.spread for batch in batches} == {None}
    assert "spread:a" not in batches[0].table().columns


def test_the_largest_scores_are_the_same_in_each_draw(
    make_run: MakeRun, whole: AugmentedGraphData, tmp_path, write_scores: Callable
) -> None:
    data = resampled(sampler="top", scores=str(write_scores(tmp_path / "scores.safetensors", whole)))
    predictions = make_run(data=data).predict(draws=5)
    assert predictions.spread is None


def test_statistics_of_the_nodes_at_hand_are_those_of_all_nodes(make_run: MakeRun) -> None:
    run = make_run(norm="graph")
    mean, spread = by_hand(run, 2)
    predictions = run.predict(nodes=[9, 4, 30], draws=2, batch_size=2)
    torch.testing.assert_close(predictions.probabilities, mean[[9, 4, 30]], **close)
    torch.testing.assert_close(predictions.spread, spread[[9, 4, 30]], **close)


def test_batches_and_draws_are_made_when_they_are_asked_for(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run, made = make_run(), []
    forward = run.model.network.forward

    def watch(*arguments: object) -> torch.Tensor:
        made.append("forward")
        return forward(*arguments)

    monkeypatch.setattr(run.model.network, "forward", watch)
    build = torch.unique
    monkeypatch.setattr("spx.graph.blocks.torch.unique", lambda *args, **more: made.append("b") or build(*args, **more))
    batches = run.predict_batches(draws=3, batch_size=10)
    assert made == []
    next(batches)
    assert made == ["b", "b", "forward"] * 3, "two layers' blocks, one pass, then the next draw"


def test_what_is_predicted_can_be_computed_with(make_run: MakeRun) -> None:
    predictions = make_run().predict(draws=2)
    weight = torch.ones(3, requires_grad=True)
    (predictions.probabilities * weight).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"draws": 0}, "draws is 0 and batch_size 10000; both must be at least 1"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"nodes": ["x"]}, "1 of 1 nodes aren't in the graph"),
        ({"x": torch.zeros(3, 5)}, r"this run needs \[90, 5\]"),
        ({"graph_or_nodes": [1], "nodes": [2]}, "given twice"),
    ],
)
def test_what_can_not_be_is_refused_before_the_first_batch(settings: dict, words: str, make_run: MakeRun) -> None:
    with pytest.raises(ConfigError, match=words):
        make_run().predict_batches(**settings)


def test_another_graph_needs_the_run_s_files(make_run: MakeRun, toy: NodeDataset) -> None:
    with pytest.raises(ArtifactError, match="There is no folder run"):
        make_run().predict(Data(x=toy.x, edge_index=toy.edge_index[:, 1:]))


@pytest.mark.full
def test_sparse_features_are_predicted_as_dense_ones(make_run: MakeRun, toy: NodeDataset) -> None:
    """Of the run, and given anew in whatever form."""
    x = toy.x * (toy.x > 1)
    wanted = make_run().predict(x=x, batch_size=20)
    for form in (SparseFeatures.from_dense(x), csr_matrix(x.numpy()), x.to_sparse(), Data(x=x.to_sparse_csr())):
        given = Data(x=form.x, edge_index=toy.edge_index) if isinstance(form, Data) else None
        found = make_run().predict(given, x=None if given is not None else form, batch_size=20)
        torch.testing.assert_close(found.probabilities, wanted.probabilities, rtol=1e-5, atol=1e-6)
    run = make_run()
    run.data.__dict__["dataset"] = toy._replace(x=SparseFeatures.from_dense(x))
    torch.testing.assert_close(run.predict(batch_size=20).probabilities, wanted.probabilities, rtol=1e-5, atol=1e-6)
