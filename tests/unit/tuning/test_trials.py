"""Trials as configurations and as runs' files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from spx.experiments import parallel
from spx.experiments.plan import ESTIMATOR, Study
from spx.tuning.trials import Asked, Trials, best_by, outcome

from .conftest import SPACE, write_artifact

CHOSEN = {"model.layer": "residual", "model.lr": 0.02, "model.dropout": 0.4, "data.sampler": "uniform"}


@pytest.fixture
def trials(study: Study, tmp_path: Path) -> Trials:
    return Trials(study, SPACE, tmp_path / "search", max_memory=900)


def test_a_trial_is_a_configuration_without_test_labels(trials: Trials) -> None:
    stage = trials.stage({**CHOSEN, "averaging": 0.9}, {4: 0.5})
    settings = yaml.safe_load(stage.files[0].read_text())
    assert settings == stage.settings
    assert settings["data"]["init_args"] == {"k": [5, 5], "dataset": "cora", "sampler": "uniform", "hide_test": True}
    assert settings["model"]["init_args"] == {"num_layers": 2, "layer": "residual", "lr": 0.02, "dropout": 0.4}
    assert settings["trainer"]["max_epochs"] == 16
    assert [each["class_path"].rpartition(".")[2] for each in settings["trainer"]["callbacks"]] == [
        "WeightAverage",
        "Trial",
    ]
    assert settings["trainer"]["callbacks"][1]["init_args"] == {"bars": {4: 0.5}, "max_memory": 900}


def test_what_is_chosen_has_nothing_of_the_search(trials: Trials) -> None:
    settings = trials.chosen_settings(CHOSEN)
    assert settings["trainer"] == {"max_epochs": 16}
    assert "hide_test" not in settings["data"]["init_args"]
    assert settings["model"]["class_path"] == "spx.training.Spexphormer"


def leave(folder: Path, figures: list[float], **record: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{at},{value}" for at, value in enumerate(figures, start=1)]
    (folder / "validation.csv").write_text("\n".join(["epochs,validation", *lines]) + "\n")
    (folder / "run.json").write_text(json.dumps({"peak_rss_mb": 300.0, "test": None} | record))
    return folder


def test_what_came_of_a_trial(tmp_path: Path) -> None:
    folder = leave(tmp_path, [0.1, 0.5, 0.4, 0.7])
    assert outcome(folder, {}, None).best == 0.7
    assert outcome(folder, {2: 0.5, 3: 0.5}, None).pruned is None, "the best so far counts"
    behind = outcome(folder, {2: 0.6}, None)
    assert (behind.pruned, behind.best) == (2, 0.5), "what came after doesn't count"
    assert outcome(folder, {}, 200).problem == "it took 300 MB, above 200"
    assert outcome(leave(tmp_path, [float("nan")]), {}, None).problem == "it has no validation figure"
    assert best_by({1: 0.3, 2: 0.2, 5: 0.9}, 4) == 0.3


class MadeUpProcess:
    """In the place of a fit: leaves what it leaves, or fails."""

    started: list[dict]
    failing: str

    def __init__(self, command: list[str], environment: dict[str, str], log: Path):
        options = dict(zip(command[1::2], command[2::2], strict=True))
        self.started.append(options)
        folder = Path(options["--runs_dir"], "cora", options["--name"], f"version_{options['--version']}")
        log.write_text(f"a line\nspx: error: {self.failing}\n")
        leave(folder, [0.2, 0.6])
        if ESTIMATOR in options["--name"]:
            write_artifact(folder / "scores.safetensors")

    def wait(self) -> int:
        return 2 if self.failing else 0


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> type[MadeUpProcess]:
    made_up = type("Made", (MadeUpProcess,), {"started": [], "failing": ""})
    monkeypatch.setattr(parallel, "start_process", made_up)
    return made_up


def test_a_trial_is_a_fit_that_is_never_tested(trials: Trials, processes) -> None:
    assert trials.run(CHOSEN).best == 0.6
    (options,) = processes.started
    assert "--then_test" not in options
    assert options["--seed_everything"] == "0"
    assert yaml.safe_load(Path(options["--config"]).read_text())["data"]["init_args"]["hide_test"] is True
    assert trials.run(CHOSEN).best == 0.6
    assert len(processes.started) == 1, "a finished one is taken again"
    trials.run(CHOSEN, seed=3)
    assert processes.started[1]["--seed_everything"] == "3"


def test_scores_come_from_one_estimator_a_seed_which_sees_no_test_label_either(trials: Trials, processes) -> None:
    by_scores = {**CHOSEN, "data.sampler": "attention"}
    trials.run(by_scores)
    trials.run({**by_scores, "model.lr": 0.03})
    names = [options["--name"] for options in processes.started]
    assert names == ["tune-estimator", "tune-wide", "tune-wide"]
    estimator = yaml.safe_load(Path(processes.started[0]["--config"]).read_text())
    assert estimator["data"]["init_args"]["hide_test"] is True
    scores = {options.get("--data.scores") for options in processes.started[1:]}
    assert scores == {str(trials.study.folder / "tune-estimator" / "version_0" / "scores.safetensors")}


def test_settings_that_are_not_searched_are_those_of_both_fits(trials: Trials, processes) -> None:
    trials.study = replace(trials.study, extra=("--data.undirected", "true", "--data.eval_samples", "2"))
    trials.run({**CHOSEN, "data.sampler": "attention"})
    estimator, wide = processes.started
    assert estimator["--data.undirected"] == wide["--data.undirected"] == "true"
    assert wide["--data.eval_samples"] == "2"
    assert "--data.eval_samples" not in estimator, "stage 1's data have none"


def test_a_failed_trial_says_why(trials: Trials, processes) -> None:
    processes.failing = "num_heads is 3, which doesn't divide width 8"
    assert trials.run(CHOSEN).problem == processes.failing
    assert trials.run({**CHOSEN, "data.sampler": "attention"}).problem == processes.failing, "of the estimator, too"


def test_what_is_stopped_is_no_failure(trials: Trials, processes) -> None:
    done = []

    def run_one(number: int) -> None:
        waiting = iter([Asked(number, CHOSEN)])
        trials.run_all(
            lambda: next(waiting, None), 1, lambda: 1.0, lambda asked, found: done.append((asked.number, found.best))
        )

    trials.processes.stop()
    run_one(0)
    assert done == []
    trials.begin_again()
    run_one(7)
    assert done == [(7, 0.6)]
