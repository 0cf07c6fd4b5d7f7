"""`spx tune` with made-up trials: what it prints, chooses and leaves."""

import csv
import re
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spx.__main__ import main
from spx.errors import ConfigError
from spx.experiments.plan import Study, config_files, make_plan
from spx.tuning import command
from spx.tuning.command import Tuning, study_command, tune, tune_main
from spx.tuning.trials import Outcome

from .conftest import FILES, MadeUpTrials

SPACE_FILE = {
    "base": "wide",
    "recipes": ["wide"],
    "epochs": 16,
    "parameters": {
        "model.layer": {"default": "concat", "values": ["concat", "residual"]},
        "model.lr": {"default": 0.01, "low": 0.001, "high": 0.1, "log": True},
        "model.dropout": {"default": 0.2, "low": 0.0, "high": 0.8},
    },
}


class Noted(MadeUpTrials):
    def __init__(self, *arguments: object, **settings: object):
        super().__init__(*arguments, **settings)
        self.runs = []


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {**FILES, "tune/wide.yaml": yaml.safe_dump(SPACE_FILE)}.items():
        path = tmp_path / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "Trials", Noted)
    return tmp_path


@pytest.fixture
def tuned(checkout: Path) -> Path:
    return tune(Tuning("cora", minutes=5, trials=12, side_by_side=2))


def test_the_choice_is_a_configuration_of_the_dataset(tuned: Path, capsys) -> None:
    assert tuned == Path("configs/cora/tuned.yaml")
    settings = yaml.safe_load(tuned.read_text())
    assert settings["name"] == "tuned"
    assert settings["data"]["init_args"]["dataset"] == "cora"
    assert settings["model"]["init_args"]["layer"] == "residual"
    assert settings["trainer"] == {"max_epochs": 16}
    assert re.match(
        r"# Made by: spx tune cora --kind wide\n# Chosen by validation alone: accuracy \d", tuned.read_text()
    )
    plan = make_plan(Study("cora", config="tuned"))
    assert [stage.name for stage in plan.stages] == ["estimator", "tuned"]


@pytest.mark.full
def test_what_it_leaves(tuned: Path) -> None:
    folder = Path("lightning_logs/cora/tune-wide-search")
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert [row["trial"] for row in rows] == [str(number) for number in range(12)]
    assert rows[0]["recipe"] == "wide"
    assert float(rows[0]["model.lr"]) == 0.01
    page = (folder / "index.html").read_text()
    assert "spx study cora --config tuned --seeds 0 1 2 3 4" in page
    for name in re.findall(r'src="([^"]+)"', page):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"tune/history", "tune/importances", "tune/curves"} == set(events.Tags()["images"])
    best = [event.value for event in events.Scalars("tune/best")]
    assert best == sorted(best)
    assert max(float(row["validation"]) for row in rows if row["state"] == "complete") == pytest.approx(
        best[-1], abs=1e-5
    )


@pytest.mark.full
def test_the_best_few_are_validated_again_over_seeds(checkout: Path, capsys) -> None:
    tune(Tuning("cora", minutes=5, trials=6, side_by_side=2, seed=4))
    lines = capsys.readouterr().out
    assert len(re.findall(r"^trial \d+, seed [567]: ", lines, re.MULTILINE)) == 9
    assert "over 4 seeds" in lines
    assert re.search(r"^trial 0 \(wide\): \d", lines, re.MULTILINE)
    assert re.search(r"best \d+\.\d\d% \(trial \d+\), \d", lines)


@pytest.mark.full
def test_a_lucky_seed_does_not_decide(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of the search falls back with other seeds."""
    run = Noted.run

    def with_luck(self, chosen, bars=None, seed=None):
        found = run(self, chosen, bars, seed)
        lucky = chosen["model.layer"] == "concat" and seed is None
        return Outcome({at: value + 0.5 * lucky for at, value in found.values.items()}, record=found.record)

    monkeypatch.setattr(Noted, "run", with_luck)
    monkeypatch.setattr(command, "BEST", 12)
    path = tune(Tuning("cora", minutes=5, trials=12, side_by_side=2))
    assert yaml.safe_load(path.read_text())["model"]["init_args"]["layer"] == "residual"


@pytest.mark.full
def test_an_own_graph_s_choice_lies_with_its_runs(checkout: Path) -> None:
    (checkout / "graph.npz").write_bytes(b"")
    path = tune(Tuning("graph.npz", minutes=5, trials=4, side_by_side=2))
    assert path == Path("lightning_logs/graph/tuned.yaml")
    assert config_files(Study("graph.npz"), "tuned") == (path,)
    assert "dataset" not in yaml.safe_load(path.read_text())["data"]["init_args"]


def test_what_is_not_tuned_yet_is_no_unknown_configuration(checkout: Path) -> None:
    with pytest.raises(ConfigError, match="cora isn't tuned yet: spx tune cora looks for"):
        config_files(Study("cora"), "tuned")


def test_the_command_that_trains_it() -> None:
    asked = Tuning("a b.npz", split=2, protocol="paper", runs_dir="my runs")
    assert study_command(asked) == (
        "spx study 'a b.npz' --config tuned --seeds 0 1 2 3 4 --splits 2 --protocol paper --runs_dir 'my runs'"
    )
    asked = Tuning("cora", extra=("--data.undirected", "true"))
    assert study_command(asked) == ("spx study cora --config tuned --seeds 0 1 2 3 4 '--extra=--data.undirected true'")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cora", "--minutes", "0"], "--minutes is 0.0; it must be above 0"),
        (["cora", "--minutes", "nan"], "--minutes is nan"),
        (["cora", "--minutes", "1e300"], r"--minutes is 1e\+300; it must be above 0 and below 1,000,000"),
        (["cora", "--seed", "-1"], "--seed is -1; it must be at least 0"),
        (["cora", "--minutes", "soon"], "--minutes"),
        (["cora", "--epochs", "0"], "--epochs is 0; it must be at least 1"),
        (["cora", "--side_by_side", "0"], "--side_by_side is 0"),
        (["cora", "--max_memory", "-5"], "--max_memory is -5.0; it must be above 0"),
        (["cora", "--kind", "wyde"], r"There is no configs/tune/wyde.yaml. Kinds that can be searched: wide"),
        (["coro"], "There is no dataset 'coro'"),
        (["mine"], "'mine' is any graph of your own"),
    ],
)
def test_what_can_not_be_searched(checkout: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tune_main(words)


def test_trials_that_all_fail_end_with_the_reason(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noted, "run", lambda *_: Outcome(problem="the disk is full"))
    with pytest.raises(ConfigError, match="No trial came to its end; the last one failed: the disk is full"):
        tune(Tuning("cora", trials=2))


def test_too_short_a_time_is_said(checkout: Path) -> None:
    with pytest.raises(ConfigError, match=r"No round of trials ended within 1e-09 minutes\. The same command goes on"):
        tune(Tuning("cora", minutes=1e-9))


@pytest.mark.full
def test_ctrl_c_keeps_what_ended(checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    run = Noted.run

    def stopped(self, *arguments):
        if len(self.runs) == 4:
            raise KeyboardInterrupt
        return run(self, *arguments)

    monkeypatch.setattr(Noted, "run", stopped)
    with pytest.raises(SystemExit) as caught:
        main(["tune", "cora", "--trials", "8", "--side_by_side", "1"])
    assert caught.value.code == 130
    assert "All trials that ended are kept" in capsys.readouterr().err
    monkeypatch.setattr(Noted, "run", run)
    tune(Tuning("cora", trials=8, side_by_side=1))
    assert "4 trials done before" in capsys.readouterr().out
