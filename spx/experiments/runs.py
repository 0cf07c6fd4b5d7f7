"""One run as a process of its own, and finding one that has been made before."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spx import __version__
from spx.errors import ConfigError
from spx.experiments.plan import ESTIMATOR, Stage, Study

RECORD_FILE = "run.json"
SCORES_FILE = "scores.safetensors"
SETTINGS_FILE = "study.json"
"""Written into a run's folder when the run has ended well: what it was run with."""


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
        "scores": None if scores is None else scores_digest(scores),
    }


def scores_digest(path: Path) -> str:
    """Of the artifact's header, which holds the fingerprint of its tensors."""
    with open(path, "rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))
    return hashlib.sha256(header).hexdigest()


def find_run(folder: Path, stage: Stage, settings: dict[str, Any]) -> Path | None:
    """The newest run of `folder` that ended well with these settings, or None."""
    settings = json.loads(json.dumps(settings))
    for run in sorted(_versions(folder), key=lambda run: int(run.name.removeprefix("version_")), reverse=True):
        if not (run / RECORD_FILE).is_file() or read_json(run / SETTINGS_FILE) != settings:
            continue
        if stage.kind != ESTIMATOR or (run / SCORES_FILE).is_file():
            return run
    return None


def run_stage(study: Study, stage: Stage, seed: int, split: int, scores: Path | None) -> Path:
    """Run one stage in a process of its own; returns the run's folder.

    Raises:
        StageError: the process failed, or left no record.
        ConfigError: the runs' folder can't be written.
    """
    folder = claim_version(study.folder / stage.name)
    command = fit_arguments(study, stage, seed, split, scores, folder)
    print(f"$ spx {shlex.join(command)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "spx", *command], check=False).returncode
    run = f"The run {folder} ({stage.name}, split {split}, seed {seed})"
    if code != 0:
        code = 128 - code if code < 0 else code  # a signal's number, as shells tell it
        raise StageError(f"{run} failed with exit code {code}; the study ends here.", code)
    if not (folder / RECORD_FILE).is_file():
        raise StageError(f"{run} left no {RECORD_FILE}; was it told to write elsewhere?", 1)
    write_json(folder / SETTINGS_FILE, settings_of(study, stage, seed, split, scores))
    return folder


def fit_arguments(study: Study, stage: Stage, seed: int, split: int, scores: Path | None, folder: Path) -> list[str]:
    """Arguments of `spx` for one run in `folder`; the user's own come last and win."""
    arguments = ["fit"]
    for file in stage.files:
        arguments += ["--config", str(file)]
    arguments += ["--name", stage.name, "--runs_dir", study.runs_dir]
    arguments += ["--version", folder.name.removeprefix("version_"), "--seed_everything", str(seed)]
    arguments += ["--data.protocol", study.protocol, "--data.split", str(split), "--data.data_dir", study.data_dir]
    if scores is not None:
        arguments += ["--data.scores", str(scores)]
    if stage.kind != ESTIMATOR:
        arguments += ["--then_test", "true"]
    return [*arguments, *stage.arguments]


def claim_version(folder: Path) -> Path:
    """Make the next free `version_N`; two studies at once never get the same.

    Raises:
        ConfigError: the folder can't be written.
    """
    numbers = [int(run.name.removeprefix("version_")) for run in _versions(folder)]
    number = max(numbers, default=-1) + 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                (run := folder / f"version_{number}").mkdir()
                return run
            except FileExistsError:
                number += 1
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise ConfigError(f"The folder {folder} can't be written: {reason}. Choose another with --runs_dir.") from error


def read_json(path: Path) -> dict[str, Any] | None:
    """What the file holds; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """See `write_text`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write the file whole or not at all, and its folder if need be.

    Raises:
        ConfigError: the folder can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}. Free space or choose another folder.") from error


def _versions(folder: Path) -> Iterator[Path]:
    return (run for run in folder.glob("version_*") if run.name.removeprefix("version_").isdigit())
