"""A run's folder, read without running anything that it names."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from spx.errors import ArtifactError
from spx.files import read_json
from spx.run_folder import BEST_CHECKPOINT, CONFIG_FILE, LAST_CHECKPOINT, RECORD_FILE

EXAMPLE = "lightning_logs/actor/wide/version_0"


class RunFiles(NamedTuple):
    """What a finished run wrote down.

    Args:
        folder: of the run.
        config: `config.yaml`, what it was asked for; `model` and `data` are dicts.
        record: `run.json`, what it took and reached.
    """

    folder: Path
    config: dict[str, Any]
    record: dict[str, Any]

    def locate(self, path: str | Path) -> list[Path]:
        """Where a path of the run may lie now, existing places only: where the run itself found it, from the present
        folder, or beside the run's folder as before if both were moved together."""
        started_in = Path(str(self.record.get("cwd") or "."))
        path = Path(path).expanduser()
        then = started_in / path
        places = [then, path]
        if recorded := self.record.get("folder"):
            places.append(self.folder / os.path.relpath(then, started_in / str(recorded)))
        return [Path(place) for place in dict.fromkeys(map(os.path.abspath, places)) if os.path.exists(place)]


def read_run(folder: str | Path) -> RunFiles:
    """Read a finished run's settings and record.

    Raises:
        ArtifactError: no such folder, not a run's, damaged, or the run isn't finished.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ArtifactError(f"There is no folder {folder}. Give a run's, such as {EXAMPLE}.")
    if not (folder / CONFIG_FILE).is_file():
        inside = sorted(path.name for path in folder.glob("version_*"))
        hint = f"one of those in it, such as {folder / inside[-1]}" if inside else f"one such as {EXAMPLE}"
        raise ArtifactError(f"{folder} is no run's folder: it holds no {CONFIG_FILE}. Give {hint}.")
    config = _read_config(folder / CONFIG_FILE)
    if not (folder / RECORD_FILE).is_file():
        raise _unfinished(folder, RECORD_FILE)
    record = read_json(folder / RECORD_FILE)
    if not isinstance(record, dict):
        raise ArtifactError(f"{folder / RECORD_FILE} is damaged. Restore it from a copy, or run anew.")
    return RunFiles(folder, config, record)


def read_checkpoint(files: RunFiles, checkpoint: str | Path = "best") -> tuple[Path, dict[str, Any]]:
    """A checkpoint's path and content, which is read without unpickling objects.

    Args:
        files: of the run.
        checkpoint: "best" on validation, "last", or the path of a .ckpt file.

    Raises:
        ArtifactError: there is none, or it is none or a damaged one.
    """
    path = _checkpoint_path(files, checkpoint)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        if not {"state_dict", "hyper_parameters"} <= content.keys():
            raise KeyError("state_dict")
    except Exception as error:  # whatever a damaged file makes its reader raise
        raise ArtifactError(
            f"{path} is no checkpoint of spx, or a damaged one ({type(error).__name__}). "
            "Restore it from a copy, or run anew."
        ) from error
    return path, content


def _checkpoint_path(files: RunFiles, checkpoint: str | Path) -> Path:
    if checkpoint == "best":
        best = files.folder / BEST_CHECKPOINT
        places = [best] if best.is_file() else files.locate(str(files.record.get("checkpoint") or BEST_CHECKPOINT))
        if not places or not places[0].is_file():
            raise _unfinished(files.folder, BEST_CHECKPOINT)
        return places[0]
    path = files.folder / LAST_CHECKPOINT if checkpoint == "last" else Path(checkpoint).expanduser()
    if not path.is_file():
        raise ArtifactError(f"There is no checkpoint {path}. Give 'best', 'last', or the path of a .ckpt file.")
    return path


def _unfinished(folder: Path, missing: str) -> ArtifactError:
    if (folder / LAST_CHECKPOINT).is_file():
        mend = f"Go on with it: spx resume {folder}"
    else:
        mend = "Run it again; the folders of `spx test` and `spx predict` hold no network, give the fit's."
    return ArtifactError(f"The run {folder} isn't finished: it has no {missing}. {mend}")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text())
        parts = [config["model"], config["data"]]
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} is damaged, or none of a run's ({type(error).__name__}). Restore it from a copy, or run anew."
        ) from error
    if not all(isinstance(part, dict) and isinstance(part.get("init_args") or {}, dict) for part in parts):
        raise ArtifactError(f"{path} is damaged: model and data must name a class and its arguments. Run anew.")
    return config
