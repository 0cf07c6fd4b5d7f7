"""The temperature, the scores, and what is refused."""

from pathlib import Path

import pytest
import torch

from spx.errors import ConfigError
from spx.training import AttentionEstimator
from spx.training.estimator import annealed_temperature

from .conftest import Run, augmented, estimator, scalars, train


def test_annealed_temperature_by_hand() -> None:
    temperatures = [annealed_temperature(epoch, decay=0.5, wait=2, least=0.2) for epoch in range(7)]
    assert temperatures == [1, 1, 1, 0.5, 0.25, 0.2, 0.2]
    assert annealed_temperature(1000, 1.0, 0, 0.05) == 1, "no decay"
    assert annealed_temperature(3, 0.99, 0, 0.05) == pytest.approx(0.970299)
    lower = [annealed_temperature(epoch, 0.5, 2, 0.2, initial=0.5) for epoch in range(5)]
    assert lower == [0.5, 0.5, 0.5, 0.25, 0.2], "of weights that were learned at 0.5"


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature_decay": 0.0},
        {"temperature_decay": 1.1},
        {"temperature_min": 0.0},
        {"temperature_min": 2.0},
        {"temperature_wait": -1},
        {"temperature_start": 0.0},
        {"temperature_start": 1.5},
    ],
)
def test_a_temperature_that_can_not_be_is_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} "):
        estimator(**settings)


@pytest.mark.full
def test_the_temperature_is_in_the_buffer_and_in_the_best_checkpoint(estimator_run: Run) -> None:
    path = estimator_run.folder / "checkpoints" / "best.ckpt"
    assert float(torch.load(path, weights_only=True)["state_dict"]["network.temperature"]) == 0.25
    assert AttentionEstimator.load_from_checkpoint(path).temperature == 0.25
    assert scalars(estimator_run.folder)["work/temperature"] == [1, 1, 0.5, 0.25, 0.125]


def test_the_last_checkpoint_holds_the_last_temperature(estimator_run: Run) -> None:
    last = torch.load(estimator_run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert float(last["state_dict"]["network.temperature"]) == 0.125


def test_the_temperature_changes_the_scores() -> None:
    torch.manual_seed(0)
    model, data = estimator(), augmented()
    flat = model.attention_scores(data.dataset.x, data.graph)
    model.network.temperature.fill_(0.25)
    sharp = model.attention_scores(data.dataset.x, data.graph)
    assert model.temperature == 0.25
    assert sharp.square().sum() > flat.square().sum() + 1e-3


def test_scores_are_the_mean_over_heads_and_need_no_gradient() -> None:
    torch.manual_seed(0)
    model, data = estimator(num_heads=4, width=8), augmented()
    scores_LM = model.attention_scores(data.dataset.x, data.graph)
    weights = list(model.network.attention_weights(data.dataset.x, (data.graph,)))
    assert not scores_LM.requires_grad
    assert scores_LM.shape == (2, data.graph.num_edges)
    for layer in range(2):
        torch.testing.assert_close(scores_LM[layer], sum(weights[layer].T) / 4)


def test_a_resumed_fit_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", estimator(temperature_decay=0.9, temperature_wait=0), augmented(), epochs=4)
    half = train(
        tmp_path / "half", estimator(temperature_decay=0.9, temperature_wait=0), augmented(), epochs=4, max_steps=2
    )
    assert half.trainer.global_step == 2
    resumed = train(
        tmp_path / "resumed",
        estimator(temperature_decay=0.9, temperature_wait=0),
        augmented(),
        epochs=4,
        ckpt_path=str(half.folder / "checkpoints" / "last.ckpt"),
    )
    states = [
        torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (whole, resumed)
    ]
    assert states[0].keys() == states[1].keys()
    assert all(states[0][name].equal(states[1][name]) for name in states[0])


def test_a_fit_from_weights_goes_on_at_their_temperature(tmp_path: Path) -> None:
    """Also one that is stopped and resumed, whose checkpoint has the temperature that it has fallen to."""

    def fit(name: str, epochs: int, start: float | None = None, **settings: object) -> Run:
        model = estimator(temperature_decay=0.5, temperature_wait=1, temperature_start=start)
        model.network.temperature.fill_(0.5)
        return train(tmp_path, model, augmented(), name=name, epochs=epochs, **settings)

    assert scalars(fit("whole", 4).folder)["work/temperature"] == [0.5, 0.5, 0.25, 0.125]
    assert scalars(fit("anew", 3, start=1.0).folder)["work/temperature"] == [1, 1, 0.5], "as is asked for"
    half = fit("half", 2)
    fit("resumed", 4, ckpt_path=str(half.folder / "checkpoints" / "last.ckpt"))
    whole, resumed = (
        torch.load(tmp_path / f"toy/{name}/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "resumed")
    )
    assert float(resumed["network.temperature"]) == float(whole["network.temperature"]) == 0.125


def test_a_checkpoint_of_an_older_version_goes_on_from_1(tmp_path: Path) -> None:
    first = train(tmp_path, estimator(temperature_decay=0.5, temperature_wait=0), augmented(), name="first", epochs=2)
    path = first.folder / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["spx"].pop("initial_temperature", None)
    torch.save(content, path)
    model = estimator(temperature_decay=0.5, temperature_wait=0)
    train(tmp_path, model, augmented(), name="second", epochs=4, ckpt_path=str(path))
    assert model.temperature == 0.125
