"""The callbacks of `spx.training.callbacks`, over short fits."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from daily import every_day
from lightning.fabric.plugins import TorchCheckpointIO

from spx.errors import ConfigError
from spx.training.callbacks import BestCheckpoint, EarlyEnd, EpochProgress, WeightAverage, checkpoint

from .conftest import Peak, Run, augmented, resampled, scalars, train, wide


def test_the_best_checkpoint_is_the_first_of_the_highest_validation_metric(wide_run: Run) -> None:
    values = scalars(wide_run.folder)["val/accuracy"]
    assert len(values) == 6
    best = torch.load(wide_run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == values.index(max(values))


def test_the_last_checkpoint_is_the_last_epochs(wide_run: Run) -> None:
    last = torch.load(wide_run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["epoch"], last["global_step"]) == (5, 6), "a fit is resumed from it"


@pytest.mark.full
def test_between_its_writes_the_last_checkpoint_rests_but_the_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    save = L.Trainer.save_checkpoint

    def record(trainer: L.Trainer, path: str, *args, **kwargs) -> None:
        if str(path).endswith("last.ckpt"):
            written.append(trainer.current_epoch)
        save(trainer, path, *args, **kwargs)

    monkeypatch.setattr(L.Trainer, "save_checkpoint", record)
    train(tmp_path / "rare", wide(), augmented(), BestCheckpoint(last_seconds=1e6), epochs=4)
    assert written == [0, 3]
    written.clear()
    train(tmp_path / "always", wide(), augmented(), BestCheckpoint(last_seconds=0), epochs=4)
    assert written == [0, 1, 2, 3]


def same(one: object, other: object) -> bool:
    """Whether two contents of checkpoints are equal, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.equal(other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.full
def test_a_best_checkpoint_waits_in_memory_and_is_what_it_was_when_it_was_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, int]] = []
    save = TorchCheckpointIO.save_checkpoint

    def record(self: TorchCheckpointIO, content: dict, path: str, *args: object, **more: object) -> None:
        written.append((Path(path).stem, content["epoch"]))
        save(self, content, path, *args, **more)

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", record)
    kept = {}
    for name, seconds in (("rare", 1e6), ("always", 0.0)):
        written.clear()
        best = BestCheckpoint(monitor="chosen", last_seconds=seconds)
        run = train(tmp_path / name, wide(lr=0.05, dropout=0.3), resampled(), Peak(3), best, epochs=6)
        kept[name] = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)
        if name == "rare":
            assert written == [("best", 0), ("last", 0), ("best", 3), ("last", 5)]
    assert len(written) == 4 + 6, "each of the first four epochs was the best"
    for part in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", "loops", "spx"):
        assert same(kept["rare"][part], kept["always"][part]), part
    (rare,), (always,) = (
        [value for key, value in kept[name]["callbacks"].items() if key.startswith("BestCheckpoint")] for name in kept
    )
    assert rare["best_model_score"] == always["best_model_score"]


class Breaks(L.Callback):
    """Raises at the start of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise ZeroDivisionError("broken")


def test_what_waits_is_written_when_the_fit_breaks(tmp_path: Path) -> None:
    best = BestCheckpoint(monitor="chosen", last_seconds=1e6)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, wide(), resampled(), Peak(2), Breaks(4), best, epochs=6)
    (path,) = tmp_path.glob("toy/run/version_0/checkpoints/best.ckpt")
    assert torch.load(path, weights_only=True)["epoch"] == 2


class Photograph(L.Callback):
    """Copies the run's checkpoints at the start of an epoch, as a kill would leave them there."""

    def __init__(self, epoch: int, folder: Path) -> None:
        self.epoch, self.folder = epoch, folder

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            shutil.copytree(trainer.checkpoint_callback.dirpath, self.folder)


class Chosen(L.Callback):
    """Logs "chosen", a value for each epoch, and moves a clock on by a second at the start of each."""

    def __init__(self, values: list[float]) -> None:
        self.values, self.now = values, 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.now += 1

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("chosen", torch.tensor(self.values[trainer.current_epoch]))


@every_day(("killed_in", "last_epoch", "best_epoch"), [(2, 0, 0), (3, 2, 1), (4, 2, 1)], [(3, 2, 1)])
def test_a_fit_killed_between_two_writes_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: int, last_epoch: int, best_epoch: int
) -> None:
    """Every second epoch writes. The third isn't the best, and its checkpoint knows that the second was."""
    left = tmp_path / "left"

    def fit(name: str, *more: L.Callback, ckpt_path: str | None = None) -> Path:
        chosen = Chosen([0.0, 2.0, 1.0, 3.0, 4.0, 0.0])
        monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: chosen.now))
        callbacks = (chosen, BestCheckpoint(monitor="chosen", last_seconds=2), *more)
        model = wide(lr=0.05, dropout=0.3)
        run = train(tmp_path / name, model, resampled(), *callbacks, epochs=6, ckpt_path=ckpt_path)
        return run.folder / "checkpoints"

    whole = fit("whole", Photograph(killed_in, left))
    epochs = [torch.load(left / name, weights_only=True)["epoch"] for name in ("last.ckpt", "best.ckpt")]
    assert epochs == [last_epoch, best_epoch]
    shutil.copytree(left, tmp_path / "gone_on" / "toy" / "run" / "version_0" / "checkpoints")
    gone_on = fit("gone_on", ckpt_path=str(left / "last.ckpt"))
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (torch.load(folder / name, weights_only=True) for folder in (gone_on, whole))
        assert one["epoch"] == other["epoch"]
        assert same(one["state_dict"], other["state_dict"])


@pytest.mark.full
def test_another_value_may_select_the_checkpoint(tmp_path: Path) -> None:
    run = train(tmp_path, wide(), augmented(), Peak(1), BestCheckpoint(monitor="chosen", mode="min", keep_last=False))
    assert torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 0
    run = train(tmp_path / "max", wide(), augmented(), Peak(1), BestCheckpoint(monitor="chosen", keep_last=False))
    assert torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 1
    assert not (run.folder / "checkpoints" / "last.ckpt").exists()


class EveryStep(L.Callback):
    """Keeps the weights and the first batch norm's variances after each step."""

    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []
        self.variances: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: object) -> None:
        self.weights.append(pl_module.network.head[0].weight.detach().clone())
        self.variances.append(pl_module.network.layers[0].norm1.running_var.clone())


def average_of(values: list[torch.Tensor], decay: float) -> torch.Tensor:
    """After t steps the decay is (1 + t) / (10 + t) at most: the first weights count for little from the start."""
    average = values[0]
    for steps, value in enumerate(values[1:], start=1):
        of_now = min(decay, (1 + steps) / (10 + steps))
        average = of_now * average + (1 - of_now) * value
    return average


def test_checkpoints_and_the_test_take_the_average_of_the_weights(tmp_path: Path) -> None:
    steps = EveryStep()
    run = train(tmp_path, wide(lr=0.05), resampled(), WeightAverage(0.28), steps, epochs=6, test=True)
    average = average_of(steps.weights, 0.28)
    last = torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    name = "network.head.0.weight"
    torch.testing.assert_close(last["state_dict"][name], average)
    variance = last["state_dict"]["network.layers.0.norm1.running_var"]
    torch.testing.assert_close(variance, average_of(steps.variances, 0.28))
    torch.testing.assert_close(last["current_model_state"][name], steps.weights[-1])
    best = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    torch.testing.assert_close(run.model.network.head[0].weight, best["state_dict"][name], rtol=0, atol=0)


@pytest.mark.full
def test_a_resumed_fit_goes_on_with_both_weights_and_average(tmp_path: Path) -> None:
    def fit(name: str, epochs: int, ckpt_path: str | None = None) -> dict[str, torch.Tensor]:
        model = wide(lr=0.05, lr_schedule="constant")
        run = train(tmp_path / name, model, resampled(), WeightAverage(0.9), epochs=epochs, ckpt_path=ckpt_path)
        return torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)

    whole = fit("whole", 4)
    fit("half", 2)
    resumed = fit("resumed", 4, str(tmp_path / "half" / "toy" / "run" / "version_0" / "checkpoints" / "last.ckpt"))
    for part in ("state_dict", "current_model_state"):
        torch.testing.assert_close(resumed[part], whole[part], rtol=0, atol=0)


@pytest.mark.full
def test_a_fit_ends_some_epochs_after_its_best(tmp_path: Path) -> None:
    run = train(tmp_path, wide(lr=1e-12), resampled(), EarlyEnd(patience=3), epochs=20, test=True)
    assert len(scalars(run.folder)["val/accuracy"]) == 4, "weights that don't move are best at first"
    assert torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EarlyEnd(patience=0), "patience is 0"),
        (lambda: WeightAverage(decay=1.0), "decay is 1.0"),
        (lambda: WeightAverage(decay=-0.1), "decay is -0.1"),
    ],
)
def test_a_setting_without_sense_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_the_progress_bar_runs_over_all_epochs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    L.seed_everything(0, verbose=False)
    bar = EpochProgress()
    trainer = L.Trainer(
        max_epochs=3,
        accelerator="cpu",
        callbacks=[bar],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(wide(), datamodule=augmented())
    assert (bar._bar.n, bar._bar.total) == (3, 3)
    shown = capsys.readouterr().err
    for words in ("epoch 3/3 |", "val/accuracy=0.", "train/loss="):
        assert words in shown
