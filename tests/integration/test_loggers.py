"""Whatever loggers there are, a run lies below --runs_dir, whole, and can be resumed and predicted with."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from spx.__main__ import main

from .conftest import Stages

LOGGERS = {
    "csv": ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "elsewhere"],
    "none": ["--trainer.logger", "false"],
    "list": [
        *("--trainer.logger+=CSVLogger", "--trainer.logger.save_dir=elsewhere"),
        *("--trainer.logger+=TensorBoardLogger", "--trainer.logger.save_dir=elsewhere"),
    ],
    "tensorboard first": [
        *("--trainer.logger+=TensorBoardLogger", "--trainer.logger.save_dir=elsewhere"),
        *("--trainer.logger+=CSVLogger", "--trainer.logger.save_dir=elsewhere"),
    ],
}


def read(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


@pytest.mark.parametrize(
    "logger", [name if name == "csv" else pytest.param(name, marks=pytest.mark.full) for name in LOGGERS]
)
def test_both_stages_with_any_logger(home: Path, logger: str, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [home / "runs" / "toy" / stage / "version_0" for stage in ("estimator", "wide")]
    main(["fit", "--config", "estimator.yaml", "--runs_dir", "runs", *LOGGERS[logger]])
    main(["fit", "--config", "wide.yaml", "--runs_dir", "runs", "--then_test", "true", *LOGGERS[logger]])
    assert read(runs[1])["scores"] == str(Path("runs/toy/estimator/version_0/scores.safetensors"))
    assert read(runs[1])["test"] is not None
    for run in runs:
        assert {"config.yaml", "run.json", "checkpoints"} <= {path.name for path in run.iterdir()}
    assert not list((home / "runs").rglob("metrics.csv"))
    left = {path.name for path in home.iterdir()} - {path.name for path in home.glob("*.yaml")}
    assert left == ({"runs"} if logger == "none" else {"runs", "elsewhere"})

    elsewhere = set((home / "elsewhere").rglob("*"))
    main(["resume", str(runs[0]), "--trainer.max_epochs", "3"])
    assert set((home / "elsewhere").rglob("*")) == elsewhere, "what a resumed run writes stays in its folder"
    assert read(runs[0])["epochs"] == 3, "it went on"
    assert not (home / "runs" / "toy" / "estimator" / "version_1").exists()
    main(["predict", str(runs[1]), "--output", "p.csv"])
    assert len((home / "p.csv").read_text().splitlines()) == 91


@pytest.mark.full
def test_what_was_reached_is_logged_by_a_logger_without_hyper_parameters(home: Path) -> None:
    main(["fit", "--config", "gcn.yaml", "--config", "estimator.yaml", "--runs_dir", "runs", *LOGGERS["csv"]])
    with open(next((home / "elsewhere").rglob("metrics.csv")), newline="") as file:
        rows = list(csv.DictReader(file))
    (reached,) = [float(row["best/val_accuracy"]) for row in rows if row.get("best/val_accuracy")]
    assert reached == pytest.approx(read(home / "runs/toy/estimator/version_0")["val"])
    assert sum(bool(row["val/loss"]) for row in rows) == 2, "the epochs are still there"


@pytest.mark.full
def test_runs_without_a_logger_are_numbered_too(home: Path) -> None:
    for _ in range(2):
        main(["fit", "--config", "estimator.yaml", "--runs_dir", "runs", *LOGGERS["none"]])
    assert sorted(path.name for path in (home / "runs/toy/estimator").iterdir()) == ["version_0", "version_1"]


@pytest.mark.full
def test_a_saved_configuration_starts_a_new_run(home: Path) -> None:
    main(["fit", "--config", "estimator.yaml", "--runs_dir", "runs", "--version", "4"])
    main(["resume", "runs/toy/estimator/version_4", "--trainer.max_epochs", "3"])
    saved = yaml.safe_load((home / "runs/toy/estimator/version_4/config.yaml").read_text())
    assert (saved["version"], saved["resume"], saved["ckpt_path"]) == (None, False, None)
    assert saved["trainer"]["max_epochs"] == 3, "what the run was last asked for"
    main(["fit", "--config", "runs/toy/estimator/version_4/config.yaml"])
    assert read(home / "runs/toy/estimator/version_5")["epochs"] == 3


def test_a_fit_that_fails_before_it_begins_leaves_no_folder(stages: Stages, home: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--config", "wide.yaml", "--runs_dir", "runs"])
    assert caught.value.code == 2, "there are no scores"
    assert not list((home / "runs/toy/wide").iterdir())


def test_weights_and_biases_offline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the package wandb isn't installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = ["--trainer.logger", "WandbLogger", "--trainer.logger.offline", "true"]
    logger += ["--trainer.logger.save_dir", "elsewhere"]
    main(["fit", "--config", "estimator.yaml", "--runs_dir", "runs", *logger])
    main(["fit", "--config", "wide.yaml", "--runs_dir", "runs", "--then_test", "true", *logger])
    assert read(home / "runs/toy/wide/version_0")["test"] is not None
    assert list((home / "elsewhere").rglob("*.wandb"))
    assert {path.name for path in home.iterdir() if not path.name.endswith(".yaml")} == {"runs", "elsewhere"}
