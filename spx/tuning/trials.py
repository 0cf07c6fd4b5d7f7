"""Trials as runs: which files and scores each has, several at once, and what came of them."""

import csv
import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from spx.experiments.parallel import LOG_FILE, Processes
from spx.experiments.plan import ESTIMATOR, TRIAL, Stage, Study, config_files, merge, merged_settings, needs_scores
from spx.experiments.runs import StageError, reusable_runs, run_stage, settings_of, write_text
from spx.files import read_json
from spx.run_folder import RECORD_FILE, SCORES_FILE, TRIAL_FILE
from spx.tuning.arguments import of_estimator
from spx.tuning.space import Space, Value, changes, write_settings

HIDDEN = {"data": {"init_args": {"hide_test": True}}}
"""What every run of a search has: no labels of test nodes."""
QUIET = {"trainer": {"enable_progress_bar": False}}
CALLBACK = "spx.training.callbacks.Trial"
Bars = Mapping[int, float]


class StoppedError(Exception):
    """The time is over, before the run's end: it goes on with the next search."""


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Args:
        values: validation metric by number of epochs; of a trial that failed empty.
        pruned: after how many epochs it fell behind; none: it didn't.
        problem: why it failed, or took too much memory.
        record: what `run.json` holds.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    pruned: int | None = None
    problem: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> float | None:
        """The best validation metric until the trial fell behind."""
        figures = [value for epochs, value in self.values.items() if self.pruned is None or epochs <= self.pruned]
        return max(figures, default=None)


class Asked(NamedTuple):
    """A trial to run.

    Args:
        number: of the trial.
        chosen: its values.
        seed: none: the search's.
        bars: see `spx.training.callbacks.Trial`.
    """

    number: int
    chosen: Mapping[str, Value]
    seed: int | None = None
    bars: Bars = MappingProxyType({})


class Trials:
    """Runs trials of one search.

    Args:
        study: dataset and folders.
        space: that is searched.
        folder: of the search, for the trials' configurations.
        seed, split: of the trials.
        threads: of each.
        max_memory: MB, above which a trial is given up.
    """

    def __init__(
        self,
        study: Study,
        space: Space,
        folder: Path,
        seed: int = 0,
        split: int = 0,
        threads: int = 1,
        max_memory: float | None = None,
    ):
        self.study, self.space, self.folder = study, space, folder
        self.seed, self.split, self.max_memory = seed, split, max_memory
        self.files = config_files(study, space.base)
        self.settings = merged_settings(self.files)
        self.processes = Processes(threads)
        self._estimators: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()

    def chosen_settings(self, chosen: Mapping[str, Value]) -> dict[str, Any]:
        """The configuration that the values make of the base, without what belongs to a search."""
        layers = self.settings.get("model", {}).get("init_args", {}).get("num_layers")
        settings = merge(self.settings, {"trainer": {"max_epochs": self.space.epochs}})
        averaged = changes(chosen, layers)
        own = averaged.get("trainer", {}).get("callbacks", [])
        settings["trainer"].pop("callbacks", None)  # an early end would tell the trials apart
        settings = merge(settings, averaged)
        if own:
            settings["trainer"]["callbacks"] = own
        return settings

    def stage(self, chosen: Mapping[str, Value], bars: Bars | None = None) -> Stage:
        """The run of a trial, whose configuration is written down."""
        settings = merge(merge(self.chosen_settings(chosen), HIDDEN), QUIET)
        name = f"tune-{self.space.base}"
        callback = {"class_path": CALLBACK, "init_args": {"bars": dict(bars or {}), "max_memory": self.max_memory}}
        settings["trainer"]["callbacks"] = [*settings["trainer"].get("callbacks", []), callback]
        settings["name"] = name
        text = write_settings(settings)
        file = self.folder / "configurations" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.yaml"
        if not file.is_file():
            write_text(file, text)
        return Stage(TRIAL, name, (file,), self.study.extra, settings)

    def run(self, chosen: Mapping[str, Value], bars: Bars | None = None, seed: int | None = None) -> Outcome:
        """One trial, or what one with the same settings left.

        Raises:
            StoppedError: `stop` was called.
            ConfigError: a folder can't be written.
        """
        seed = self.seed if seed is None else seed
        stage, logs = self.stage(chosen, bars), []
        try:
            scores = self._scores(seed, logs) if needs_scores(stage.settings, stage.arguments) else None
            folder = self._run(stage, seed, scores, logs)
        except StageError as error:
            if self.processes.stopped:
                raise StoppedError from error
            return Outcome(problem=_last_line(logs[-1]) if logs else str(error))
        return outcome(folder, bars or {}, self.max_memory)

    def run_all(
        self,
        next_one: Callable[[], Asked | None],
        side_by_side: int,
        seconds_left: Callable[[], float],
        done: Callable[[Asked, Outcome], None],
    ) -> None:
        """Several trials side by side, until the time is over or none runs and none is next.

        Args:
            next_one: the next trial, asked for whenever there is room for one; none: there is none as yet.
            side_by_side: trials at once.
            seconds_left: until the search ends.
            done: told each that has ended before.
        """
        pool, running = ThreadPoolExecutor(side_by_side), {}
        try:
            while True:
                while len(running) < side_by_side and seconds_left() > 0 and (asked := next_one()) is not None:
                    running[pool.submit(self.run, asked.chosen, asked.bars, asked.seed)] = asked
                if not running:
                    return
                ended, _ = wait(running, timeout=max(0.0, seconds_left()), return_when=FIRST_COMPLETED)
                if not ended and seconds_left() <= 0:
                    self.processes.stop()
                    ended, _ = wait(running)
                for future in sorted(ended, key=lambda each: running[each].number):
                    asked = running.pop(future)
                    with suppress(StoppedError):
                        done(asked, future.result())
        except BaseException:
            self.processes.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def begin_again(self) -> None:
        """Let runs start again after a stop."""
        self.processes = Processes(self.processes.threads)

    def _scores(self, seed: int, logs: list[Path]) -> Path:
        """Of the seed's estimator, which is trained once, without test labels too."""
        with self._lock:
            lock = self._estimators.setdefault(seed, threading.Lock())
        with lock:
            files = config_files(self.study, ESTIMATOR)
            name = f"tune-{ESTIMATOR}"
            settings = merge(merge(merged_settings(files), HIDDEN), {**QUIET, "name": name})
            file = self.folder / "configurations" / f"{ESTIMATOR}.yaml"
            write_text(file, write_settings(settings))
            stage = Stage(ESTIMATOR, name, (file,), of_estimator(self.study.extra), settings)
            return self._run(stage, seed, None, logs) / SCORES_FILE

    def _run(self, stage: Stage, seed: int, scores: Path | None, logs: list[Path]) -> Path:
        settings = settings_of(self.study, stage, seed, self.split, scores)
        with self._lock:  # two of the same settings would both find none
            ended, stopped = reusable_runs(self.study.folder / stage.name, settings, stage)
        if ended is not None:
            return ended

        def start(command: list[str], folder: Path) -> int:
            logs.append(folder / LOG_FILE)
            return self.processes.start(command, folder)

        return run_stage(self.study, stage, seed, self.split, scores, stopped, start)


def outcome(folder: Path, bars: Bars, max_memory: float | None) -> Outcome:
    """What a run's files say of it."""
    values: dict[int, float] = {}
    with open(folder / TRIAL_FILE, newline="") as lines:
        for row in csv.DictReader(lines):
            values[int(row["epochs"])] = float(row["validation"])
    values = {epochs: value for epochs, value in values.items() if value == value}
    record = read_json(folder / RECORD_FILE) or {}
    memory = record.get("peak_rss_mb") or 0.0
    if max_memory is not None and memory > max_memory:
        return Outcome(problem=f"it took {memory:,.0f} MB, above {max_memory:,.0f}", record=record)
    if not values:
        return Outcome(problem="it has no validation figure", record=record)
    best = float("-inf")
    for epochs, value in values.items():
        best = max(best, value)
        if best < bars.get(epochs, float("-inf")):
            return Outcome(values, epochs, record=record)
    return Outcome(values, record=record)


def best_by(values: Mapping[int, float], epochs: int) -> float | None:
    """The best figure after so many epochs."""
    return max((value for at, value in values.items() if at <= epochs), default=None)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("spx: error: ")[:300] if lines else f"{log} is empty"


def with_epochs(space: Space, epochs: int | None) -> Space:
    """The space with other epochs a trial, where some are given."""
    return space if epochs is None else replace(space, epochs=epochs)
