"""The choice among the best trials: each is validated again over seeds, and the best mean wins."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spx.configurations import BASE, CONFIGS
from spx.dataset_names import is_path
from spx.experiments.plan import TUNED, Study
from spx.experiments.runs import write_text
from spx.run_folder import TUNED_FILE
from spx.tuning.search import Ended
from spx.tuning.space import Value, write_settings
from spx.tuning.trials import Asked, Outcome, Trials

HEAD = (
    "# Made by: {command}\n# Chosen by validation alone: {metric} {mean:.2f}% over {seeds} seeds, of {trials} trials.\n"
)


@dataclass
class Candidate:
    """One of the best trials.

    Args:
        number: of the trial.
        chosen: its values.
        figures: validation metric by seed.
    """

    number: int
    chosen: Mapping[str, Value]
    figures: dict[int, float]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.figures.values())


def affordable(best: Sequence[Ended], side_by_side: int, seconds: float) -> list[Ended]:
    """As many of the best, two at least, as can be trained once more in the time."""
    for count in range(len(best), 2, -1):
        runs = [each.seconds for each in best[:count]]
        if max(max(runs), sum(runs) / side_by_side) <= seconds:
            return [*best[:count]]
    return [*best[:2]]


def validate_again(
    trials: Trials,
    best: Sequence[Ended],
    seeds: Sequence[int],
    side_by_side: int,
    seconds_left: Callable[[], float],
    say: Callable[[Candidate, int, Outcome], None],
) -> list[Candidate]:
    """Train the best trials with more seeds, seed after seed, and give them in the order of their means.

    A seed counts where all of them were trained with it: when the time is over, the others are compared.

    Args:
        trials: runs them.
        best: of the search.
        seeds: besides that of the search.
        side_by_side: runs at once.
        seconds_left: until the end.
        say: told each run.
    """
    candidates = [Candidate(each.number, dict(each.params), {trials.seed: each.value}) for each in best]
    by_number = {each.number: each for each in candidates}
    waiting = iter([Asked(each.number, each.chosen, seed) for seed in seeds for each in candidates])
    found: dict[tuple[int, int], float | None] = {}

    def done(asked: Asked, one: Outcome) -> None:
        found[asked.seed, asked.number] = one.best
        say(by_number[asked.number], asked.seed, one)

    trials.run_all(lambda: next(waiting, None), side_by_side, seconds_left, done)
    for seed in seeds:
        figures = {number: found.get((seed, number)) for number in by_number}
        if None not in figures.values():
            for number, figure in figures.items():
                by_number[number].figures[seed] = figure
    return sorted(candidates, key=lambda each: (-each.mean, each.number))


def place_of(study: Study) -> Path:
    """Where the choice is written: beside the dataset's configurations in a project's checkout, else with its runs."""
    checkout = Path(study.configs_dir) == Path(CONFIGS) and Path(CONFIGS, BASE).is_dir()
    return study.configs / TUNED_FILE if checkout and not is_path(study.dataset) else study.folder / TUNED_FILE


def write_choice(study: Study, settings: Mapping[str, Any], head: Mapping[str, Any]) -> Path:
    """Write the chosen settings as a configuration that is complete by itself; returns its path.

    Raises:
        ConfigError: the folder can't be written.
    """
    path = place_of(study)
    settings = {"name": TUNED, **{name: value for name, value in settings.items() if name != "name"}}
    if not is_path(study.dataset):
        settings["data"]["init_args"] = {"dataset": study.dataset, **settings["data"]["init_args"]}
    write_text(path, HEAD.format(**head) + write_settings(settings))
    return path
