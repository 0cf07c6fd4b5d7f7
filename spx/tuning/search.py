"""The search: trials that Optuna proposes, pruned by validation at equal epochs.

A round is as many trials as run side by side. What is proposed, and what it is compared with, follows from all rounds
but the one before its own, which may still be trained. So it is a function of the seed and the number of trials side by
side, not of which ends first, and no process waits for the longest trial of a round.
"""

import hashlib
import json
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from spx.errors import ArtifactError, ConfigError
from spx.tuning.space import Space, Value
from spx.tuning.trials import Asked, Outcome, Trials, best_by

ROUND, RECIPE, PROBLEM, FIGURES, METRIC = "round", "recipe", "problem", "figures", "metric"
"""What Optuna keeps of a trial besides its values."""
RUNGS = (8, 4, 2)
"""A trial is compared with the others after the eighth, the quarter and the half of its epochs."""
LEAST_FOR_BARS = 5
"""Trials that have come so far, and no fewer than there are recipes, before others are compared with them."""
ALIKE = 3
"""Trials that fail alike before all of them would."""
RANDOM_TRIALS = 6
"""Before the sampler follows what was found."""


def import_optuna() -> Any:
    """The package, which is an extra.

    Raises:
        ConfigError: it isn't installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ConfigError("spx tune needs Optuna, which isn't installed: pip install 'spx[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Some regimes for parameter")  # few trials had a dependent parameter
    return optuna


class Ended(NamedTuple):
    """A trial that came to its end: its number, values, best validation metric, the metric's name, and its time."""

    number: int
    params: Mapping[str, Value]
    value: float
    metric: str | None = None
    seconds: float = 0.0


class Search:
    """Trials over a space, kept in a file from which a stopped search goes on.

    Args:
        space: that is searched.
        trials: runs them.
        folder: of the search.
        asked_for: all that tells one search from another, as plain values; another search has another file.
        recipes: values of the first trials, by name.

    Raises:
        ConfigError: another process works on the same search, or Optuna isn't installed.
        ArtifactError: the file is damaged.
    """

    def __init__(
        self, space: Space, trials: Trials, folder: Path, asked_for: Any, recipes: Mapping[str, Mapping[str, Value]]
    ):
        self.optuna = import_optuna()
        self.space, self.trials, self.seed = space, trials, trials.seed
        self._least_for_bars = max(LEAST_FOR_BARS, len(recipes))
        name = hashlib.sha256(json.dumps(asked_for, sort_keys=True, default=str).encode()).hexdigest()[:12]
        self.file = folder / f"trials-{name}.journal"
        self._lock = FileLock(folder / f".{name}.held")  # FILE.lock is Optuna's own
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(
                f"Another spx tune works on this search ({self.file}). Wait for its end, or give another --seed."
            ) from error
        try:
            self._open(name, recipes)
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # of lines that Optuna never wrote
            self.close()
            raise ArtifactError(
                f"{self.file} is damaged ({type(error).__name__}). Move it away: the finished runs stay."
            ) from error

    def _open(self, name: str, recipes: Mapping[str, Mapping[str, Value]]) -> None:
        backend = self.optuna.storages.journal.JournalFileBackend(str(self.file))
        storage = self.optuna.storages.JournalStorage(backend)
        self.study = self.optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )
        known = {each.user_attrs.get(RECIPE) for each in self.study.get_trials(deepcopy=False)}
        for recipe, chosen in recipes.items():
            if recipe not in known:
                self.study.enqueue_trial(dict(chosen), user_attrs={RECIPE: recipe})

    def close(self) -> None:
        """Let another process go on with it."""
        self._lock.release()

    def finished(self) -> list[Any]:
        """Trials with a figure, those that fell behind too."""
        states = (self.optuna.trial.TrialState.COMPLETE, self.optuna.trial.TrialState.PRUNED)
        return self.study.get_trials(deepcopy=False, states=states)

    def complete(self) -> list[Any]:
        """Trials that didn't fall behind, the best first."""
        found = self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.COMPLETE,))
        return sorted(found, key=lambda each: (-each.value, each.number))

    def best(self) -> list[Ended]:
        """The same, as plain values."""
        return [
            Ended(each.number, each.params, each.value, each.user_attrs[METRIC], each.user_attrs["seconds"] or 0.0)
            for each in self.complete()
        ]

    def run(
        self,
        side_by_side: int,
        most: int | None,
        seconds_left: Callable[[], float],
        say: Callable[[Any, Outcome], None],
    ) -> None:
        """Trial after trial until the time or the number of trials is over.

        Args:
            side_by_side: trials of a round.
            most: trials in all, those of earlier searches too; none: as many as there is time for.
            seconds_left: until the end.
            say: told each trial that has ended.

        Raises:
            ConfigError: no trial has come to its end ever, and the first ones fail alike: so would all others.
        """
        problems: list[str] = []
        by_number: dict[int, Any] = {}
        begun = self._begun(side_by_side)

        def next_one() -> Asked | None:
            trial = begun.pop(0) if begun else self._propose(side_by_side, most)
            if trial is None:
                return None
            by_number[trial.number] = trial
            return Asked(trial.number, trial.params, bars=self.bars(trial.user_attrs[ROUND]))

        def ended(asked: Asked, found: Outcome) -> None:
            self._tell(by_number[asked.number], found)
            say(by_number[asked.number], found)
            problems.extend([] if found.record else [found.problem])  # one with a record ended
            if len(problems) >= ALIKE and len(set(problems[-ALIKE:])) == 1 and not self.finished():
                raise ConfigError(f"{len(problems)} trials failed, none ended, so no other is tried: {problems[-1]}")

        self.trials.run_all(next_one, side_by_side, seconds_left, ended)

    def bars(self, number: int) -> dict[int, float]:
        """What trials of a round must have reached by how many epochs: the median of the trials that it knows.

        Trials that fell behind count where they were still trained.
        """
        epochs = self.space.epochs
        curves = [
            {int(at): value for at, value in each.user_attrs[FIGURES].items()}
            for each in self.finished()
            if _knows(number, each)
        ]
        bars = {}
        for rung in sorted({epochs // part for part in RUNGS} - {0}):
            reached = [best_by(curve, rung) for curve in curves if max(curve) >= rung]
            if len(reached) >= self._least_for_bars:
                bars[rung] = statistics.median(reached)
        return bars

    def _begun(self, side_by_side: int) -> list[Any]:
        """Trials of a search that was stopped while they were trained."""
        running = self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.RUNNING,))
        begun = [self.optuna.trial.Trial(self.study, each._trial_id) for each in running]
        for trial in begun:
            self._suggest(trial)
            trial.set_user_attr(ROUND, trial.number // side_by_side)
        return begun

    def _propose(self, side_by_side: int, most: int | None) -> Any | None:
        """The next trial; none before its round may know all that it has to, or if there are enough."""
        waits = self.optuna.trial.TrialState.WAITING
        trials = self.study.get_trials(deepcopy=False)
        held = [each for each in trials if each.state != waits]
        number = len(held) // side_by_side
        if most is not None and len(held) >= most:
            return None
        if any(_knows(number, each) and not each.state.is_finished() for each in held):
            return None
        if len(held) == len(trials):  # else a recipe is next
            self.study.enqueue_trial(self._sampled(number, held))
        trial = self.study.ask()
        self._suggest(trial)
        trial.set_user_attr(ROUND, number)
        return trial

    def _sampled(self, number: int, held: Sequence[Any]) -> dict[str, Value]:
        """What the sampler proposes for a round by the trials that it knows; of the others it sees that they run."""
        seen = self.optuna.create_study(direction="maximize", sampler=self._sampler(len(held)))
        runs = self.optuna.trial.TrialState.RUNNING
        for each in held:
            if not _knows(number, each):
                each = self.optuna.trial.create_trial(state=runs, params=each.params, distributions=each.distributions)
            seen.add_trial(each)
        return self._suggest(seen.ask())

    def _sampler(self, number: int) -> Any:
        """A sampler of its own for each trial: a search that goes on proposes what one in a piece would have."""
        return self.optuna.samplers.TPESampler(
            seed=(self.seed * 1_000_003 + number) % 2**32,
            n_startup_trials=RANDOM_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=True,
        )

    def _suggest(self, trial: Any) -> dict[str, Value]:
        chosen: dict[str, Value] = {}
        for each in self.space.parameters:
            if not each.is_asked(chosen):
                continue
            if each.values:
                chosen[each.name] = trial.suggest_categorical(each.name, each.values)
            else:
                chosen[each.name] = trial.suggest_float(each.name, each.low, each.high, log=each.log)
        return chosen

    def _tell(self, trial: Any, found: Outcome) -> None:
        states = self.optuna.trial.TrialState
        if found.best is None:
            trial.set_user_attr(PROBLEM, found.problem)
            self.study.tell(trial, state=states.FAIL)
            return
        until = {at: value for at, value in found.values.items() if found.pruned is None or at <= found.pruned}
        trial.set_user_attr(FIGURES, until)
        for name in (METRIC, "attention_edges", "num_nodes", "peak_rss_mb", "seconds", "seconds_per_epoch"):
            trial.set_user_attr(name, found.record.get(name))
        for epochs in sorted({self.space.epochs // part for part in RUNGS} - {0}):
            if (value := best_by(until, epochs)) is not None and max(until) >= epochs:
                trial.report(value, epochs)
        if found.pruned is None:
            self.study.tell(trial, found.best)
        else:
            self.study.tell(trial, state=states.PRUNED)


def _knows(number: int, trial: Any) -> bool:
    """Whether a round is proposed by the trial: not by those of the round before it, nor of its own."""
    return trial.user_attrs[ROUND] < number - 1
