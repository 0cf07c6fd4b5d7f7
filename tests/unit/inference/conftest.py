"""Untrained networks on toy graphs, their runs' folders, and predictions made by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from torch import Tensor

from spx.data import AugmentedGraphData, GraphData, ResampledGraphData
from spx.datasets import NodeDataset
from spx.inference.predictions import Predictions
from spx.inference.run import TrainedRun
from spx.training import NodeTask, Spexphormer

NUM_FEATURES = 5
MODEL = {"class_path": "spx.training.wide.Spexphormer", "init_args": {"width": 8}}
DATA = {"class_path": "spx.data.resampled.ResampledGraphData"}
UNIFORM = {"dataset": "toy", "k": [2, 3], "sampler": "uniform", "expander_degree": 2}


def from_data(data: GraphData) -> dict:
    names = ("num_features", "num_outputs", "task", "metric")
    return {name: getattr(data, name) for name in names}


def network(data: GraphData, kind: type[NodeTask] = Spexphormer, **settings: object) -> NodeTask:
    """Two layers in evaluation mode, with running statistics away from their start."""
    torch.manual_seed(3)
    usual = {"width": 8, "num_layers": 2, **({"num_heads": 2} if kind is Spexphormer else {})}
    model = kind(**usual | settings, **from_data(data))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def resampled(dataset: str = "toy", **settings: object) -> ResampledGraphData:
    return ResampledGraphData(dataset, **{"k": [2, 3], "sampler": "uniform", "expander_degree": 2} | settings)


@pytest.fixture
def make_run(toy: NodeDataset) -> Callable[..., TrainedRun]:
    """make_run(dataset, data=None, kind=Spexphormer, **model): an untrained run; by default on resampled graphs."""

    def make(
        dataset: str = "toy", data: GraphData | None = None, kind: type[NodeTask] = Spexphormer, **settings: object
    ) -> TrainedRun:
        data = data or resampled(dataset)
        names = tuple("abcdefghijklmnop"[: data.num_outputs])
        return TrainedRun(Path("run"), network(data, kind, **settings), data, names)

    return make


@pytest.fixture
def whole(toy: NodeDataset) -> AugmentedGraphData:
    return AugmentedGraphData("toy", expander_degree=2)


@torch.no_grad()
def by_hand(run: TrainedRun, draws: int, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and sample deviation [N, C] over whole-graph passes along the evaluation's tables."""
    x = run.data.dataset.x if x is None else x
    logits = torch.stack([run.model.network(x, run.data.draw(-1 - number)) for number in range(draws)])
    probabilities = logits.sigmoid() if run.model.task == "multilabel" else logits.softmax(-1)
    mean = probabilities.mean(0)
    return mean, ((probabilities - mean).square().sum(0) / (draws - 1)).sqrt() if draws > 1 else mean


def predictions(
    num_nodes: int = 7,
    names: tuple[str, ...] = ("a", "b", "c"),
    ids: list | None = None,
    spread: bool = True,
    task: str = "multiclass",
    first: int = 0,
) -> Predictions:
    """Random ones of the nodes from `first` on."""
    generator = torch.Generator().manual_seed(first)
    nodes = torch.arange(first, first + num_nodes)
    p = torch.rand(num_nodes, len(names), generator=generator)
    p = p if task == "multilabel" else p / p.sum(1, keepdim=True)
    deviation = torch.rand(num_nodes, len(names), generator=generator) if spread else None
    return Predictions(nodes, pl.Series(nodes.numpy() if ids is None else ids), p, deviation, names, task)


@pytest.fixture
def run_folder(toy: NodeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the fit of an untrained network on uniformly sampled graphs would leave."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "toy" / "wide" / "version_0"
    (folder / "checkpoints").mkdir(parents=True)
    data = resampled()
    model = network(data)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    write_config(folder)
    record = {"cwd": str(tmp_path), "folder": str(folder), "seed": 0, "dataset": "toy", "class_names": None}
    (folder / "run.json").write_text(json.dumps(record | {"data_fingerprint": data.data_fingerprint}))
    return folder


def write_config(folder: Path, model: Any = MODEL, data: Any = None, **more: Any) -> None:
    data = {**DATA, "init_args": UNIFORM} if data is None else data
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": model, "data": data, "seed_everything": 3, **more}))


def change_record(folder: Path, **changes: Any) -> None:
    record = json.loads((folder / "run.json").read_text()) | changes
    (folder / "run.json").write_text(json.dumps(record))
