"""Short fits of toy graphs with all callbacks of a run, and TensorBoard's files read back."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spx.data import AugmentedGraphData, GraphData, ResampledGraphData, graph_data
from spx.datasets import NodeDataset
from spx.training import AttentionEstimator, NodeTask, Spexphormer
from spx.training.callbacks import BestCheckpoint
from spx.training.handover import ScoreHandover
from spx.training.monitor import AttentionMonitor
from spx.training.record import RunRecord


class Run(NamedTuple):
    trainer: L.Trainer
    model: NodeTask
    data: GraphData
    folder: Path


def train(
    folder: Path,
    model: NodeTask,
    data: GraphData,
    *callbacks: L.Callback,
    name: str = "run",
    epochs: int = 3,
    test: bool = False,
    ckpt_path: str | None = None,
    **trainer_settings: object,
) -> Run:
    """Fit, and test the best checkpoint on request, as the command line does, below the folder."""
    L.seed_everything(0, verbose=False)
    given = {type(callback) for callback in callbacks}
    usual = (RunRecord(name, ["a.yaml"]), LearningRateMonitor("epoch"))
    usual += (ScoreHandover(), BestCheckpoint(), AttentionMonitor())
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=TensorBoardLogger(folder, f"{data.dataset_name}/{name}", 0, default_hp_metric=False),
        callbacks=[*(callback for callback in usual if type(callback) not in given), *callbacks],
        log_every_n_steps=1,
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **trainer_settings,
    )
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    if test:
        trainer.test(model, datamodule=data, ckpt_path="best", verbose=False)
    return Run(trainer, model, data, folder / data.dataset_name / name / "version_0")


def scalars(folder: Path) -> dict[str, list[float]]:
    """All scalars that TensorBoard shows for the run, by tag, in the order of their steps."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def estimator(**settings: object) -> AttentionEstimator:
    usual = {
        "width": 4,
        "num_layers": 2,
        "lr": 0.05,
        "num_features": 5,
        "num_outputs": 3,
        "task": "multiclass",
        "metric": "accuracy",
        "warmup_epochs": 1,
    }
    torch.manual_seed(0)
    return AttentionEstimator(**usual | settings)


def wide(**settings: object) -> Spexphormer:
    usual = {
        "width": 8,
        "num_layers": 2,
        "num_heads": 2,
        "num_features": 5,
        "num_outputs": 3,
        "task": "multiclass",
        "metric": "accuracy",
        "warmup_epochs": 1,
    }
    torch.manual_seed(0)
    return Spexphormer(**usual | settings)


def augmented(dataset: str = "toy", **settings: object) -> AugmentedGraphData:
    return AugmentedGraphData(dataset, **{"expander_degree": 2} | settings)


def resampled(dataset: str = "toy", **settings: object) -> ResampledGraphData:
    """Uniformly sampled, so that no score file is needed."""
    return ResampledGraphData(dataset, **{"k": [2, 3], "sampler": "uniform", "expander_degree": 2} | settings)


class Peak(L.Callback):
    """Logs "chosen", which is highest at one epoch, and keeps the last epoch's weights."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.last: dict[str, torch.Tensor] = {}

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("chosen", torch.tensor(1 - abs(trainer.current_epoch - self.epoch) / 10))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.last = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}


@pytest.fixture(autouse=True)
def _toy_graphs(toy: NodeDataset) -> None:
    """All DataModules here load toy graphs."""


@pytest.fixture(scope="session")
def estimator_run(tmp_path_factory: pytest.TempPathFactory, load_toy: Callable[..., NodeDataset]) -> Run:
    """5 epochs at T = 1, 1, 0.5, 0.25, 0.125, of which the callback `Peak` makes the fourth the best."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_data, "load_dataset", load_toy)
        model = estimator(temperature_decay=0.5, temperature_wait=1, norm="batch", dropout=0.3, num_heads=2)
        callbacks = (Peak(3), BestCheckpoint(monitor="chosen"))
        return train(tmp_path_factory.mktemp("estimator"), model, augmented(), *callbacks, name="estimator", epochs=5)


@pytest.fixture(scope="session")
def wide_run(tmp_path_factory: pytest.TempPathFactory, load_toy: Callable[..., NodeDataset]) -> Run:
    """6 epochs and the test of the best checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_data, "load_dataset", load_toy)
        data = resampled(resample_every=2)
        return train(tmp_path_factory.mktemp("wide"), wide(lr=0.05), data, name="wide", epochs=6, test=True)
