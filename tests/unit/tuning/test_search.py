"""The search with made-up trials: what it proposes, prunes, keeps and goes on with."""

from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from spx.errors import ArtifactError, ConfigError
from spx.tuning import search as module
from spx.tuning.page import rows
from spx.tuning.search import Search
from spx.tuning.trials import Outcome, StoppedError

from .conftest import SPACE, MadeUpTrials

RECIPE = {"model.layer": "concat", "model.lr": 0.01, "model.dropout": 0.2}


def search(trials: MadeUpTrials, folder: Path, name: str = "one", recipes: dict | None = None) -> Search:
    folder.mkdir(exist_ok=True)
    found = Search(SPACE, trials, folder, name, recipes or {"wide": RECIPE})
    found.close()
    return found


def test_two_processes_never_work_on_one_search(made_up: MadeUpTrials, tmp_path: Path) -> None:
    held = Search(SPACE, made_up, tmp_path, "one", {"wide": RECIPE})
    with pytest.raises(ConfigError, match=r"Another spx tune works on this search \(.*\.journal\)"):
        search(made_up, tmp_path)
    search(made_up, tmp_path, "other")
    held.close()
    search(made_up, tmp_path)


@pytest.mark.parametrize("text", ["{", "[]\n[]\n", "3\n4\n", '{"a": 1}\n{"a": 1}\n', "\x00\n\x00\n"])
def test_a_damaged_file_is_said(text: str, made_up: MadeUpTrials, tmp_path: Path) -> None:
    file = search(made_up, tmp_path).file
    file.write_text(text + file.read_text())
    with pytest.raises(ArtifactError, match=r"\.journal is damaged \(\w+\)\. Move it away"):
        search(made_up, tmp_path)


def proposed(found: Search) -> list[dict]:
    return [each.params for each in found.study.get_trials(deepcopy=False)]


def forever() -> float:
    return 60.0


def test_it_begins_with_the_recipe_and_finds_better(made_up: MadeUpTrials, tmp_path: Path) -> None:
    found, said = search(made_up, tmp_path), []
    found.run(2, 30, forever, lambda trial, one: said.append((trial.number, one.best)))
    assert proposed(found)[0] == RECIPE
    assert len(said) == 30
    best = found.complete()[0]
    assert best.params["model.layer"] == "residual"
    assert best.value > found.study.trials[0].value + 0.15
    assert best.value == max(each.value for each in found.finished())
    assert not found.study.trials[0].user_attrs.get("problem")


@pytest.mark.full
def test_the_same_seed_proposes_the_same_also_in_pieces(study, tmp_path: Path) -> None:
    runs = []
    for name, pieces in (("whole", [12]), ("pieces", [4, 6, 12])):
        trials = MadeUpTrials(study, SPACE, tmp_path / name)
        trials.runs = []
        for most in pieces:
            found = search(trials, tmp_path / name)
            found.run(2, most, forever, lambda *_: None)
        runs.append(proposed(found))
    assert len(runs[0]) == 12
    assert runs[0] == runs[1]
    other = MadeUpTrials(study, SPACE, tmp_path / "other", seed=1)
    other.runs = []
    found = search(other, tmp_path / "other")
    found.run(2, 12, forever, lambda *_: None)
    assert proposed(found)[1:] != runs[0][1:]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("at", [0, 3, 5, 6])
def test_what_was_trained_at_a_kill_is_trained_again(at: int, study, tmp_path: Path, monkeypatch) -> None:
    whole = MadeUpTrials(study, SPACE, tmp_path / "whole")
    whole.runs = []
    wanted = search(whole, tmp_path / "whole")
    wanted.run(2, 8, forever, lambda *_: None)
    run, begun = MadeUpTrials.run, []

    def killed(self, chosen, bars=None, seed=None):
        begun.append(chosen)
        if len(begun) == at + 1:
            raise KilledError
        return run(self, chosen, bars, seed)

    trials = MadeUpTrials(study, SPACE, tmp_path / "killed")
    trials.runs, trials.processes = [], SimpleNamespace(stop=lambda: None)
    stopped = search(trials, tmp_path / "killed")
    monkeypatch.setattr(MadeUpTrials, "run", killed)
    with pytest.raises(KilledError):
        stopped.run(2, 8, forever, lambda *_: None)
    monkeypatch.setattr(MadeUpTrials, "run", run)
    again = search(trials, tmp_path / "killed")
    assert at - 1 <= len(again.finished()) <= at + 1
    again.run(2, 8, forever, lambda *_: None)
    assert proposed(again) == proposed(wanted)
    assert [each.value for each in again.study.trials] == [each.value for each in wanted.study.trials]


def test_no_process_waits_for_the_longest_trial_of_a_round(made_up: MadeUpTrials, tmp_path: Path, monkeypatch) -> None:
    """And what is proposed is the same whichever ends first."""
    wanted = search(made_up, tmp_path)
    wanted.run(2, 12, forever, lambda *_: None)
    run, held, begun = MadeUpTrials.run, Event(), []

    def first_is_long(self, chosen, bars=None, seed=None):
        begun.append(chosen)
        if len(begun) == 4:  # the last of the next round
            held.set()
        if len(begun) == 1:
            assert held.wait(20)
        return run(self, chosen, bars, seed)

    monkeypatch.setattr(MadeUpTrials, "run", first_is_long)
    found = search(made_up, tmp_path, "other")
    found.run(2, 12, forever, lambda *_: None)
    assert proposed(found) == proposed(wanted)
    assert [each.user_attrs["round"] for each in found.study.trials] == [number // 2 for number in range(12)]


@pytest.mark.full
def test_trials_that_are_behind_at_equal_epochs_end(made_up: MadeUpTrials, tmp_path: Path) -> None:
    found = search(made_up, tmp_path)
    found.run(1, 24, forever, lambda *_: None)
    pruned = [each for each in found.study.trials if each.state.name == "PRUNED"]
    assert pruned
    assert all(each.number >= module.LEAST_FOR_BARS for each in pruned)
    first = pruned[0]
    assert max(first.intermediate_values) in (2, 4, 8), "of 16 epochs"
    earlier = [each for each in found.study.trials if each.number < first.number]
    at = max(first.intermediate_values)
    reached = sorted(each.intermediate_values[at] for each in earlier if at in each.intermediate_values)
    assert first.intermediate_values[at] < reached[len(reached) // 2]
    assert found.complete()[0].value == max(each.value for each in found.finished()), "never the best"


def test_a_round_sees_nothing_of_itself_nor_of_the_one_before(made_up: MadeUpTrials, tmp_path: Path) -> None:
    found = search(made_up, tmp_path)
    found.run(6, 6, forever, lambda *_: None)
    assert found.bars(0) == found.bars(1) == {}
    assert found.bars(2).keys() == {2, 4, 8}


def test_no_recipe_falls_behind_another(made_up: MadeUpTrials, tmp_path: Path) -> None:
    """They are what other trials are compared with, and `benchmarks.recipes` needs all of them."""
    recipes = {f"recipe {number}": {**RECIPE, "model.dropout": number / 10} for number in range(7)}
    found = search(made_up, tmp_path, recipes=recipes)
    for told in range(7):
        assert found.bars(99) == {}
        found.run(1, told + 1, forever, lambda *_: None)
    assert found.bars(99).keys() == {2, 4, 8}


def test_the_time_ends_it(made_up: MadeUpTrials, tmp_path: Path) -> None:
    left = iter([1.0] * 9 + [0.0] * 99)
    found = search(made_up, tmp_path)
    found.run(1, None, lambda: next(left), lambda *_: None)
    assert 0 < len(found.finished()) < 9


def test_what_has_ended_before_a_stop_can_be_chosen(made_up: MadeUpTrials, tmp_path: Path, monkeypatch) -> None:
    run, left, begun = MadeUpTrials.run, [60.0], []

    def one_is_slow(self, chosen, bars=None, seed=None):
        begun.append(chosen)
        if len(begun) == 6:
            left[0] = 0.0
            raise StoppedError
        return run(self, chosen, bars, seed)

    monkeypatch.setattr(MadeUpTrials, "run", one_is_slow)
    made_up.processes = SimpleNamespace(stop=lambda: None)
    found = search(made_up, tmp_path)
    found.run(2, None, lambda: left[0], lambda *_: None)
    best, table = found.best(), rows(found)
    assert [each.value for each in best] == sorted((each.value for each in best), reverse=True)
    ended = {each.number for each in best}
    assert ended == {row["trial"] for row in table} < {each.number for each in found.study.trials}
    assert len(ended) >= 5
    assert all((row["state"], row["epochs"]) == ("complete", 16) for row in table)


def test_a_failed_trial_is_kept_with_its_reason(made_up: MadeUpTrials, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(MadeUpTrials, "run", lambda *_: Outcome(problem="it took 9,000 MB, above 500"))
    found = search(made_up, tmp_path)
    found.run(1, 2, forever, lambda *_: None)
    assert [each.state.name for each in found.study.trials] == ["FAIL", "FAIL"]
    assert found.study.trials[0].user_attrs["problem"] == "it took 9,000 MB, above 500"
    assert found.complete() == []


def test_another_search_has_another_file(made_up: MadeUpTrials, tmp_path: Path) -> None:
    one, other = search(made_up, tmp_path), search(made_up, tmp_path, "other")
    one.run(1, 1, forever, lambda *_: None)
    assert one.file != other.file
    assert not other.finished()


def test_without_optuna_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"needs Optuna, which isn't installed: pip install 'spx\[tune\]'"):
        module.import_optuna()


def test_what_fails_each_trial_ends_the_search(made_up: MadeUpTrials, tmp_path: Path, monkeypatch) -> None:
    """An hour of failures would tell nothing more."""
    monkeypatch.setattr(MadeUpTrials, "run", lambda *_: Outcome(problem="there is no column 'nope'"))
    found = search(made_up, tmp_path)
    with pytest.raises(
        ConfigError, match="3 trials failed, none ended, so no other is tried: there is no column 'nope'"
    ):
        found.run(2, None, forever, lambda *_: None)
    assert [each.state.name for each in found.study.trials][:3] == ["FAIL"] * 3


@pytest.mark.parametrize("record", [{}, {"peak_rss_mb": 9000.0}])
def test_trials_that_fail_each_in_its_way_do_not(
    made_up: MadeUpTrials, tmp_path: Path, monkeypatch, record: dict
) -> None:
    """Nor those that took too much memory: the next network may be smaller."""
    run, numbers = MadeUpTrials.run, iter(range(99))

    def fails_at_first(self, chosen, bars=None, seed=None):
        number = next(numbers)
        problem = "it took 9,000 MB, above 500" if record else f"width {number} isn't a multiple of 3"
        return Outcome(problem=problem, record=record) if number < 6 else run(self, chosen, bars, seed)

    monkeypatch.setattr(MadeUpTrials, "run", fails_at_first)
    found = search(made_up, tmp_path)
    found.run(1, 8, forever, lambda *_: None)
    assert len(found.finished()) == 2
