"""A safetensors file's tensors as mapped memory, whose pages can be given back to the system."""

import json
import math
import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

DTYPES = {"I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "F32": torch.float32}
"""Names of safetensors, of what an artifact holds."""


class MappedFile:
    """The file, mapped for this process alone: a page enters memory when it is read, and changes reach no disk.

    safetensors maps a file as well, but doesn't say where: its pages stay until the last tensor is gone.

    Args:
        path: of a file that safetensors has opened, so that its header is right.

    Raises:
        OSError: it can't be mapped.
    """

    def __init__(self, path: str | Path):
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            self._described = json.loads(file.read(length))
            self._start = 8 + length
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def tensors(self, names: Sequence[str]) -> list[Tensor]:
        """Those of the file, over its mapped memory.

        Raises:
            KeyError: the file has none of a name, or one of a type that no artifact has.
        """
        return [self._tensor(**self._described[name]) for name in names]

    def _tensor(self, dtype: str, shape: list[int], data_offsets: list[int]) -> Tensor:
        count, kind = math.prod(shape), DTYPES[dtype]
        if not count:
            return torch.empty(shape, dtype=kind)
        return torch.frombuffer(self._memory, dtype=kind, count=count, offset=self._start + data_offsets[0]).view(shape)

    def give_back(self) -> None:
        """Let the pages go, which come back from the system's cache when they are read. Changes in place are lost."""
        if hasattr(mmap, "MADV_DONTNEED") and os.name == "posix":
            self._memory.madvise(mmap.MADV_DONTNEED)
