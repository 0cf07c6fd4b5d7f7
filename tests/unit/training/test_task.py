"""Losses and metrics against plain recomputation, the schedule by hand, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from daily import every_day
from torch import Tensor

from spx.data import GraphData
from spx.errors import ConfigError
from spx.nn.objectives import prior_offset
from spx.training import AttentionEstimator, Baseline, NodeTask, Spexphormer
from spx.training.metrics import make_metric
from spx.training.task import learning_rate_factor

from .conftest import augmented, estimator, resampled, scalars, train, wide

SEVERAL = {"metric": "roc_auc", "num_outputs": 4, "task": "multilabel"}


def accuracy(probabilities: Tensor, y: Tensor) -> float:
    return float((probabilities.argmax(1) == y).double().mean())


def roc_auc(score: Tensor, positive: Tensor) -> float:
    """How often a positive node ranks above a negative one; ties count half."""
    difference = score[positive.bool()][:, None].double() - score[~positive.bool()].double()
    return float((difference > 0).double().mean() + (difference == 0).double().mean() / 2)


def test_learning_rate_factor_by_hand() -> None:
    factors = [learning_rate_factor(epoch, warmup_epochs=3, max_epochs=7) for epoch in range(8)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 0.5 + 2**0.5 / 4, 0.5, 0.5 - 2**0.5 / 4, 0], abs=1e-12)
    assert learning_rate_factor(9, 3, 7) == pytest.approx(0), "stays at 0 after the last epoch"
    assert [learning_rate_factor(epoch, 0, 2) for epoch in range(3)] == pytest.approx([1, 0.5, 0])
    assert [learning_rate_factor(epoch, 1, last) for epoch in (0, 1, 99) for last in (None, -1)] == [
        0.5,
        0.5,
        1,
        1,
        1,
        1,
    ]
    assert learning_rate_factor(5, 5, 5) == 1, "no epoch left for the cosine"
    constant = [learning_rate_factor(epoch, 3, 7, "constant") for epoch in range(8)]
    assert constant == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


def test_metrics_of_hand_made_predictions() -> None:
    assert float(make_metric("accuracy", "multiclass", 3)(torch.eye(3), torch.tensor([0, 1, 1]))) == pytest.approx(
        2 / 3
    )
    scores, y = torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])
    assert float(make_metric("roc_auc", "multiclass", 2)(scores, y)) == pytest.approx(0.75)
    both = make_metric("roc_auc", "multilabel", 2)(torch.stack((scores, -scores), 1), torch.stack((y, y), 1))
    assert float(both) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "task", "num_outputs"),
    [("roc_auc", "multiclass", 3), ("accuracy", "multilabel", 2), ("f1", "multiclass", 2)],
)
def test_a_metric_that_does_not_suit_the_task_is_refused(name: str, task: str, num_outputs: int) -> None:
    with pytest.raises(ConfigError, match=f"The metric '{name}' doesn't suit a {task} task of {num_outputs} outputs"):
        make_metric(name, task, num_outputs)


@pytest.mark.parametrize(
    "settings", [{"lr": 0.0}, {"weight_decay": -1.0}, {"warmup_epochs": -1}, {"lr_schedule": "linear"}]
)
def test_settings_of_the_optimiser_are_checked(settings: dict) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} "):
        wide(**settings)


@every_day(
    ("dataset", "settings"),
    [
        ("toy", {}),
        ("toy-binary", {"metric": "roc_auc", "num_outputs": 2}),
        ("toy-labels", SEVERAL),
    ],
    [("toy", {}), ("toy-labels", SEVERAL)],
)
@every_day("eval_samples", (1, 3), (3,))
def test_logged_values_are_those_of_the_mean_probabilities(
    dataset: str, settings: dict, eval_samples: int, tmp_path: Path
) -> None:
    data = resampled(dataset, eval_batch_size=7, eval_samples=eval_samples)
    run = train(tmp_path, wide(lr=0.02, **settings), data, epochs=2, test=True)
    logged, trainer, model = dict(run.trainer.callback_metrics), run.trainer, run.model.eval()
    multilabel = "task" in settings
    with torch.no_grad():
        logits = torch.stack([model.network(data.dataset.x, tables) for tables in data.evaluation_draws])
    expected = (logits.sigmoid() if multilabel else logits.softmax(-1)).mean(0)

    batches = trainer.predict(model, datamodule=data, ckpt_path="best")
    assert torch.cat([batch["nodes"] for batch in batches]).equal(torch.arange(90))
    probabilities = torch.cat([batch["probabilities"] for batch in batches])
    torch.testing.assert_close(probabilities, expected, rtol=0, atol=1e-5)

    nodes = data.dataset.split.test
    p, y = expected[nodes], data.dataset.y[nodes]
    if multilabel:
        loss = torch.nn.functional.binary_cross_entropy(p, y)
        metric = sum(roc_auc(p[:, label], y[:, label]) for label in range(4)) / 4
    else:
        loss = torch.nn.functional.nll_loss(p.log(), y)
        metric = roc_auc(p[:, 1], y) if dataset == "toy-binary" else accuracy(p, y)
    assert float(logged["test/loss"]) == pytest.approx(float(loss), abs=1e-4), "a mean over nodes, not over batches"
    assert float(logged[f"test/{model.metric_name}"]) == pytest.approx(metric, abs=1e-4), "of all batches at once"


def test_adjusted_logits_are_trained_through_the_offset_alone(tmp_path: Path) -> None:
    model, data = wide(logit_adjustment=True, dropout=0.0, norm="none"), resampled()
    y, split = data.dataset.y, data.dataset.split
    with torch.no_grad():
        logits = model.network(data.dataset.x, data.draw(0))[split.train]
    offset = prior_offset(y[split.train], y[split.val], 3, "multiclass")
    assert offset.abs().max() > 0.01
    run = train(tmp_path, model, data, epochs=1)
    expected = torch.nn.functional.cross_entropy(logits + offset, y[split.train])
    assert float(run.trainer.callback_metrics["train/loss"]) == pytest.approx(float(expected), abs=1e-5)
    with torch.no_grad():
        logits = run.model.eval().network(data.dataset.x, data.evaluation_draws[0])[split.val]
    expected = torch.nn.functional.cross_entropy(logits, y[split.val])
    assert float(run.trainer.callback_metrics["val/loss"]) == pytest.approx(float(expected), abs=1e-5)


def test_balanced_weights_are_in_the_training_loss_alone(tmp_path: Path) -> None:
    model, data = wide(class_weights="balanced", dropout=0.0, norm="none"), resampled()
    y, split = data.dataset.y, data.dataset.split
    with torch.no_grad():
        logits = model.network(data.dataset.x, data.draw(0))[split.train]
    run = train(tmp_path, model, data, epochs=1)
    counts = y[split.train].bincount()
    weights = len(split.train) / (3 * counts)
    expected = torch.nn.functional.cross_entropy(logits, y[split.train], weights)  # over the weights, whose mean is 1
    assert float(run.trainer.callback_metrics["train/loss"]) == pytest.approx(float(expected), abs=1e-5)
    with torch.no_grad():
        logits = run.model.eval().network(data.dataset.x, data.evaluation_draws[0])[split.val]
    expected = torch.nn.functional.cross_entropy(logits, y[split.val])
    assert float(run.trainer.callback_metrics["val/loss"]) == pytest.approx(float(expected), abs=1e-5)
    for settings in ({"class_weights": "balance"}, {"class_weights": "balanced", "logit_adjustment": True}):
        with pytest.raises(ConfigError, match="class_weights"):
            wide(**settings)


def test_training_logs_the_loss_and_metric_of_the_training_nodes(tmp_path: Path) -> None:
    model, data = estimator(norm="graph"), augmented()
    nodes = data.dataset.split.train
    with torch.no_grad():
        logits = model.network(data.dataset.x, (data.graph,))[nodes]
    logged = train(tmp_path, model, data, epochs=1).trainer.callback_metrics
    y = data.dataset.y[nodes]
    assert float(logged["train/loss"]) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, y)), abs=1e-5)
    assert float(logged["train/accuracy"]) == pytest.approx(accuracy(logits, y), abs=1e-6)


def test_the_optimiser_and_its_schedule(tmp_path: Path) -> None:
    run = train(tmp_path, wide(lr=0.03, weight_decay=0.2, warmup_epochs=2), resampled(), epochs=2)
    (optimizer,) = run.trainer.optimizers
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.param_groups[0]["weight_decay"] == 0.2
    assert optimizer.param_groups[0]["initial_lr"] == 0.03
    assert run.trainer.lr_scheduler_configs[0].interval == "epoch"


def fit(model: NodeTask, data: GraphData, folder: Path, ckpt_path: Path | None = None, **settings: object) -> Path:
    """A fit that draws nothing from the global stream before it starts; its checkpoint at the end."""
    trainer = L.Trainer(
        **{"max_epochs": 6, "reload_dataloaders_every_n_epochs": 1, "accelerator": "cpu"} | settings,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    trainer.save_checkpoint(folder / f"{trainer.current_epoch}.ckpt")
    return folder / f"{trainer.current_epoch}.ckpt"


@every_day(("make", "data"), [(estimator, augmented), (wide, resampled)], 1)
def test_a_fit_that_goes_on_in_the_same_process_equals_one_in_a_piece(
    make: Callable[..., NodeTask], data: Callable[..., GraphData], tmp_path: Path
) -> None:
    whole = make(dropout=0.5)
    fit(whole, data(), tmp_path)
    halves = make(dropout=0.5)
    half = fit(halves, data(), tmp_path, max_steps=3)
    assert half.name == "3.ckpt"
    fit(halves, data(), tmp_path, half)
    for name, one in whole.state_dict().items():
        assert one.equal(halves.state_dict()[name]), name


def test_a_fit_from_the_start_takes_the_seed_of_the_process(tmp_path: Path) -> None:
    model = wide(dropout=0.5)
    for seed in (5, 11):
        torch.manual_seed(seed)
        path = fit(model, resampled(), tmp_path, max_epochs=1)
        assert torch.load(path, weights_only=True)["spx"] == {"model": "Spexphormer", "dropout_seed": seed}
    L.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False).validate(model, resampled(), path)
    torch.manual_seed(12)
    assert torch.load(fit(model, resampled(), tmp_path, max_epochs=1), weights_only=True)["spx"]["dropout_seed"] == 12


def test_a_checkpoint_of_an_older_version_goes_on(tmp_path: Path) -> None:
    path = fit(wide(), resampled(), tmp_path, max_epochs=1)
    content = torch.load(path, weights_only=True)
    for name in ("spx", "ResampledGraphData", "datamodule_hyper_parameters"):
        del content[name]
    torch.save(content, path)
    assert fit(wide(), resampled(), tmp_path, path, max_epochs=2).name == "2.ckpt"


def test_a_checkpoint_of_other_features_is_refused_in_a_line(tmp_path: Path) -> None:
    path = fit(wide(), resampled(), tmp_path, max_epochs=1)
    content = torch.load(path, weights_only=True)
    del content["ResampledGraphData"]
    torch.save(content, path)
    with pytest.raises(ConfigError, match=r"1\.ckpt was made from other data: num_features is 6 here and 5 there"):
        fit(wide(num_features=6), resampled(), tmp_path, path)


@pytest.mark.full
def test_a_fit_that_goes_on_for_longer_takes_the_longer_schedule_at_once(tmp_path: Path) -> None:
    def fit(name: str, epochs: int, ckpt_path: str | None = None) -> list[float]:
        data = resampled(eval_samples=1)
        run = train(tmp_path / name, wide(lr=0.04, warmup_epochs=1), data, epochs=epochs, ckpt_path=ckpt_path)
        return scalars(run.folder)["work/lr"]

    whole, half = fit("whole", 6), fit("half", 3)
    assert half == pytest.approx([0.02, 0.04, 0.02], abs=1e-8)
    checkpoint = tmp_path / "half" / "toy" / "run" / "version_0" / "checkpoints" / "last.ckpt"
    on = fit("on", 6, str(checkpoint))
    assert on == pytest.approx(whole[3:], abs=1e-8), "the first epoch was trained at rate 0, the next one at another"
    assert min(on) > 0.003


@pytest.mark.parametrize("kind", [AttentionEstimator, Spexphormer, Baseline])
def test_what_follows_from_the_data_has_to_be_given(kind: type[NodeTask]) -> None:
    with pytest.raises(TypeError, match="num_features"):
        kind(width=4)
    kind(width=4, **augmented().for_model)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_a_precision_that_loses_sums_is_refused(tmp_path: Path, precision: str) -> None:
    with pytest.raises(ConfigError, match=f"precision is '{precision}', in which sums"):
        train(tmp_path, wide(), resampled(), epochs=1, precision=precision)
