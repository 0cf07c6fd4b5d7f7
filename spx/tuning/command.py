"""`spx tune DATASET`: looks for settings by validation alone, and writes them as the configuration `tuned`."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spx import __version__
from spx.arguments import CommandParser
from spx.configurations import found_configs
from spx.dataset_names import file_stamps
from spx.errors import ConfigError
from spx.experiments.plan import TUNED, Study, config_files, merged_settings
from spx.run_folder import check_writable
from spx.tuning.arguments import check_settings, split_arguments
from spx.tuning.space import first_trials, read_space, space_file, within
from spx.tuning.trials import Outcome, Trials, with_epochs

if TYPE_CHECKING:
    from spx.tuning.search import Search

SEARCH_SHARE = 0.7
"""Of the minutes; the rest validates the best trials again."""
MOST_MINUTES = 1_000_000
BEST, SEEDS = 3, 3
"""Trials that are validated again, and seeds of each besides the search's."""
EPILOG = """\
Each trial is a process of its own, without the labels of test nodes. The first are the known recipes. A search that was
stopped, by Ctrl-C too, goes on with the same command, and so does one that ended, for as many minutes again. With the
same seed and number of trials side by side it proposes the same trials. Settings of spx fit that are not searched, such
as --data.undirected true, are those of every trial.
"""


@dataclass(frozen=True)
class Tuning:
    """What a user asks for; see `make_parser`."""

    dataset: str
    minutes: float = 60.0
    kind: str = "wide"
    seed: int = 0
    split: int = 0
    protocol: str = "public"
    epochs: int | None = None
    trials: int | None = None
    side_by_side: int | None = None
    threads: int = 1
    max_edges: int | None = None
    max_memory: float | None = None
    data_dir: str = "data"
    runs_dir: str = "lightning_logs"
    configs_dir: str = "configs"
    extra: tuple[str, ...] = ()
    """Of every trial's fit."""

    @property
    def trials_at_once(self) -> int:
        """As asked for, or as many as there are cores for."""
        return self.side_by_side or max(1, (os.cpu_count() or 1) // self.threads)


def make_parser() -> argparse.ArgumentParser:
    """The options of `spx tune`."""
    usual = Tuning("")
    parser = CommandParser("spx tune", description=__doc__, epilog=EPILOG, allow_abbrev=False)
    parser.add_argument("dataset", help="name of a dataset, or path of your own graph")
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="of the whole search (default: 60)")
    parser.add_argument("--kind", default=usual.kind, help="what is searched: a file of configs/tune (default: wide)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the search and of its trials")
    parser.add_argument("--split", type=int, default=usual.split, help="split whose validation nodes decide")
    parser.add_argument("--protocol", choices=("public", "paper"), default=usual.protocol, help="split protocol")
    parser.add_argument(
        "--epochs", type=int, default=None, help="of each trial, and of what is chosen; default: the kind's"
    )
    parser.add_argument("--trials", type=int, default=None, help="at most so many, those of earlier searches too")
    parser.add_argument(
        "--side_by_side", "--side-by-side", type=int, default=None, help="trials at once; default: cores over --threads"
    )
    parser.add_argument("--threads", type=int, default=usual.threads, help="that each trial computes with (default: 1)")
    parser.add_argument(
        "--max_edges", "--max-edges", type=int, default=None, help="edges that a node may draw in any layer"
    )
    parser.add_argument(
        "--max_memory", "--max-memory", type=float, default=None, help="MB of peak resident memory that a run may take"
    )
    for name, what in (
        ("data_dir", "raw files and downloads"),
        ("runs_dir", "runs"),
        ("configs_dir", "configurations"),
    ):
        parser.add_argument(f"--{name}", default=getattr(usual, name), help=f"folder of the {what}")
    return parser


def tune(asked: Tuning) -> Path:
    """Search, validate the best again, write the choice, the table, the pictures and the page.

    Returns:
        The configuration's path.

    Raises:
        ConfigError: it can't be searched as asked, or no trial came to its end.
    """
    started = time.monotonic()
    with closing(prepare(asked)) as search:
        return _tune(asked, search, started)


def prepare(asked: Tuning) -> "Search":
    """Find files and folders and open the search, to be closed by the caller; nothing is trained yet.

    Raises:
        ConfigError: it can't be searched as asked.
    """
    _check(asked)
    study = Study(
        asked.dataset,
        protocol=asked.protocol,
        data_dir=asked.data_dir,
        runs_dir=asked.runs_dir,
        configs_dir=str(found_configs(asked.configs_dir)),
        extra=asked.extra,
    )
    folder = study.folder / f"tune-{asked.kind}-search"
    space = with_epochs(read_space(space_file(study.configs_dir, asked.kind)), asked.epochs)
    known = {each.of: merged_settings(config_files(study, each.of)) for each in space.recipes}
    space = within(space, known, asked.max_edges)
    check_settings(asked.extra, [each.name for each in space.parameters])
    trials = Trials(study, space, folder, asked.seed, asked.split, asked.threads, asked.max_memory)
    identity = {
        "spx": __version__,
        "dataset": [study.name, file_stamps(study.dataset), asked.protocol, asked.split, asked.seed],
        "settings": trials.settings,
        "space": asdict(space),
        "bounds": [asked.max_memory, asked.trials_at_once],
    }
    identity |= {"extra": asked.extra} if asked.extra else {}
    from spx.tuning.choice import place_of
    from spx.tuning.search import Search

    check_writable(folder)
    check_writable(place_of(study).parent, "--configs_dir")  # before, not after an hour
    return Search(space, trials, folder, identity, first_trials(space, known))


def _tune(asked: Tuning, search: "Search", started: float) -> Path:
    from spx.tuning.choice import affordable, validate_again

    screen, trials, side_by_side = Screen(asked, started, search), search.trials, asked.trials_at_once
    screen.begin(side_by_side)
    end = started + 60 * asked.minutes
    search_end = started + 60 * asked.minutes * SEARCH_SHARE
    search.run(side_by_side, asked.trials, lambda: search_end - time.monotonic(), screen.trial)
    best = search.best()[:BEST]
    if not best:
        raise ConfigError(screen.nothing_found())
    best = affordable(best, side_by_side, end - time.monotonic())
    trials.begin_again()
    print(
        f"Validating trials {', '.join(str(each.number) for each in best)} again, over {SEEDS} more seeds", flush=True
    )
    seeds = range(asked.seed + 1, asked.seed + 1 + SEEDS)
    candidates = validate_again(trials, best, seeds, side_by_side, lambda: end - time.monotonic(), screen.repeated)
    return _write(asked, search, candidates)


def _write(asked: Tuning, search: "Search", candidates: list) -> Path:
    from spx.tuning.choice import write_choice
    from spx.tuning.page import draw, rows, write_board, write_page, write_table

    chosen, study, folder = candidates[0], search.trials.study, search.trials.folder
    metric = search.best()[0].metric or "metric"
    number = len(search.finished())
    head = {"command": f"spx tune {shlex.quote(asked.dataset)} --kind {asked.kind}", "metric": metric}
    head |= {"mean": 100 * chosen.mean, "seeds": len(chosen.figures), "trials": number}
    path = write_choice(study, search.trials.chosen_settings(chosen.chosen), head)
    command = study_command(asked)
    table, pictures = rows(search), draw(folder, search)
    write_table(folder, table)
    words = {
        "title": f"spx tune {study.name}, {asked.kind}",
        "summary": f"{number} trials; trial {chosen.number} was chosen: validation {metric} {100 * chosen.mean:.2f}% "
        f"over {len(chosen.figures)} seeds. Its settings: {path}",
        "metric": metric,
        "command": command,
    }
    page = write_page(folder, search, candidates, pictures, words)
    write_board(folder, table, pictures)
    print(f"\nTrial {chosen.number} was chosen: validation {100 * chosen.mean:.2f}% over {len(chosen.figures)} seeds")
    for name, place in (("Settings", path), ("Trials", folder / "trials.csv"), ("Page", page)):
        print(f"{name + ':':<13}{shlex.quote(str(place))}")
    print(f"{'TensorBoard:':<13}tensorboard --logdir {shlex.quote(str(folder))}")
    print(f"{'Next:':<13}{command}", flush=True)
    return path


def study_command(asked: Tuning) -> str:
    """What trains and tests the choice over seeds."""
    words = ["spx", "study", asked.dataset, "--config", TUNED, "--seeds", "0", "1", "2", "3", "4"]
    usual = Tuning("")
    words += ["--splits", str(asked.split)] if asked.split != usual.split else []
    for name in ("protocol", "data_dir", "runs_dir", "configs_dir"):
        if getattr(asked, name) != getattr(usual, name):
            words += [f"--{name}", getattr(asked, name)]
    words += [f"--extra={shlex.join(asked.extra)}"] if asked.extra else []
    return shlex.join(words)


class Screen:
    """Progress and the best so far, a line each trial."""

    def __init__(self, asked: Tuning, started: float, search: Any):
        self.asked, self.started, self.search = asked, started, search
        done = search.complete()
        self.best = (done[0].value, done[0].number) if done else None
        self.problem = ""

    def begin(self, side_by_side: int) -> None:
        """Say what is going to happen."""
        done = len(self.search.finished())
        before = f", {done} trials done before" if done else ""
        print(
            f"Looking for settings of {self.asked.kind} on {self.asked.dataset} for {self.asked.minutes:g} minutes, "
            f"{side_by_side} trials at a time, {self.search.space.epochs} epochs each{before}",
            flush=True,
        )

    def trial(self, trial: Any, found: Outcome) -> None:
        """Of one that has ended."""
        recipe = trial.user_attrs.get("recipe")
        name = f"trial {trial.number}" + (f" ({recipe})" if recipe else "")
        if found.best is None:
            self.problem = found.problem
            self._line(f"{name}: failed, {found.problem}")
            return
        if found.pruned is None and (self.best is None or found.best > self.best[0]):
            self.best = (found.best, trial.number)
        behind = f", behind after {found.pruned} epochs" if found.pruned is not None else ""
        self._line(f"{name}: {100 * found.best:.2f}%{behind}")

    def repeated(self, candidate: Any, seed: int, found: Outcome) -> None:
        """Of one of the best with another seed."""
        figure = f"failed, {found.problem}" if found.best is None else f"{100 * found.best:.2f}%"
        self._line(f"trial {candidate.number}, seed {seed}: {figure}")

    def nothing_found(self) -> str:
        """Why there is nothing to choose from."""
        if self.problem:
            return f"No trial came to its end; the last one failed: {self.problem}"
        return (
            f"No round of trials ended within {self.asked.minutes:g} minutes. The same command goes on with them; give "
            "it more --minutes, or the trials fewer --epochs."
        )

    def _line(self, text: str) -> None:
        minutes = (time.monotonic() - self.started) / 60
        best = f"best {100 * self.best[0]:.2f}% (trial {self.best[1]}), " if self.best else ""
        print(f"{text}; {best}{minutes:.1f} of {self.asked.minutes:g} min", flush=True)


def _check(asked: Tuning) -> None:
    for name, most in (("minutes", MOST_MINUTES), ("max_memory", float("inf"))):
        value = getattr(asked, name)
        if value is not None and not 0 < value < most:
            below = f" and below {most:,}" if most < float("inf") else ""
            raise ConfigError(f"--{name} is {value}; it must be above 0{below}.")
    if asked.seed < 0:
        raise ConfigError(f"--seed is {asked.seed}; it must be at least 0.")
    for name in ("epochs", "trials", "side_by_side", "threads", "max_edges"):
        value = getattr(asked, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} is {value}; it must be at least 1.")


def tune_main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Raises:
        SpxError: it can't be searched as asked.
    """
    own, of_fit = split_arguments(sys.argv[1:] if argv is None else argv)
    settings = vars(make_parser().parse_args(own))
    try:
        tune(Tuning(**settings, extra=of_fit))
    except KeyboardInterrupt:
        print("\nStopped. All trials that ended are kept; the same command goes on.", file=sys.stderr)
        raise SystemExit(130) from None
