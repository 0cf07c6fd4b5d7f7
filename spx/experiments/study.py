"""`spx study DATASET`: both stages over splits and seeds, and their figures at the end."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from spx.arguments import CommandParser
from spx.dataset_names import is_path
from spx.errors import ConfigError
from spx.experiments.plan import ESTIMATOR, WIDE, Plan, Stage, Study, make_plan
from spx.experiments.report import print_report
from spx.experiments.runs import (
    PREDICTIONS_FILE,
    StageError,
    advise_on,
    predict_run,
    reusable_runs,
    run_stage,
    settings_of,
    start_here,
)
from spx.experiments.summary import FinishedRun, Record, summarize, write_summary
from spx.files import read_json
from spx.run_folder import RECORD_FILE, SCORES_FILE

EPILOG = """\
Each run is a process of its own, `spx fit`, whose command is printed. A run that ended well with the same settings
is taken again, and one that was stopped goes on from its last checkpoint; --no-reuse runs everything anew, which you
want after changing the program itself. Give values that begin with a dash with '=': --extra='--trainer.max_epochs 20'.
"""


def run_study(
    study: Study,
    reuse: bool = True,
    predictions: bool = False,
    console: Console | None = None,
    start: Callable[[list[str], Path], int] = start_here,
) -> dict[str, Any]:
    """Run every stage for every split and seed, print the report, write and return the summary.

    Args:
        study: what to run.
        reuse: take finished runs of the same settings again.
        predictions: let the last run predict every node, into `PREDICTIONS_FILE` beside the summary.
        console: to print on; default: standard output.
        start: runs one stage, see `run_stage`; default: as a process of its own.

    Raises:
        ConfigError: the study can't be run as asked.
        StageError: a run failed.
    """
    console = console or Console()
    plan = make_plan(study)
    pairs = [(split, seed) for split in study.splits for seed in study.seeds]
    if not pairs:
        raise ConfigError("A study needs at least one seed and one split.")
    runs = []
    for index, (split, seed) in enumerate(pairs, start=1):
        heading = f"{study.name}, split {split}, seed {seed} ({index} of {len(pairs)})"
        runs.append(_run_pair(study, plan, seed, split, reuse, heading, start))
    summary = summarize(study, runs, plan.overlay_changes_method)
    if predictions:
        summary["predictions"] = str(predict_run(Path(runs[-1].wide["folder"]), study.folder / PREDICTIONS_FILE))
    print_report(summary, runs, write_summary(study, summary), console)
    if predictions and is_path(study.dataset):  # `make mine`, of a graph that nobody has figures of
        advise_on(Path(runs[-1].wide["folder"]))
    return summary


def _run_pair(
    study: Study, plan: Plan, seed: int, split: int, reuse: bool, heading: str, start: Callable[[list[str], Path], int]
) -> FinishedRun:
    scores, records = None, {}
    for number, stage in enumerate(plan.stages, start=1):
        of_several = f"stage {number} of {len(plan.stages)}: " if len(plan.stages) > 1 else ""
        print(f"\n{heading}, {of_several}{stage.name}", flush=True)
        folder = _run_or_find(study, stage, seed, split, scores, reuse, start)
        if stage.kind == ESTIMATOR:
            scores = folder / SCORES_FILE
        records[stage.kind] = _read_record(folder, tested=stage.kind == WIDE)
    return FinishedRun(records[WIDE], records.get(ESTIMATOR))


def _run_or_find(
    study: Study,
    stage: Stage,
    seed: int,
    split: int,
    scores: Path | None,
    reuse: bool,
    start: Callable[[list[str], Path], int],
) -> Path:
    settings = settings_of(study, stage, seed, split, scores)
    ended, stopped = reusable_runs(study.folder / stage.name, settings, stage) if reuse else (None, [])
    if ended is not None:
        print(f"Done before with the same settings: {ended}", flush=True)
        return ended
    return run_stage(study, stage, seed, split, scores, stopped, start)


def _read_record(folder: Path, tested: bool) -> Record:
    record = read_json(folder / RECORD_FILE)
    if record is None or (tested and record.get("test") is None):
        raise StageError(f"{folder / RECORD_FILE} is damaged or holds no test figure; run it anew: --no-reuse.", 1)
    return record


def make_parser() -> argparse.ArgumentParser:
    """The options of `spx study`, which are those of `Study`."""
    defaults = Study("")
    parser = CommandParser("spx study", description=__doc__, epilog=EPILOG, allow_abbrev=False)
    parser.add_argument("dataset", help="name of a folder in the configurations' folder, or path of your own graph")
    parser.add_argument("--seeds", type=int, nargs="+", default=defaults.seeds, help="each seed is a run")
    parser.add_argument("--splits", type=int, nargs="+", default=defaults.splits, help="each split is a run per seed")
    parser.add_argument("--protocol", choices=("public", "paper"), default=defaults.protocol, help="split protocol")
    parser.add_argument("--config", default=defaults.config, help="stage 2's configuration (default: wide)")
    parser.add_argument("--overlay", default=None, help="name of an overlay, such as uniform or gpu")
    for name, what in (
        ("data_dir", "raw files and downloads"),
        ("runs_dir", "runs"),
        ("configs_dir", "configurations"),
    ):
        parser.add_argument(f"--{name}", default=getattr(defaults, name), help=f"folder of the {what}")
    for name, whose in (("extra", "both stages'"), ("extra_estimator", "stage 1's"), ("extra_wide", "stage 2's")):
        flags = {f"--{name}", f"--{name.replace('_', '-')}"}
        parser.add_argument(*sorted(flags), type=_words, default=(), help=f"further arguments of {whose} spx fit")
    parser.add_argument(
        "--predictions", action="store_true", help=f"write the last run's predictions of every node: {PREDICTIONS_FILE}"
    )
    parser.add_argument("--reuse", action=argparse.BooleanOptionalAction, default=True, help="take finished runs again")
    return parser


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} can't be split into arguments: {error}") from error


def study_main(argv: Sequence[str] | None = None) -> None:
    """Entry point. A failed run ends the program with the run's exit code.

    Raises:
        SpxError: the study can't be run as asked.
    """
    settings = vars(make_parser().parse_args(argv))
    reuse, predictions = settings.pop("reuse"), settings.pop("predictions")
    settings |= {"seeds": tuple(settings["seeds"]), "splits": tuple(settings["splits"])}
    settings["overlay"] = settings["overlay"] or None  # make gives an empty one
    try:
        run_study(Study(**settings), reuse, predictions)
    except StageError as error:
        print(f"spx: error: {error}", file=sys.stderr)
        raise SystemExit(error.code) from error
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on with the first run that isn't finished.", file=sys.stderr)
        raise SystemExit(130) from None
