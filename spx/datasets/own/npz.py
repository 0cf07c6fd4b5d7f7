"""Arrays of an .npz, without pickles and without surprises in memory."""

import logging
import math
import warnings
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from spx.datasets.own.error_words import listed, one_line
from spx.datasets.own.foreign_keys import NAMES, wanted
from spx.datasets.own.sparse import memory_bytes
from spx.errors import DatasetError

logger = logging.getLogger(__name__)

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npz(file: Path, further: str | None = None) -> dict[str, np.ndarray | None]:
    """The arrays of the keys that are `wanted`, None for each other key. Names that are Python objects are left out.

    further  another key that is read, if it is there
    Raises DatasetError for a file that is no whole .npz of plain arrays, and for arrays that need more memory than
    the machine has.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = {name.removesuffix(".npy"): archive.getinfo(name) for name in archive.namelist()}
            nameless = [key for key in members if key in NAMES and _holds_objects(archive, members[key])]
            members = {key: member for key, member in members.items() if key not in nameless}
            read = wanted(members) | ({further} & members.keys())
            _check_sizes([members[key] for key in read])
            arrays = {key: _array(archive, member) if key in read else None for key, member in members.items()}
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes zipfile, zlib or NumPy raise
        raise DatasetError(f"it is not a whole .npz ({one_line(error, 150)}): save it anew with numpy.savez") from error
    if nameless:
        logger.warning(
            "%s: %s are Python objects, which are not read as they could run code: it goes on without these names. To "
            "keep them, save numpy.array(names, dtype=str)",
            *(file, listed(nameless)),
        )
    return arrays


def _holds_objects(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    with warnings.catch_warnings(), archive.open(member) as stream:
        warnings.simplefilter("ignore")
        return _header(stream, member)[1].hasobject


def _check_sizes(members: list[zipfile.ZipInfo]) -> None:
    packed = [member.filename for member in members if member.compress_type not in _METHODS]
    if packed:
        raise DatasetError(f"{packed[0]!r} is packed in a way that NumPy doesn't use: save it anew with numpy.savez")
    total, memory = sum(member.file_size for member in members), memory_bytes()
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
        array = np.lib.format.read_array(stream, allow_pickle=False)
    try:
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as error:
        raise DatasetError(f"{member.filename!r} holds text that is not in UTF-8: save it with dtype=str") from error


def _check_header(stream: IO[bytes], member: zipfile.ZipInfo) -> None:
    """Refuse, before memory is taken, what a header promises and the member can't hold."""
    shape, dtype = _header(stream, member)
    if dtype.kind not in "biufUS" or dtype.itemsize == 0:
        raise DatasetError(
            f"{member.filename!r} holds {dtype} values, which are not read (Python objects could run code): save plain "
            "numbers, text as numpy.array([...], dtype=str), a sparse matrix as adj_data, adj_indices, adj_indptr and "
            "adj_shape (of features: attr_data, ...)"
        )
    announced, held = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
    if min(shape, default=0) < 0 or announced != held:
        raise ValueError(f"{member.filename} announces {announced} bytes but holds {held}")


def _header(stream: IO[bytes], member: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array, as the start of its member has them."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"{member.filename} has the unknown version {version}")
    shape, _, dtype = _HEADERS[version](stream)
    return shape, dtype
