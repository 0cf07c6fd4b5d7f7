"""One temperature, fitted on validation, in the checkpoint and in what is made from it."""

import json
import math

import pytest
import torch

from spx.errors import ArtifactError, ConfigError
from spx.inference.rebuild import build_model
from spx.inference.run_files import RunFiles
from spx.nn.objectives import TaskName
from spx.run_folder import RECORD_FILE
from spx.torch_files import read_checkpoint
from spx.training.calibration import KEY, Calibration, CalibrationNodes, calibrate

from .conftest import Run, resampled, train, wide


def overconfident(task: TaskName, factor: float) -> CalibrationNodes:
    """Logits of one draw that are `factor` times those by which the labels were drawn."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40_000, 3, generator=generator)
    if task == "multilabel":
        y = (torch.rand(logits.shape, generator=generator) < logits.sigmoid()).float()
        y[:100] = -1
    else:
        y = logits.softmax(1).multinomial(1, generator=generator)[:, 0]
    nodes = CalibrationNodes()
    for rows in torch.arange(len(y)).split(9_000):
        nodes.add(factor * logits[rows][None], y[rows])
    return nodes


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_known_temperature_is_found_again(task: TaskName, factor: float) -> None:
    found = overconfident(task, factor).fit(task, 3)
    assert found.temperature == pytest.approx(factor, rel=0.03)
    assert found.val_loss < found.val_loss_before
    assert found.val_calibration_error < 0.01 < found.val_calibration_error_before


def test_the_temperature_lowers_the_loss_of_the_mean_over_draws() -> None:
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(3, (500,), generator=generator)
    logits_R = 3 * torch.randn(4, 500, 3, generator=generator) + 2 * torch.nn.functional.one_hot(y, 3)
    nodes = CalibrationNodes()
    nodes.add(logits_R, y)
    found = nodes.fit("multiclass", 3)

    def loss(temperature: float) -> float:
        mean = (logits_R.double() / temperature).softmax(-1).mean(0)
        return float(torch.nn.functional.nll_loss(mean.log(), y))

    assert found.val_loss == pytest.approx(loss(found.temperature))
    assert found.val_loss <= min(loss(found.temperature * factor) for factor in (0.9, 1, 1.1)) + 1e-9


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory, load_toy) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spx.data.graph_data.load_dataset", load_toy)
        run = train(tmp_path_factory.mktemp("run"), wide(lr=0.05), resampled(eval_samples=3), epochs=3)
        calibrate(run.trainer, run.model, run.data, str(run.folder / "checkpoints/best.ckpt"))
        run.trainer.test(run.model, datamodule=run.data, ckpt_path=run.folder / "checkpoints/best.ckpt", verbose=False)
        return run


def test_a_calibrated_run_keeps_its_temperature(calibrated: Run) -> None:
    path = calibrated.folder / "checkpoints/best.ckpt"
    held = Calibration.of_checkpoint(read_checkpoint(path))
    assert held == calibrated.model.calibration
    assert held.temperature != 1
    record = json.loads((calibrated.folder / RECORD_FILE).read_text())
    assert record["calibration"] == held._asdict()
    assert {"calibration_error", "calibration_error_before"} <= record["test_figures"].keys()
    config = {"model": {"class_path": "spx.training.Spexphormer"}, "data": {}}
    assert build_model(RunFiles(calibrated.folder, config, record, path)).model.calibration == held


def test_tests_and_predictions_are_at_the_temperature(calibrated: Run) -> None:
    model, data = calibrated.model.eval(), calibrated.data
    temperature, test = model.calibration.temperature, data.dataset.split.test
    with torch.no_grad():
        logits = torch.stack([model.network(data.dataset.x, tables) for tables in data.evaluation_draws])
        step = model.predict_step(next(iter(data.predict_dataloader())))
    expected = (logits / temperature).softmax(-1).mean(0)
    torch.testing.assert_close(step["probabilities"], expected)
    loss = torch.nn.functional.nll_loss(expected[test].log(), data.dataset.y[test])
    assert float(calibrated.trainer.callback_metrics["test/loss"]) == pytest.approx(float(loss), abs=1e-5)


def test_no_validation_batch_is_refused(calibrated: Run) -> None:
    calibrated.trainer.limit_val_batches = 0
    path = str(calibrated.folder / "checkpoints/best.ckpt")
    try:
        with pytest.raises(ConfigError, match="limit_val_batches leaves none"):
            calibrate(calibrated.trainer, calibrated.model, calibrated.data, path)
    finally:
        calibrated.trainer.limit_val_batches = 1.0


@pytest.mark.parametrize("held", [3.0, {"temperature": 1.0}, {name: math.nan for name in Calibration._fields}])
def test_a_damaged_calibration_is_refused(held: object) -> None:
    assert Calibration.of_checkpoint({}) is None
    with pytest.raises(ArtifactError, match="which is damaged"):
        Calibration.of_checkpoint({KEY: held})
