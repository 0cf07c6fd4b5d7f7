"""`run.json` and TensorBoard's files."""

import json
import os
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from spx.run_folder import RECORD_FILE
from spx.training import Spexphormer
from spx.training.record import peak_rss_mb

from .conftest import Run, augmented, resampled, scalars, train, wide


def read(run: Run) -> dict:
    return json.loads((run.folder / RECORD_FILE).read_text())


def test_the_record_says_what_was_run(wide_run: Run) -> None:
    record = read(wide_run)
    expected = {
        "name": "wide",
        "dataset": "toy",
        "protocol": "public",
        "split": 0,
        "seed": 0,
        "metric": "accuracy",
        "num_nodes": 90,
        "epochs": 6,
        "attention_edges": 225,
        "augmented_edges": wide_run.data.graph.num_edges,
        "num_parameters": sum(parameter.numel() for parameter in wide_run.model.parameters()),
        "config_files": ["a.yaml"],
        "scores": None,
        "checkpoint": str(wide_run.folder / "checkpoints" / "best.ckpt"),
        "folder": str(wide_run.folder),
        "peak_cuda_mb": None if not torch.cuda.is_available() else pytest.approx(0, abs=1e6),
    }
    assert {name: record[name] for name in expected} == expected
    assert record["attention_edge_share"] == pytest.approx(225 / wide_run.data.graph.num_edges)
    assert record["versions"]["torch"] == version("torch")
    assert record["versions"]["spx"] == version("spx")


def test_the_record_says_what_was_reached(wide_run: Run) -> None:
    record, logged = read(wide_run), scalars(wide_run.folder)
    assert record["val"] == pytest.approx(max(logged["val/accuracy"]))
    assert record["best_epoch"] == logged["val/accuracy"].index(max(logged["val/accuracy"]))
    assert record["test"] == pytest.approx(logged["test/accuracy"][-1])
    best = Spexphormer.load_from_checkpoint(record["checkpoint"]).eval()
    ((batch,),) = wide_run.data.test_dataloader()
    with torch.no_grad():
        right = (best(batch).argmax(1) == batch.y).float().mean()
    assert record["test"] == pytest.approx(float(right))


def test_the_record_says_what_it_took(wide_run: Run) -> None:
    record, logged = read(wide_run), scalars(wide_run.folder)
    assert 0 < record["seconds_per_epoch"] < record["seconds"]
    for name, of_record in (("epoch_seconds", "seconds_per_epoch"), ("resampling_seconds", "resampling_seconds")):
        after_the_first = logged[f"work/{name}"][1:]  # in which kernels may be compiled
        assert record[of_record] == pytest.approx(statistics.median(after_the_first), rel=1e-4)
    assert logged["work/peak_rss_mb"] == sorted(logged["work/peak_rss_mb"])
    assert logged["work/peak_rss_mb"][-1] <= record["peak_rss_mb"] * (1 + 1e-6)  # TensorBoard keeps float32


def test_the_peak_is_the_largest_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own falls now and then by what it has counted late."""
    readings = iter([500.0, 900.0, 896.0, 700.0, *[600.0] * 20])
    monkeypatch.setattr("spx.training.record.peak_rss_mb", lambda: next(readings))
    run = train(tmp_path, wide(), resampled(), epochs=3)
    assert read(run)["peak_rss_mb"] == 900
    assert scalars(run.folder)["work/peak_rss_mb"] == [500, 900, 900]


def test_the_record_of_stage_1(estimator_run: Run) -> None:
    record = read(estimator_run)
    edges = estimator_run.data.graph.num_edges
    assert (record["name"], record["epochs"], record["best_epoch"], record["test"]) == ("estimator", 5, 3, None)
    assert (record["attention_edges"], record["augmented_edges"], record["attention_edge_share"]) == (edges, edges, 1)
    assert record["resampling_seconds"] is None
    assert record["scores"] is None


def test_the_recorded_value_is_the_metric_whatever_selected_the_checkpoint(estimator_run: Run) -> None:
    assert read(estimator_run)["val"] == pytest.approx(scalars(estimator_run.folder)["val/accuracy"][3])


def test_without_an_expander_there_is_no_augmented_graph_to_compare_with(tmp_path: Path) -> None:
    run = train(tmp_path, wide(), augmented(expander_degree=0), epochs=1)
    assert read(run)["attention_edge_share"] is None


def test_the_score_file_that_was_used_is_recorded(tmp_path: Path, estimator_run: Run) -> None:
    path = str(estimator_run.folder / "scores.safetensors")
    run = train(tmp_path, wide(), resampled(scores=path, sampler="attention"), epochs=1)
    assert read(run)["scores"] == path


@pytest.mark.full
def test_a_test_alone_is_recorded_too(tmp_path: Path, wide_run: Run) -> None:
    run = train(tmp_path, wide(), resampled(), name="first", epochs=1)
    (run.folder / RECORD_FILE).unlink()
    other = train(tmp_path, wide(), resampled(), name="second", epochs=1)
    other.trainer.test(other.model, datamodule=other.data, ckpt_path=str(run.folder / "checkpoints" / "best.ckpt"))
    assert read(other)["test"] == pytest.approx(float(other.trainer.callback_metrics["test/accuracy"]))
    assert [path.name for path in other.folder.glob(".*")] == [], "no temporary file stays"


def test_a_trial_run_writes_nothing(tmp_path: Path) -> None:
    train(tmp_path, wide(), augmented(), fast_dev_run=True)
    assert list(tmp_path.rglob(RECORD_FILE)) == []


def test_tensorboard_shows_every_epoch(wide_run: Run) -> None:
    logged = scalars(wide_run.folder)
    for tag in (
        *("train/loss", "train/accuracy", "val/loss", "val/accuracy", "work/lr"),
        *("work/epoch_seconds", "work/resampling_seconds", "work/peak_rss_mb"),
    ):
        assert len(logged[tag]) == 6, tag
    assert len(logged["test/loss"]) == len(logged["test/accuracy"]) == 1
    assert logged["work/lr"] == pytest.approx(
        [0.025, 0.05, *(0.05 * f for f in (0.9045, 0.6545, 0.3455, 0.0955))], 1e-3
    )


def test_tensorboard_shows_the_estimators_attention(estimator_run: Run) -> None:
    tags = scalars(estimator_run.folder).keys()
    shares = [f"share_{edge_type}" for edge_type in ("graph", "expander", "self_loop")]
    assert {f"which_edges/{what}_layer_{layer}" for what in ("entropy", *shares) for layer in (1, 2)} <= tags
    assert {"work/temperature", "work/epoch_seconds", "work/peak_rss_mb", "train/loss", "val/loss"} <= tags
    assert "work/resampling_seconds" not in tags, "stage 1 samples nothing"


def test_tensorboard_shows_the_settings_with_the_metrics_reached(wide_run: Run) -> None:
    logged, record = scalars(wide_run.folder), read(wide_run)
    assert logged["best/val_accuracy"][-1] == pytest.approx(record["val"])
    assert logged["best/test_accuracy"][-1] == pytest.approx(record["test"])
    events = EventAccumulator(str(wide_run.folder))
    events.Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["width"].number_value == 8
    assert settings["lr"].number_value == pytest.approx(0.05)


def test_peak_memory_is_recorded_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spx.training.record.peak_rss_mb", lambda: 1883.856896)  # float32 has no such number
    run = train(tmp_path, wide(), resampled(), epochs=1)
    assert read(run)["peak_rss_mb"] == 1883.856896


def test_peak_memory_is_that_of_this_process() -> None:
    before = peak_rss_mb()
    assert 50 < before < 100_000
    block = torch.ones(60_000_000, dtype=torch.uint8)
    pages = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    assert peak_rss_mb() >= pages - 1
    del block
    assert peak_rss_mb() >= before


@pytest.mark.full
def test_resampling_is_part_of_an_epochs_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = resampled()
    draw = data.draw

    def slow_draw(number: int, lazily: list[bool]) -> tuple:
        time.sleep(0.2)
        return draw(number, lazily)

    monkeypatch.setattr(data, "draw", slow_draw)
    logged = scalars(train(tmp_path, wide(), data, epochs=2).folder)
    assert logged["work/resampling_seconds"][0] >= 0.2, "the next one is drawn while the first epoch trains"
    for whole, part in zip(logged["work/epoch_seconds"], logged["work/resampling_seconds"], strict=True):
        assert whole > part


@pytest.mark.full
def test_figures_over_a_part_of_the_batches_are_marked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = resampled(eval_batch_size=10)
    run = train(tmp_path, wide(), data, epochs=1, test=True, limit_val_batches=2, limit_test_batches=1)
    assert read(run)["partial"] == ["val", "test"]
    said = [record.getMessage() for record in caplog.records]
    assert "The val figure is over 2 of 3 batches alone." in said
    assert "The test figure is over 1 of 2 batches alone." in said
    assert read(train(tmp_path / "whole", wide(), resampled(eval_batch_size=10), epochs=1, test=True))["partial"] == []
