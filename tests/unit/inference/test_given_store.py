"""Loaded runs whose features are a store's: predictions and explanations by them, and who says so."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

import spx
from spx.datasets import NodeDataset
from spx.errors import ConfigError, DatasetError
from spx.inference.run import TrainedRun

from .conftest import by_hand, resampled, write_config

MakeRun = Callable[..., TrainedRun]
OTHER = 0.5
"""By how much the store's features are other than the dataset's."""


@pytest.mark.parametrize("norm", ["batch", "graph"])
def test_predictions_are_by_the_store_s_features(toy: NodeDataset, make_run: MakeRun, norm: str) -> None:
    x = toy.x + OTHER
    run = make_run(data=resampled(feature_store=Data(x=x)), norm=norm)
    mean, _ = by_hand(run, 3, x)
    torch.testing.assert_close(run.predict(draws=3, batch_size=17).probabilities, mean, rtol=0, atol=1e-6)
    some = run.predict(nodes=torch.tensor([70, 3]), draws=3).probabilities
    torch.testing.assert_close(some, mean[[70, 3]], rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "graph"])
def test_explanations_are_by_the_store_s_features(toy: NodeDataset, make_run: MakeRun, norm: str) -> None:
    x = toy.x + OTHER
    stored = make_run(data=resampled(feature_store=Data(x=x)), norm=norm)
    held = make_run(norm=norm)
    held.data.use_dataset(toy._replace(x=x))
    tables, expected = (run.explain([5, 41], draws=2).tables() for run in (stored, held))
    assert all(tables[name].equals(expected[name]) for name in expected)


def test_a_store_is_given_with_the_run(toy: NodeDataset, run_folder: Path) -> None:
    x = toy.x + OTHER
    run = spx.load(run_folder, feature_store=Data(x=x))
    assert run.predict(draws=2).probabilities.equal(spx.load(run_folder).predict(draws=2, x=x).probabilities)


def test_a_run_that_was_trained_by_a_store_says_so(
    toy: NodeDataset, run_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = run_folder / "checkpoints/best.ckpt"
    state = resampled(feature_store=Data(x=toy.x)).state_dict()
    torch.save({**torch.load(path, weights_only=True), "ResampledGraphData": state}, path)
    with caplog.at_level(logging.WARNING):
        spx.load(run_folder, feature_store=Data(x=toy.x))
        assert not caplog.records
        spx.load(run_folder)
    (record,) = caplog.records
    assert "was trained by features of a store (Data); here they are the dataset's" in record.getMessage()


def test_stores_that_a_loaded_run_can_t_take(toy: NodeDataset, run_folder: Path) -> None:
    with pytest.raises(DatasetError, match="has 4 features a node, the dataset 5"):
        spx.load(run_folder, feature_store=Data(x=toy.x[:, :4]))
    with pytest.raises(ConfigError, match="feature_store is a Tensor"):
        spx.load(run_folder, feature_store=toy.x)


def test_a_run_of_the_whole_graph_takes_none(toy: NodeDataset, run_folder: Path) -> None:
    settings = {"dataset": "toy", "expander_degree": 2}
    write_config(run_folder, data={"class_path": "spx.data.AugmentedGraphData", "init_args": settings})
    with pytest.raises(ConfigError, match="trains on the whole graph and takes no feature store"):
        spx.load(run_folder, feature_store=Data(x=toy.x))


def test_a_store_that_the_run_s_files_name_is_passed_over(toy: NodeDataset, run_folder: Path) -> None:
    store = {"class_path": "torch_geometric.data.Data", "init_args": {"x": None}}
    settings = {"dataset": "toy", "k": [2, 3], "sampler": "uniform", "expander_degree": 2, "feature_store": store}
    write_config(run_folder, data={"class_path": "spx.data.ResampledGraphData", "init_args": settings})
    assert spx.load(run_folder).data.feature_store is None
