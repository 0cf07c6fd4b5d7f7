"""The hand-over of the estimator's scores, over short fits."""

from pathlib import Path

import lightning as L
import pytest
import torch

from spx.errors import ConfigError
from spx.graph.scores import load_scores, read_header
from spx.nn.export import read_config
from spx.run_folder import SCORES_FILE
from spx.training import AttentionEstimator
from spx.training.callbacks import BestCheckpoint
from spx.training.handover import ScoreHandover

from .conftest import Peak, Run, augmented, estimator, scalars, train


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


@pytest.mark.full
def test_only_the_estimators_fit_hands_scores_over(tmp_path: Path, wide_run: Run) -> None:
    assert not list(wide_run.folder.rglob("*.safetensors"))
    run = train(tmp_path, estimator(), augmented(), fast_dev_run=True)
    assert not list(tmp_path.rglob("*.safetensors"))
    run.trainer.validate(run.model, datamodule=run.data, verbose=False)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.full
def test_scores_that_lie_there_are_kept_and_repeated_ones_are_not_doubled(tmp_path: Path) -> None:
    place = tmp_path / "here" / "s.safetensors"

    def names() -> list[str]:
        return sorted(path.name for path in place.parent.glob("*.safetensors"))

    for seed, expected in ((0, ["s.safetensors"]), (0, ["s.safetensors"]), (1, ["s-2.safetensors", "s.safetensors"])):
        before = place.read_bytes() if place.is_file() else None
        train(tmp_path / f"{seed}", estimator(), augmented(seed=seed), ScoreHandover(str(place)), epochs=1)
        assert names() == expected
        assert before in (None, place.read_bytes()), "runs may have been trained by them"
    assert load_scores(place.with_name("s-2.safetensors"))[1].seed == 1
    for scores in (place, place.with_name("s-2.safetensors")):  # each has the network that made it beside it
        fingerprint = read_header(scores).fingerprint
        assert read_config(scores.with_suffix(".estimator")).made_from["scores_fingerprint"] == fingerprint


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
