"""Predictions written to a file as they come: .csv, .parquet or .npz, in memory that doesn't grow with the graph.

A file is whole or not there; what stood in its place stays until the new one is complete.
"""

import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from spx.errors import ArtifactError, ConfigError
from spx.files import reason, replacing
from spx.inference.predictions import Predictions

ROW_GROUP = 65_536
"""Rows that a Parquet file holds together."""

VECTORS = ("node", "prediction", "probability", "label", "part")
MATRICES = {"probabilities": "p:", "spread": "spread:"}
"""Arrays of an .npz file: columns of the table, and how the columns of a matrix begin."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet may run, also in the wide forms of East Asian scripts."""

Part = Callable[[pl.DataFrame], np.ndarray]


@contextlib.contextmanager
def table_writer(path: str | Path, spreadsheet: bool = False) -> Iterator["TableWriter"]:
    """Give a writer, whose `write(predictions)` adds a batch. The file takes its place when the block ends well.

    Args:
        path: of the table; its ending chooses the format.
        spreadsheet: a .csv whose text no spreadsheet takes for a formula (`without_formulas`).

    Raises:
        ConfigError: the file's ending is unknown, it is a folder, or it is no .csv for a spreadsheet.
        ArtifactError: the folder can't be written, or the disk is full.
    """
    path = Path(path)
    kind = WRITERS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"The output is {path}; its name must end in {', '.join(WRITERS)}.")
    if spreadsheet:
        if kind is not CsvWriter:
            raise ConfigError(f"The output is {path}; only a .csv is written for a spreadsheet: give its name.")
        kind = SpreadsheetWriter
    if os.path.isdir(path):
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
        self._file.write(self._text(predictions.table(), include_header=self.num_nodes == 0).encode())

    def _text(self, table: pl.DataFrame, include_header: bool) -> str:
        return table.write_csv(include_header=include_header)

    def finish(self) -> None:
        self._file.close()


class SpreadsheetWriter(CsvWriter):
    """A .csv that a spreadsheet opens as it is: text in quotes, and none that it takes for a formula."""

    def _text(self, table: pl.DataFrame, include_header: bool) -> str:
        return without_formulas(table).write_csv(include_header=include_header, quote_style="non_numeric")


class SpoolingWriter(TableWriter):
    """Keeps the rows in a nameless file beside the table, and reads them back as often as the table needs. The
    nameless file ends with the process, however that ends."""

    def __init__(self, path: Path, temporary: Path):
        super().__init__(path, temporary)
        self._sizes: list[int] = []

    def _open(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self.temporary.parent)

    def _add(self, predictions: Predictions) -> None:
        content = io.BytesIO()
        predictions.table().write_ipc_stream(content)
        self._sizes.append(self._file.write(content.getbuffer()))

    def tables(self) -> Iterator[pl.DataFrame]:
        """What was written, batch by batch."""
        self._file.seek(0)
        return (pl.read_ipc_stream(self._file.read(size)) for size in self._sizes)


class ParquetWriter(SpoolingWriter):
    """Row groups of one size, whatever the batches are, through polars' streaming engine."""

    def finish(self) -> None:
        source = register_io_source(lambda *_: self.tables(), schema=next(self.tables()).schema)
        source.sink_parquet(self.temporary, row_group_size=ROW_GROUP)


class NpzWriter(SpoolingWriter):
    """Arrays `node`, `prediction`, `probability` (not for several labels), `label`, `part`, `probabilities` and
    `spread` [N, C], and `class_names`: numbers and fixed-width text, which are read without pickle."""

    def _add(self, predictions: Predictions) -> None:
        super()._add(predictions)
        self._class_names = np.array(predictions.class_names)

    def finish(self) -> None:
        columns = next(self.tables()).columns
        arrays: dict[str, Part] = {name: partial(_vector, name) for name in VECTORS if name in columns}
        for name, heading in MATRICES.items():
            if chosen := [column for column in columns if column.startswith(heading)]:
                arrays[name] = partial(_matrix, chosen)
        with zipfile.ZipFile(self.temporary, "w") as archive:
            for name, part in arrays.items():
                _store(archive, name, self.num_nodes, lambda part=part: map(part, self.tables()))
            _store(archive, "class_names", len(self._class_names), lambda: iter([self._class_names]))


def without_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """The table with an apostrophe before headers and text that begin as formulas do; numbers stay as they are."""
    text = pl.col(pl.String)
    quoted = pl.when(text.str.slice(0, 1).is_in(FORMULA)).then(text.str.replace("^", "'")).otherwise(text)
    names = {name: f"'{name}" for name in table.columns if name.startswith(FORMULA)}
    return table.with_columns(quoted).rename(names)


def _vector(name: str, table: pl.DataFrame) -> np.ndarray:
    """A column: numbers as they are, text as fixed-width unicode, empty where it isn't known."""
    column = table[name]
    return np.array(column.fill_null("").to_list(), dtype=str) if column.dtype == pl.String else column.to_numpy()


def _matrix(names: list[str], table: pl.DataFrame) -> np.ndarray:
    return table.select(names).to_numpy()


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
