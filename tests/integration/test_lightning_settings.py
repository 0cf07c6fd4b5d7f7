"""What Lightning's users give, through both stages: it works, or it is refused in one line before the training."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from daily import every_day

from spx.__main__ import main
from spx.training.task import NodeTask

from .conftest import Stages

Refused = Callable[..., str]
TRAINER = "--trainer.callbacks+="

WORK = [
    "--trainer.logger false",
    f"{TRAINER}ModelCheckpoint",
    f"{TRAINER}ModelCheckpoint --trainer.callbacks.monitor=val/loss --trainer.callbacks.save_top_k=-1",
    f"{TRAINER}LearningRateFinder --trainer.callbacks.num_training_steps=6",
    f"{TRAINER}EarlyStopping --trainer.callbacks.monitor=val/loss",
    f"{TRAINER}DeviceStatsMonitor",
    f"{TRAINER}LearningRateMonitor",
    f"{TRAINER}ModelSummary",
    f"{TRAINER}RichModelSummary",
    f"{TRAINER}OnExceptionCheckpoint --trainer.callbacks.dirpath=elsewhere",
    f"{TRAINER}ModelPruning --trainer.callbacks.pruning_fn=l1_unstructured",
    f"{TRAINER}StochasticWeightAveraging --trainer.callbacks.swa_lrs=0.01",
    f"{TRAINER}WeightAveraging",
    f"{TRAINER}EMAWeightAveraging",
    f"{TRAINER}RichProgressBar",
    f"{TRAINER}TQDMProgressBar",
    f"{TRAINER}LambdaCallback",
    f"{TRAINER}spx.training.callbacks.EarlyEnd --trainer.callbacks.patience=1 --trainer.limit_val_batches=0",
    "--trainer.fast_dev_run true",
    "--trainer.limit_val_batches 0",
    "--trainer.limit_val_batches 1",
    "--trainer.overfit_batches 1",
    "--trainer.check_val_every_n_epoch 5",
    "--trainer.val_check_interval 1",
    "--trainer.max_epochs -1 --trainer.max_steps 2",
    "--trainer.max_steps 1",
    "--trainer.max_time 00:01:00:00",
    "--trainer.accumulate_grad_batches 2",
    "--trainer.detect_anomaly true",
    "--trainer.deterministic true",
    "--trainer.profiler simple",
    "--trainer.precision 64-true",
    "--trainer.precision bf16-mixed",
    "--trainer.precision 16-mixed",
    "--trainer.enable_progress_bar false",
    "--trainer.enable_model_summary true",
    "--trainer.num_sanity_val_steps 2",
    "--trainer.gradient_clip_algorithm value",
    "--trainer.default_root_dir elsewhere",
    "--seed_everything true",
    "--seed_everything false",
]
EVERY_DAY = {
    "--trainer.logger false",
    "--trainer.fast_dev_run true",
    "--trainer.limit_val_batches 0",
}
"""What changes a run's folder or its record the most; the others are tried in full."""
REFUSED = {
    f"{TRAINER}spx.training.callbacks.BestCheckpoint": "Set it with --checkpoint.*.",
    f"{TRAINER}spx.training.handover.ScoreHandover": "Set it with --handover.*.",
    f"{TRAINER}EarlyStopping --trainer.callbacks.monitor=nothing": "watches 'nothing', which isn't logged. Logged are",
    f"{TRAINER}EarlyStopping --trainer.callbacks.monitor=val/loss --trainer.limit_val_batches=0": "no epoch is valid",
    f"{TRAINER}ModelCheckpoint --trainer.callbacks.monitor=nothing": "ModelCheckpoint watches 'nothing'",
    "--checkpoint.monitor nothing": "BestCheckpoint watches 'nothing'",
    f"{TRAINER}BackboneFinetuning": "The callback BackboneFinetuning can't be used",
    f"{TRAINER}SpikeDetection": "The callback SpikeDetection can't be used",
    f"{TRAINER}Timer --trainer.callbacks.duration=00:00:00:10": "--trainer.max_time does the same",
    f"{TRAINER}RichProgressBar --trainer.enable_progress_bar=false": "enable_progress_bar=False",
    "--trainer.limit_train_batches 0": "trainer.limit_train_batches is 0",
    "--trainer.limit_test_batches 0 --then_test true": "trainer.limit_test_batches is 0",
    "--trainer.limit_val_batches 0.5": "limit_val_batches",
    "--trainer.max_epochs 0": "trainer.max_epochs is 0",
    "--trainer.max_steps 0": "trainer.max_steps is 0",
    "--trainer.max_time 00:00:00:00": "The fit ended before its first step",
    "--trainer.precision bf16-true": "The Trainer's precision is 'bf16-true'",
    "--trainer.precision 16-true": "The Trainer's precision is '16-true'",
    "--trainer.barebones true": "trainer.barebones is true",
    "--trainer.enable_checkpointing false": "trainer.enable_checkpointing is false",
    "--trainer.logger WandbLogger": "a package is missing",
    "--trainer.reload_dataloaders_every_n_epochs 0 --config wide.yaml --data.sampler uniform": "reload_dataloaders",
}
REFUSED_EVERY_DAY = {
    f"{TRAINER}spx.training.callbacks.BestCheckpoint",
    f"{TRAINER}EarlyStopping --trainer.callbacks.monitor=nothing",
    "--checkpoint.monitor nothing",
    f"{TRAINER}BackboneFinetuning",
    "--trainer.limit_train_batches 0",
    "--trainer.max_epochs 0",
    "--trainer.precision bf16-true",
    "--trainer.enable_checkpointing false",
}
"""One of each rule that refuses; the others are tried in full."""


def fit(stage: str, settings: str, *more: str) -> None:
    main(["fit", "--config", f"{stage}.yaml", "--runs_dir", "runs", *more, *settings.split()])


@pytest.mark.parametrize("stage", [pytest.param("estimator", marks=pytest.mark.full), "wide"])
@every_day("settings", WORK, EVERY_DAY)
def test_a_setting_works(stages: Stages, home: Path, stage: str, settings: str) -> None:
    scores = ["--data.scores", str(stages.estimator / "scores.safetensors"), "--then_test", "true"]
    fit(stage, settings, *(scores if stage == "wide" else []))
    left = {path.name for path in home.iterdir()} - {path.name for path in home.glob("*.yaml")} - {"elsewhere"}
    if "fast_dev_run" in settings:
        assert left == set(), "a trial run leaves nothing"
        return
    assert left == {"runs"}
    (run,) = (home / "runs" / "toy" / stage).iterdir()
    files = {"run.json", "config.yaml", "checkpoints", *(["scores.safetensors"] if stage == "estimator" else [])}
    assert files <= {path.name for path in run.iterdir()}
    assert {"best.ckpt", "last.ckpt"} <= {path.name for path in (run / "checkpoints").iterdir()}
    record = json.loads((run / "run.json").read_text())
    validated = not any(words in settings for words in ("limit_val_batches 0", "limit_val_batches=0", "n_epoch 5"))
    assert (record["val"] is not None) == validated
    assert (record["test"] is not None) == (stage == "wide")
    assert record["checkpoint"] == str(Path("runs", "toy", stage, run.name, "checkpoints", "best.ckpt"))


@every_day("settings", REFUSED, REFUSED_EVERY_DAY)
def test_a_setting_is_refused_before_the_training(refused: Refused, home: Path, settings: str) -> None:
    if "WandbLogger" in settings:
        try:
            import wandb  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("wandb is installed")
    message = refused("fit", "--config", "estimator.yaml", "--runs_dir", "runs", *settings.split())
    assert REFUSED[settings] in message
    assert len(message.strip().splitlines()) == 1
    assert not list(home.rglob("run.json"))


def test_a_run_without_validation_says_what_stands_for_its_best(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit("estimator", "--trainer.limit_val_batches 0")
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "No epoch was validated by val/accuracy: the weights of the last one stand for the best" in said
    assert "best val/accuracy undefined in epoch 2 of 2" in said


@pytest.mark.full
def test_a_second_checkpoint_changes_no_figure(home: Path) -> None:
    arguments = ["--config", "gcn.yaml", "--then_test", "true", "--trainer.max_epochs", "12"]
    fit("estimator", "--name one", *arguments)
    fit("estimator", "--name two --trainer.callbacks+=ModelCheckpoint --trainer.callbacks.save_top_k=-1", *arguments)
    one, two = (json.loads((home / "runs/toy" / name / "version_0/run.json").read_text()) for name in ("one", "two"))
    assert {key: one[key] for key in ("val", "test", "best_epoch")} == {
        key: two[key] for key in ("val", "test", "best_epoch")
    }


@pytest.mark.full
def test_a_seed_drawn_at_random_is_the_one_of_the_draws(home: Path) -> None:
    for _ in range(2):
        fit("estimator", "--seed_everything true --trainer.max_epochs 1")
    seeds = [json.loads(path.read_text())["seed"] for path in home.rglob("run.json")]
    assert len(set(seeds)) == 2
    assert 1 not in seeds, "true is no seed"


@pytest.mark.full
def test_the_learning_rate_that_was_found_is_the_peak(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning.pytorch.tuner.lr_finder._LRFinder.suggestion", lambda *_, **__: 0.0123)
    rates: list[float] = []
    step = NodeTask.training_step

    def watched(self: NodeTask, *arguments: object) -> object:
        if self.trainer.max_epochs == 4:
            rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(NodeTask, "training_step", watched)
    fit("estimator", f"{TRAINER}LearningRateFinder --trainer.callbacks.num_training_steps=6 --trainer.max_epochs=4")
    assert rates[-4:] == pytest.approx([0.0123 / 2, 0.0123, 0.0123 * 0.75, 0.0123 * 0.25])
