"""What the look at the attention logs, when, and for whom."""

import math
from pathlib import Path

import pytest
import torch

from spx.analysis.row_ranges import select_rows
from spx.errors import ConfigError
from spx.graph.csr import EdgeType
from spx.training import Baseline
from spx.training.monitor import AttentionMonitor

from .conftest import Run, augmented, estimator, resampled, scalars, train, wide


def test_entropy_shares_and_top_k_mass_are_those_of_the_scores(tmp_path: Path) -> None:
    model, data = estimator(lr=1e-9), augmented()  # so small a rate that the weights stay as they are
    logged = scalars(train(tmp_path, model, data, epochs=1).folder)
    graph = data.graph
    rows = graph.rows()
    for layer, p in enumerate(model.attention_scores(data.dataset.x, graph), start=1):
        of_nodes = [p[rows == node].double() for node in range(graph.num_nodes)]
        entropies = [-float((row * row.log()).sum()) / math.log(len(row)) for row in of_nodes]
        expected = sum(entropies) / len(entropies)
        assert logged[f"which_edges/entropy_layer_{layer}"] == [pytest.approx(expected, abs=1e-4)]
        for edge_type in EdgeType:
            share = float(p[graph.edge_type == edge_type].sum() / p.sum())
            key = f"which_edges/share_{edge_type.name.lower()}_layer_{layer}"
            assert logged[key] == [pytest.approx(share, abs=1e-4)]
        for k in (1, 2, 4, 8):
            held = [float(row.sort(descending=True).values[:k].sum()) for row in of_nodes]
            assert logged[f"which_edges/top_{k}_layer_{layer}"] == [pytest.approx(sum(held) / len(held), abs=1e-4)]
    assert logged["which_edges/seconds"][0] > 0


def test_the_attention_is_looked_at_every_few_epochs(tmp_path: Path) -> None:
    logged = scalars(train(tmp_path / "some", estimator(), augmented(), AttentionMonitor(every=5), epochs=7).folder)
    assert len(logged["which_edges/entropy_layer_2"]) == 2, "epochs 0 and 5"
    assert len(logged["val/loss"]) == 7
    logged = scalars(train(tmp_path / "never", estimator(), augmented(), AttentionMonitor(every=0)).folder)
    assert not [tag for tag in logged if tag.startswith("which_edges/")]


@pytest.mark.full
def test_any_network_with_attention_is_looked_at(wide_run: Run, tmp_path: Path) -> None:
    assert scalars(wide_run.folder)["which_edges/top_2_layer_1"] == pytest.approx([1]), "a sampled graph, k is 2 there"
    batches = train(tmp_path / "batches", wide(), resampled(batch_size=20), epochs=1)
    assert 0 < scalars(batches.folder)["which_edges/entropy_layer_2"][0] <= 1
    torch.manual_seed(0)
    gcn = train(
        tmp_path / "gcn",
        Baseline(width=4, num_features=5, num_outputs=3, task="multiclass", metric="accuracy"),
        augmented(),
        epochs=1,
    )
    assert not [tag for tag in scalars(gcn.folder) if tag.startswith("which_edges/")]


def test_a_measure_that_no_node_has_is_left_out(tmp_path: Path) -> None:
    """One slot leaves no choice, whose entropy would be nan."""
    logged = scalars(train(tmp_path, wide(), resampled(k=[1, 2]), epochs=1).folder)
    assert "which_edges/entropy_layer_1" not in logged
    assert 0 < logged["which_edges/entropy_layer_2"][0] <= 1
    assert logged["which_edges/top_1_layer_1"] == [pytest.approx(1)]
    assert all(math.isfinite(value) for values in logged.values() for value in values)


@pytest.mark.full
def test_the_look_changes_nothing(tmp_path: Path) -> None:
    states = []
    for every in (0, 1):
        run = train(tmp_path / str(every), wide(dropout=0.5), resampled(), AttentionMonitor(every=every))
        states.append(run.model.state_dict())
    assert all(states[0][name].equal(states[1][name]) for name in states[0])


def test_evenly_spaced_rows_stand_for_a_long_graph() -> None:
    graph = augmented().graph
    rows, edges = select_rows(graph, 20)
    assert rows.num_nodes == 18
    assert rows.degrees().equal(graph.degrees()[::5])
    assert edges.equal(torch.isin(graph.rows(), torch.arange(0, 90, 5)).nonzero().squeeze(1))
    assert rows.source.equal(graph.source[edges])
    assert select_rows(graph, 1000)[1].equal(torch.arange(graph.num_edges))


@pytest.mark.parametrize("settings", [{"every": -1}, {"top_k": (0,)}, {"max_nodes": 0}])
def test_settings_that_can_not_be(settings: dict) -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        AttentionMonitor(**settings)
