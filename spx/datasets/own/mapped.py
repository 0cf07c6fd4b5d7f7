"""Features that stay on disk: an .npy file beside a folder's tables, which may be larger than the memory."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.error_words import one_line
from spx.errors import DatasetError

DTYPES = (np.float32, np.float16)


def mapped_features(file: Path, num_nodes: int) -> Tensor:
    """The features [N, F], float32 or float16, as a read-only map of the file: what is not looked at is not read.

    Writing to the tensor ends the process.
    Raises DatasetError for a file that is no whole .npy, or whose array is of another shape, kind or order.
    """
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # whatever a damaged header makes NumPy raise
        raise DatasetError(f"{file.name} is not a whole .npy ({one_line(error, 150)}): save it anew") from error
    if array.dtype not in DTYPES:
        raise DatasetError(f"{file.name} holds {array.dtype} values: save them as float32 or float16")
    if array.ndim != 2 or len(array) != num_nodes or not array.size:
        raise DatasetError(
            f"{file.name} must be [N, F] with N = {num_nodes} as in the nodes' table, not {list(array.shape)}: "
            "a row for each node, in the table's order"
        )
    if not array.flags.c_contiguous:
        raise DatasetError(f"{file.name} is in Fortran order: save numpy.ascontiguousarray(x), row after row")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not writable.*")
        return torch.from_numpy(array)
