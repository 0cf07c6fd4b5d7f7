"""Files that torch.save wrote, checked and read without running anything that they name."""

import os
import zipfile
from pathlib import Path
from typing import Any

from spx.errors import ArtifactError

_MEND = "Restore it from a copy, or run anew."


def damage(path: str | Path) -> str | None:
    """Why the file can't be what torch.save wrote: it is no such archive, or a checksum is wrong, which torch doesn't
    look at. None where it is whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
            if packed:
                return "its parts are packed"
            broken = archive.testzip()
            return None if broken is None else f"its part {broken!r} has a wrong checksum"
    except Exception as error:  # whatever a damaged file makes zipfile raise
        return " ".join(f"{type(error).__name__} {error}".split())[:150]


def check_checkpoint(path: str | Path) -> None:
    """Refuse a checkpoint of which a single bit has changed since it was written.

    Raises:
        ArtifactError: there is no such file, it is no checkpoint, or a checksum of it is wrong.
    """
    if not os.path.isfile(path):  # other than pathlib's, never raises
        raise ArtifactError(f"There is no checkpoint {path}. Give the path of a .ckpt file in a run's checkpoints/.")
    if (reason := damage(path)) is not None:
        raise ArtifactError(f"{path} is no checkpoint of spx, or a damaged one ({reason}). {_MEND}")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint: tensors, on the CPU, and plain values; objects aren't unpickled.

    Raises:
        ArtifactError: as `check_checkpoint`, or it holds something else than a network and its hyper-parameters.
    """
    import torch

    check_checkpoint(path)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        if not {"state_dict", "hyper_parameters"} <= content.keys():
            raise KeyError("state_dict")
    except MemoryError:
        raise
    except Exception as error:  # whatever a file of another origin makes its reader raise
        raise ArtifactError(
            f"{path} is no checkpoint of spx, or a damaged one ({type(error).__name__}). {_MEND}"
        ) from error
    return content
