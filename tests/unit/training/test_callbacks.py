"""The callbacks of `spx.training.callbacks`, over short fits."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch

from spx.errors import ConfigError
from spx.training.callbacks import BestCheckpoint, EarlyEnd, EpochProgress, WeightAverage

from .conftest import Peak, Run, augmented, resampled, scalars, train, wide


def test_the_best_checkpoint_is_the_first_of_the_highest_validation_metric(wide_run: Run) -> None:
    values = scalars(wide_run.folder)["val/accuracy"]
    assert len(values) == 6
    best = torch.load(wide_run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == values.index(max(values))


def test_the_last_checkpoint_is_the_last_epochs(wide_run: Run) -> None:
    last = torch.load(wide_run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["epoch"], last["global_step"]) == (5, 6), "a fit is resumed from it"


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


def test_another_value_may_select_the_checkpoint(tmp_path: Path) -> None:
    run = train(tmp_path, wide(), augmented(), Peak(1), BestCheckpoint(monitor="chosen", mode="min", keep_last=False))
    assert torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 0
    run = train(tmp_path / "max", wide(), augmented(), Peak(1), BestCheckpoint(monitor="chosen", keep_last=False))
    assert torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 1
    assert not (run.folder / "checkpoints" / "last.ckpt").exists()


class EveryStep(L.Callback):
    """Keeps the weights after each step."""

    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: object) -> None:
        self.weights.append(pl_module.network.head[0].weight.detach().clone())


def test_checkpoints_and_the_test_take_the_average_of_the_weights(tmp_path: Path) -> None:
    steps = EveryStep()
    run = train(tmp_path, wide(lr=0.05), resampled(), WeightAverage(0.5), steps, epochs=4, test=True)
    average = steps.weights[0]
    for weights in steps.weights[1:]:
        average = 0.5 * average + 0.5 * weights
    last = torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    name = "network.head.0.weight"
    torch.testing.assert_close(last["state_dict"][name], average)
    torch.testing.assert_close(last["current_model_state"][name], steps.weights[-1])
    best = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    torch.testing.assert_close(run.model.network.head[0].weight, best["state_dict"][name], rtol=0, atol=0)


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
