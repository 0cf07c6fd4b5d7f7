"""Paths in the checkpoint that a run goes on from: Lightning removes what its callbacks' states call an older best."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spx.run_folder import LAST_CHECKPOINT
from spx.saved_places import Refused, shown


def check_state(folder: Path) -> None:
    """Refuse a last checkpoint by which a fit that goes on would remove files outside of the run's folder.

    A file is removed if its path begins with the checkpoints' folder, as text: `..` may follow. A run that was moved
    has paths of another place, which are left alone.

    Args:
        folder: of the run.

    Raises:
        Refused: a path leads elsewhere. A file that can't be read is left to the one that loads it.
    """
    import torch

    path = folder / LAST_CHECKPOINT
    if not os.path.isfile(path):
        return
    try:
        states = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["callbacks"]
    except Exception:  # whatever a damaged file makes its reader raise
        return
    for state in states.values() if isinstance(states, dict) else ():
        for each in _paths(state):
            if "://" in each or "::" in each or ("dirpath" in state and _leads_out(each, str(state["dirpath"]))):
                raise Refused(f"{LAST_CHECKPOINT} names the checkpoint {shown(each)}, outside of its folder")


def _paths(state: Any) -> Iterator[str]:
    if not isinstance(state, dict):
        return
    for name, value in state.items():
        if isinstance(name, str) and name.endswith("path") and isinstance(value, str):
            yield value
    models = state.get("best_k_models")
    yield from (str(name) for name in models) if isinstance(models, dict) else ()


def _leads_out(path: str, folder: str) -> bool:
    """Whether the path begins with the folder's, and goes up from there."""
    whole, start = Path(path).absolute().parts, Path(folder).absolute().parts
    return whole[: len(start)] == start and ".." in whole[len(start) :]
