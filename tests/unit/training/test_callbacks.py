"""The best checkpoint, the hand-over of scores, the progress bar."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch

from spx.errors import ConfigError
from spx.graph.scores import load_scores
from spx.run_folder import SCORES_FILE
from spx.training import AttentionEstimator
from spx.training.callbacks import BestCheckpoint, EarlyEnd, EpochProgress, WeightAverage
from spx.training.handover import ScoreHandover

from .conftest import Peak, Run, augmented, estimator, resampled, scalars, train, wide


def recomputed(run: Run, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """Scores [L, M] by a fresh network of these weights."""
    model = AttentionEstimator(**run.model.hparams).eval()
    model.load_state_dict(weights)
    with torch.no_grad():
        weights = model.network.attention_weights(run.data.dataset.x, (run.data.graph,))
        return torch.stack([weight.mean(-1) for weight in weights])


def test_the_scores_are_the_best_checkpoints_at_its_temperature(estimator_run: Run) -> None:
    scores, header = load_scores(estimator_run.folder / SCORES_FILE)
    assert scores.graph.fingerprint() == estimator_run.data.graph.fingerprint()
    best = torch.load(estimator_run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    torch.testing.assert_close(scores.scores_LM, recomputed(estimator_run, best["state_dict"]), rtol=1e-4, atol=1e-6)
    assert (header.epoch, header.temperature) == (best["epoch"], 0.25) == (3, 0.25)
    (last,) = (callback.last for callback in estimator_run.trainer.callbacks if isinstance(callback, Peak))
    assert not torch.allclose(scores.scores_LM, recomputed(estimator_run, last), atol=1e-3), "not the last epoch's"


def test_each_nodes_scores_sum_to_one(estimator_run: Run) -> None:
    (graph, scores_LM), _ = load_scores(estimator_run.folder / SCORES_FILE)
    assert scores_LM.shape == (2, graph.num_edges)
    sums = torch.zeros(2, graph.num_nodes).index_add_(1, graph.rows(), scores_LM)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_the_header_says_what_the_scores_were_made_from(tmp_path: Path) -> None:
    data = augmented(split=2, protocol="paper", seed=6)
    run = train(tmp_path, estimator(num_heads=2), data)
    _, header = load_scores(run.folder / SCORES_FILE)
    assert (header.dataset, header.protocol, header.split, header.seed) == ("toy", "paper", 2, 6)
    assert (header.width, header.num_heads, header.metric) == (4, 2, "accuracy")
    assert header.data_fingerprint == data.data_fingerprint
    values = scalars(run.folder)["val/accuracy"]
    assert header.val_metric == pytest.approx(max(values))
    assert header.epoch == values.index(max(values))


def test_the_header_holds_the_validation_metric_whatever_selected_the_checkpoint(estimator_run: Run) -> None:
    _, header = load_scores(estimator_run.folder / SCORES_FILE)
    assert header.metric == "accuracy"
    assert header.val_metric == pytest.approx(scalars(estimator_run.folder)["val/accuracy"][3])


def test_the_scores_go_where_they_are_told(tmp_path: Path) -> None:
    run = train(tmp_path, estimator(), augmented(), ScoreHandover(str(tmp_path / "here" / "s.safetensors")), epochs=1)
    assert load_scores(tmp_path / "here" / "s.safetensors")[0].num_layers == 2
    assert not (run.folder / SCORES_FILE).exists()


def test_the_last_epochs_scores_are_handed_over_where_they_are_asked_for(tmp_path: Path) -> None:
    last = BestCheckpoint(monitor="epoch")
    run = train(tmp_path, estimator(temperature_wait=0, temperature_decay=0.5), augmented(), last, epochs=4)
    _, header = load_scores(run.folder / SCORES_FILE)
    assert (header.epoch, header.temperature) == (3, 0.125)
    assert header.val_metric == pytest.approx(scalars(run.folder)["val/accuracy"][3])


def test_only_the_estimators_fit_hands_scores_over(tmp_path: Path, wide_run: Run) -> None:
    assert not list(wide_run.folder.rglob("*.safetensors"))
    run = train(tmp_path, estimator(), augmented(), fast_dev_run=True)
    assert not list(tmp_path.rglob("*.safetensors"))
    run.trainer.validate(run.model, datamodule=run.data, verbose=False)
    assert not list(tmp_path.rglob("*.safetensors"))


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
    for words in ("Spexphormer: 100%", "3/3", "epoch=3/3", "val/accuracy=0.", "train/loss="):
        assert words in shown


def test_scores_that_lie_there_are_kept_and_repeated_ones_are_not_doubled(tmp_path: Path) -> None:
    place = tmp_path / "here" / "s.safetensors"

    def names() -> list[str]:
        return sorted(path.name for path in place.parent.iterdir())

    for seed, expected in ((0, ["s.safetensors"]), (0, ["s.safetensors"]), (1, ["s-2.safetensors", "s.safetensors"])):
        before = place.read_bytes() if place.is_file() else None
        train(tmp_path / f"{seed}", estimator(), augmented(seed=seed), ScoreHandover(str(place)), epochs=1)
        assert names() == expected
        assert before in (None, place.read_bytes()), "runs may have been trained by them"
    assert load_scores(place.with_name("s-2.safetensors"))[1].seed == 1


def test_damaged_scores_are_replaced_in_the_runs_folder_but_no_other_file(tmp_path: Path) -> None:
    run = train(tmp_path, estimator(), augmented(), epochs=1)
    place = run.folder / SCORES_FILE
    place.write_bytes(place.read_bytes()[:100])
    ScoreHandover().on_fit_end(run.trainer, run.model)
    assert load_scores(place)[0].num_layers == 2
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match=r"handover\.path is .*thesis\.txt, which holds something else than scores"):
        train(tmp_path / "other", estimator(), augmented(), ScoreHandover(str(tmp_path / "thesis.txt")), epochs=1)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_hand_over_asks_the_best_checkpoint_whatever_others_there_are(tmp_path: Path) -> None:
    others = [L.pytorch.callbacks.ModelCheckpoint(tmp_path / "a", monitor="val/loss"), BestCheckpoint()]
    run = train(tmp_path, estimator(), augmented(), *others, epochs=3)
    _, header = load_scores(run.folder / SCORES_FILE)
    values = scalars(run.folder)["val/accuracy"]
    assert (header.epoch, header.val_metric) == (values.index(max(values)), pytest.approx(max(values)))


def test_without_best_checkpoint_the_hand_over_takes_lightnings_own(tmp_path: Path) -> None:
    L.seed_everything(0, verbose=False)
    kept = L.pytorch.callbacks.ModelCheckpoint(tmp_path, monitor="val/accuracy", mode="max")
    callbacks = [ScoreHandover(str(tmp_path / "s.safetensors")), kept]
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", logger=False, callbacks=callbacks, default_root_dir=tmp_path)
    trainer.fit(estimator(), augmented())
    assert load_scores(tmp_path / "s.safetensors")[1].val_metric is None
