"""One run as a process of its own, and finding one that has been made before."""

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spx import __version__
from spx.dataset_names import file_stamps, lasting_name
from spx.errors import ConfigError
from spx.experiments.folders import can_resume, held_run, scores_digest, without_damaged
from spx.experiments.plan import ESTIMATOR, TRIAL, WIDE, Stage, Study
from spx.experiments.processes import run_process
from spx.files import read_json, reason, replacing
from spx.run_folder import RECORD_FILE, SCORES_FILE, SETTINGS_FILE, version_numbers

PREDICTIONS_FILE = "predictions.csv"


class StageError(Exception):
    """A run failed; `code` is its exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


def settings_of(study: Study, stage: Stage, seed: int, split: int, scores: Path | None) -> dict[str, Any]:
    """All that a run's result depends on: two runs with the same settings are the same run."""
    return {
        "spx": __version__,
        "files": stage.settings,
        "arguments": list(stage.arguments),
        "protocol": study.protocol,
        "seed": seed,
        "split": split,
        "files_of_dataset": file_stamps(study.dataset),
        "scores": None if scores is None else scores_digest(scores),
    }


def find_runs(folder: Path, settings: dict[str, Any]) -> list[Path]:
    """The runs of `folder` with these settings, ended or not, newest first."""
    settings = json.loads(json.dumps(settings))
    runs = (folder / f"version_{number}" for number in sorted(version_numbers(folder), reverse=True))
    return [run for run in runs if read_json(run / SETTINGS_FILE) == settings]


def reusable_runs(folder: Path, settings: dict[str, Any], stage: Stage) -> tuple[Path | None, list[Path]]:
    """Of the runs with these settings one that has ended, and those that were stopped and can go on, newest first.

    What is damaged is set aside, what another process works on is left alone.
    """
    found = without_damaged(find_runs(folder, settings))
    ended = next((run for run in found if has_ended(run, stage)), None)
    return ended, [run for run in found if not has_ended(run, stage) and can_resume(run)]


def has_ended(run: Path, stage: Stage) -> bool:
    """Whether the run left all that the study needs of it."""
    record = read_json(run / RECORD_FILE)
    if not isinstance(record, dict):
        return False
    if stage.kind == TRIAL:
        return True
    return (run / SCORES_FILE).is_file() if stage.kind == ESTIMATOR else record.get("test") is not None


def start_here(command: list[str], folder: Path) -> int:
    """Run `spx` with these arguments, its output on the terminal; returns its exit code."""
    print(f"$ spx {shlex.join(command)}", flush=True)
    return run_process(command)


def run_stage(
    study: Study,
    stage: Stage,
    seed: int,
    split: int,
    scores: Path | None,
    stopped: Sequence[Path] = (),
    start: Callable[[list[str], Path], int] = start_here,
) -> Path:
    """Run one stage in a process of its own, or go on with a run that was stopped; returns the run's folder.

    The folder is held meanwhile, from before it can be found: another study neither takes it nor waits for it.

    Args:
        study, stage, seed, split, scores: what to run.
        stopped: folders of stopped runs, the best first.
        start: runs the process, given its arguments and the run's folder, and gives its exit code.

    Raises:
        StageError: the process failed, or left no record.
        ConfigError: the runs' folder can't be written.
    """
    settings = settings_of(study, stage, seed, split, scores)
    with held_run(study.folder / stage.name, stopped) as (folder, was_there):
        if was_there and has_ended(folder, stage):  # in another process, since it was looked for
            return folder
        if was_there:
            print(f"Stopped before its end, going on with it: {folder}", flush=True)
        write_json(folder / SETTINGS_FILE, settings)
        command = fit_arguments(study, stage, seed, split, scores, folder)
        code = start([*command, "--resume", "true"] if was_there else command, folder)
        run = f"The run {folder} ({stage.name}, split {split}, seed {seed})"
        if code != 0:
            code = 128 - code if code < 0 else code  # a signal's number, as shells tell it
            raise StageError(f"{run} failed with exit code {code}; the study ends here.", code)
        if not (folder / RECORD_FILE).is_file():
            raise StageError(f"{run} left no {RECORD_FILE}; was it told to write elsewhere?", 1)
    return folder


def predict_run(folder: Path, path: Path) -> Path:
    """Write the run's predictions of every node to `path`, in a process of its own.

    Raises:
        StageError: the process failed.
    """
    command = ["predict", str(folder), "--output", str(path)]
    print(f"\n$ spx {shlex.join(command)}", flush=True)
    code = run_process(command)
    if code != 0:
        raise StageError(f"The predictions of {folder} failed with exit code {code}.", 128 - code if code < 0 else code)
    return path


def advise_on(folder: Path) -> None:
    """Say how the run stands against baselines and what to try next, in a process of its own. A failure is its own
    line, and no failure of the study."""
    print(f"\n$ spx {shlex.join(['advise', str(folder)])}", flush=True)
    run_process(["advise", str(folder)])


def fit_arguments(study: Study, stage: Stage, seed: int, split: int, scores: Path | None, folder: Path) -> list[str]:
    """Arguments of `spx` for one run in `folder`; the user's own come last and win."""
    arguments = ["fit"]
    for file in stage.files:
        arguments += ["--config", str(file)]
    arguments += ["--name", stage.name, "--runs_dir", study.runs_dir]
    arguments += ["--version", folder.name.removeprefix("version_"), "--seed_everything", str(seed)]
    arguments += ["--data.protocol", study.protocol, "--data.split", str(split), "--data.data_dir", study.data_dir]
    named = stage.settings.get("data", {}).get("init_args", {}).get("dataset")
    if (dataset := lasting_name(study.dataset) or (None if named else study.dataset)) is not None:
        arguments += ["--data.dataset", dataset]
    if scores is not None:
        arguments += ["--data.scores", str(scores)]
    if stage.kind == WIDE:
        arguments += ["--then_test", "true"]
    return [*arguments, *stage.arguments]


def write_json(path: Path, content: dict[str, Any]) -> None:
    """See `write_text`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write the file whole or not at all, and its folder if need be.

    Raises:
        ConfigError: the folder can't be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(text)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {reason(error)}. Free space or choose another folder.") from error
