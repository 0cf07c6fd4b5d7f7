"""Predictions written to a file as they come: .csv, .parquet or .npz, in memory that doesn't grow with the graph.

A file is whole or not there; what stood in its place stays until the new one is complete.
"""

import contextlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import torch
from polars.io.plugins import register_io_source
from torch import Tensor

from spx.errors import ArtifactError, ConfigError
from spx.files import reason, replacing
from spx.inference.predictions import Predictions

ROW_GROUP = 65_536
"""Rows that a Parquet file holds together."""

Column = Callable[[Predictions], pl.Series | Tensor]


@contextlib.contextmanager
def table_writer(path: str | Path) -> Iterator["TableWriter"]:
    """Give a writer, whose `write(predictions)` adds a batch. The file takes its place when the block ends well.

    Raises:
        ConfigError: the file's ending is unknown, or it is a folder.
        ArtifactError: the folder can't be written, or the disk is full.
    """
    path = Path(path)
    kind = WRITERS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"The output is {path}; its name must end in {', '.join(WRITERS)}.")
    if path.is_dir():
        raise ConfigError(f"The output {path} is a folder. Give a file's name.")
    with contextlib.ExitStack() as stack:
        with _naming(path):
            writer = kind(path, stack.enter_context(replacing(path)))
            stack.callback(writer.close)
        yield writer
        with _naming(path):
            writer.finish()
            stack.close()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise ArtifactError(
            f"The predictions can't be written to {path}: {why}. Free space, or choose another place."
        ) from error


class TableWriter:
    """Writes batches to a temporary file, which is complete after `finish`.

    Args:
        path: the name that errors give.
        temporary: where to write.
    """

    def __init__(self, path: Path, temporary: Path):
        self.path, self.temporary = path, temporary
        self.num_nodes = 0
        self._file = self._open()

    def write(self, predictions: Predictions) -> None:
        """Add rows.

        Raises:
            ArtifactError: the disk is full.
        """
        with _naming(self.path):
            self._add(predictions)
        self.num_nodes += predictions.nodes.numel()

    def finish(self) -> None:
        """Bring the table to its end."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is open; what could not be written has been said."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _open(self) -> IO[bytes]:
        raise NotImplementedError

    def _add(self, predictions: Predictions) -> None:
        raise NotImplementedError


class CsvWriter(TableWriter):
    """Appends rows of text below the names of the columns."""

    def _open(self) -> IO[bytes]:
        return open(self.temporary, "wb")

    def _add(self, predictions: Predictions) -> None:
        self._file.write(predictions.table().write_csv(include_header=self.num_nodes == 0).encode())

    def finish(self) -> None:
        self._file.close()


class SpoolingWriter(TableWriter):
    """Keeps probabilities and spreads in a nameless file beside the table, and reads them back as often as the table
    needs. The nodes' numbers and names stay in memory. The nameless file ends with the process, however that ends."""

    def __init__(self, path: Path, temporary: Path):
        super().__init__(path, temporary)
        self._kept: list[Predictions] = []

    def _open(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self.temporary.parent)

    def _add(self, predictions: Predictions) -> None:
        empty = torch.empty(0)
        self._file.write(_array(predictions.probabilities).tobytes())
        if predictions.spread is not None:
            self._file.write(_array(predictions.spread).tobytes())
            predictions = predictions._replace(spread=empty)
        self._kept.append(predictions._replace(probabilities=empty))

    def batches(self) -> Iterator[Predictions]:
        """What was written, batch by batch."""
        self._file.seek(0)
        for kept in self._kept:
            shape = (kept.nodes.numel(), len(kept.class_names))
            probabilities = self._read(shape)
            spread = None if kept.spread is None else self._read(shape)
            yield kept._replace(probabilities=probabilities, spread=spread)

    def _read(self, shape: tuple[int, int]) -> Tensor:
        numbers = np.empty(shape, np.float32)
        self._file.readinto(numbers.data.cast("B"))
        return torch.from_numpy(numbers)


class ParquetWriter(SpoolingWriter):
    """Row groups of one size, whatever the batches are, through polars' streaming engine."""

    def finish(self) -> None:
        schema = next(self.batches()).table().schema

        def tables(*_: object) -> Iterator[pl.DataFrame]:
            return (batch.table() for batch in self.batches())

        register_io_source(tables, schema=schema).sink_parquet(self.temporary, row_group_size=ROW_GROUP)


class NpzWriter(SpoolingWriter):
    """Arrays `node`, `prediction`, `probability` (not for several labels), `probabilities` and `spread` [N, C], and
    `class_names`: numbers and fixed-width text, which are read without pickle."""

    def finish(self) -> None:
        class_names = self._kept[0].class_names
        with zipfile.ZipFile(self.temporary, "w") as archive:
            for name, column in self._columns().items():
                _store(archive, name, self.num_nodes, partial(self._parts, column))
            _store(archive, "class_names", len(class_names), lambda: iter([np.array(class_names)]))

    def _columns(self) -> dict[str, Column]:
        columns: dict[str, Column] = {"node": lambda batch: batch.ids, "prediction": lambda batch: batch.names}
        if self._kept[0].task == "multiclass":
            columns["probability"] = lambda batch: batch.probabilities.amax(1)
        columns["probabilities"] = lambda batch: batch.probabilities
        if self._kept[0].spread is not None:
            columns["spread"] = lambda batch: batch.spread
        return columns

    def _parts(self, column: Column) -> Iterator[np.ndarray]:
        return (_array(column(batch)) for batch in self.batches())


def _store(archive: zipfile.ZipFile, name: str, length: int, parts: Callable[[], Iterator[np.ndarray]]) -> None:
    """Write one array of the given length, in parts along its first dimension, which can be had more than once."""
    first = next(parts())
    is_text = first.dtype.kind == "U"
    dtype = max((part.dtype for part in parts()), key=lambda dtype: dtype.itemsize) if is_text else first.dtype
    description = {"descr": dtype.str, "fortran_order": False, "shape": (length, *first.shape[1:])}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_2_0(file, description)
        for part in parts():
            file.write(part.astype(dtype, copy=False).tobytes())


WRITERS: dict[str, type[TableWriter]] = {".csv": CsvWriter, ".parquet": ParquetWriter, ".npz": NpzWriter}
"""By the ending of the file's name."""


def _array(column: pl.Series | Tensor) -> np.ndarray:
    """Numbers as they are, text as fixed-width unicode."""
    if isinstance(column, Tensor):
        return column.float().numpy()
    return np.array(column.to_list(), dtype=str) if column.dtype == pl.String else column.to_numpy()
