"""Arrays of an .npz, without pickles and without surprises in memory."""

import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from spx.datasets.own.arrays import KEYS
from spx.datasets.own.error_words import one_line
from spx.errors import DatasetError

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npz(file: Path) -> dict[str, np.ndarray | None]:
    """The arrays of the keys in `KEYS`, and None for each other key.

    Raises DatasetError for a file that is no whole .npz of plain arrays, and for arrays that need more memory than
    the machine has.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = {name.removesuffix(".npy"): archive.getinfo(name) for name in archive.namelist()}
            _check_sizes([member for key, member in members.items() if key in KEYS])
            return {key: _array(archive, member) if key in KEYS else None for key, member in members.items()}
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes zipfile, zlib or NumPy raise
        raise DatasetError(f"it is not a whole .npz ({one_line(error, 150)}): save it anew with numpy.savez") from error


def _check_sizes(members: list[zipfile.ZipInfo]) -> None:
    packed = [member.filename for member in members if member.compress_type not in _METHODS]
    if packed:
        raise DatasetError(f"{packed[0]!r} is packed in a way that NumPy doesn't use: save it anew with numpy.savez")
    total, memory = sum(member.file_size for member in members), _memory_bytes()
    if total > memory:
        raise DatasetError(
            f"its arrays take {total / 1e9:.1f} GB unpacked, but this machine has {memory / 1e9:.1f} GB of memory: "
            "use a larger machine, or a smaller graph"
        )


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with warnings.catch_warnings(), archive.open(member) as stream:
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        _check_header(stream, member)
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)


def _check_header(stream: IO[bytes], member: zipfile.ZipInfo) -> None:
    """Refuse, before memory is taken, what a header promises and the member can't hold."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"{member.filename} has the unknown version {version}")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise DatasetError(
            f"{member.filename!r} holds {dtype} values, which are not read (Python objects could run code): "
            "save plain numbers, or text as numpy.array([...], dtype=str)"
        )
    announced, held = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
    if min(shape, default=0) < 0 or announced != held:
        raise ValueError(f"{member.filename} announces {announced} bytes but holds {held}")


def _memory_bytes() -> float:
    """Of the machine; infinity where it can't be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf
