"""What a trial of a search reports, when it ends, and what it never sees: a label of a test node."""

from pathlib import Path

import pytest
import torch
from daily import every_day

from spx.data import graph_data
from spx.datasets import NodeDataset
from spx.errors import ConfigError
from spx.training.callbacks import Trial

from .conftest import augmented, estimator, resampled, train, wide


def figures(folder: Path) -> dict[int, float]:
    lines = (folder / "validation.csv").read_text().splitlines()
    assert lines[0] == "epochs,validation"
    return {int(at): float(value) for at, value in (line.split(",") for line in lines[1:])}


@pytest.mark.full
def test_each_epoch_s_figure_is_written_also_by_a_trial_that_goes_on(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", wide(), resampled(hide_test=True), Trial(), epochs=4)
    assert list(figures(whole.folder)) == [1, 2, 3, 4]
    half = train(tmp_path / "half", wide(), resampled(hide_test=True), Trial(), epochs=2)
    last = str(half.folder / "checkpoints" / "last.ckpt")
    on = train(tmp_path / "on", wide(), resampled(hide_test=True), Trial(), epochs=4, ckpt_path=last)
    assert list(figures(on.folder)) == [1, 2, 3, 4]


@every_day(("bar", "epochs"), [(2.0, 2), (-1.0, 4)], 1)
def test_a_trial_behind_the_bar_ends(bar: float, epochs: int, tmp_path: Path) -> None:
    run = train(tmp_path, wide(), resampled(hide_test=True), Trial(bars={2: bar}), epochs=4)
    assert max(figures(run.folder)) == run.trainer.current_epoch == epochs


def test_a_trial_that_takes_too_much_memory_ends(tmp_path: Path) -> None:
    run = train(tmp_path, wide(), resampled(hide_test=True), Trial(max_memory=1.0), epochs=4)
    assert run.trainer.current_epoch == 1


@pytest.mark.parametrize("settings", [{"bars": {0: 0.5}}, {"max_memory": 0}])
def test_bounds_that_no_trial_has_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match="epochs and memory must be above 0"):
        Trial(**settings)


@every_day("name", ("toy", "toy-labels"), ("toy",))
def test_a_trial_is_the_same_whatever_the_labels_of_the_test_nodes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_toy
) -> None:
    """Weights and figures, bit for bit; without `hide_test` the data say that they are others."""

    def with_other_labels(*arguments: object) -> NodeDataset:
        dataset = load_toy(*arguments)
        y = dataset.y.clone()
        y[dataset.split.test] = (y[dataset.split.test] + 1) % (2 if dataset.task == "multilabel" else 3)
        return dataset._replace(y=y)

    states, seen, prints = [], [], []
    for load in (load_toy, with_other_labels):
        monkeypatch.setattr(graph_data, "load_dataset", load)
        for make, data in ((wide, resampled), (estimator, augmented)):
            hidden = data(name, hide_test=True)
            run = train(
                tmp_path / f"{load.__name__}-{make.__name__}", make(**hidden.for_model), hidden, Trial(), epochs=3
            )
            states.append(run.model.state_dict())
            seen.append(figures(run.folder))
            prints.append((hidden.data_fingerprint, data(name).data_fingerprint))
    half = len(states) // 2
    for one, other in zip(states[:half], states[half:], strict=True):
        assert all(one[key].equal(other[key]) for key in one)
    assert seen[:half] == seen[half:]
    assert [hidden for hidden, _ in prints[:half]] == [hidden for hidden, _ in prints[half:]]
    assert prints[0][1] != prints[half][1]


@pytest.mark.parametrize("name", ["toy", "toy-labels"])
def test_hidden_labels_are_nowhere_in_the_data(name: str) -> None:
    data, full = augmented(name, hide_test=True), augmented(name)
    test = full.dataset.split.test
    assert (data.dataset.y[test] == -1).all()
    assert data.nodes_of("test").numel() == 0
    assert data.num_outputs == full.num_outputs
    others = torch.ones(full.dataset.num_nodes, dtype=torch.bool)
    others[test] = False
    assert torch.equal(data.dataset.y[others], full.dataset.y[others])
    assert (full.dataset.y >= 0).all(), "the dataset itself is left alone"
    with pytest.raises(ConfigError, match="hide_test leaves the test nodes' labels out"):
        data.test_dataloader()
