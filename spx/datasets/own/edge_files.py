"""Edges alone: lists of two columns, and MatrixMarket, whose nodes are a table beside them. N nodes, E edges."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.error_words import one_line, shown
from spx.datasets.own.sparse import edges_of
from spx.datasets.own.tables import SOURCE, TARGET, ends_of
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

_LINE = r"^([^\s,;]+)[\s,;]+([^\s,;]+)(.*)$"
_TITLES = ("source", "from", "src", "fromnodeid", "node_1", "id_1", "u", "node1")


def read_edges(file: Path, ids: "polars.Series") -> Tensor:
    """[2, E] int64: rows of the nodes with the ids [N] that the file names.

    A list has an edge a line: two ids, with spaces, tabs, commas or semicolons between them; what follows is left out,
    and so are lines that begin with # or %. MatrixMarket counts the nodes from 1, in the order of the table.
    Raises DatasetError for a file that is neither, and for ids that no node has.
    """
    if file.suffix.lower() == ".mtx":
        return _of_matrix(file, ids)
    return ends_of(_list(file), ids, file.name)


def _list(file: Path) -> "polars.DataFrame":
    import polars

    try:
        lines = polars.read_csv(
            file,
            has_header=False,
            new_columns=["line"],
            separator="\x1e",
            quote_char=None,
            infer_schema=False,
            truncate_ragged_lines=True,
            glob=False,
        )["line"].str.strip_chars("\ufeff \t\r")
    except polars.exceptions.PolarsError as error:
        raise DatasetError(f"{file.name} can't be read as a list of edges ({one_line(error, 120)})") from error
    lines = lines.filter(lines.is_not_null() & ~lines.str.contains("^([#%].*)?$"))
    parts = lines.str.extract_groups(_LINE).struct.unnest()
    source, target, rest = (parts[name] for name in parts.columns)
    if len(lines) and source[0] is not None and source[0].strip('"').lower() in _TITLES:
        lines, source, target, rest = lines[1:], source[1:], target[1:], rest[1:]
    wrong = lines.filter(source.is_null())
    if len(wrong):
        raise DatasetError(
            f"{file.name}: {len(wrong)} of its {len(lines)} lines are no edge, such as {shown(wrong[0])}: write two "
            "ids a line, with a space, tab or comma between them"
        )
    if rest.str.contains(r"[^\s,;]").any() and not rest.str.contains(r"^[\s,;]*(1(\.0*)?|\{\})?$").all():
        logger.warning("%s: only its first two columns are used (weights are not)", file)
    return polars.DataFrame({SOURCE: source.str.strip_chars('"'), TARGET: target.str.strip_chars('"')})


def _of_matrix(file: Path, ids: "polars.Series") -> Tensor:
    from scipy.io import mminfo, mmread

    try:
        rows, columns, entries, form, *_ = mminfo(file)
        if rows != len(ids):
            raise DatasetError(
                f"{file.name} is of {rows} nodes, but the table beside it has {len(ids)} rows: give a row for each"
            )
        held = rows * columns if form == "array" else entries
        if held > file.stat().st_size:  # before memory is taken: an entry takes two bytes at least
            raise DatasetError(f"{file.name} announces {held} entries, which it can't hold: save it anew")
        matrix = mmread(file)
        edges = edges_of(matrix, "the matrix", file.name)
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes SciPy raise
        raise DatasetError(f"{file.name} can't be read as MatrixMarket ({one_line(error, 150)})") from error
    return torch.from_numpy(np.ascontiguousarray(_order(ids, file)[edges].T))


def _order(ids: "polars.Series", file: Path) -> np.ndarray:
    """[N]: the table's row of each row of the matrix: by ids that count the nodes, else by the table's order."""
    if ids.dtype.is_integer():
        numbers = ids.to_numpy()
        low = int(numbers.min())
        if low in (0, 1) and int(numbers.max()) == low + len(numbers) - 1:  # they all differ
            return np.argsort(numbers)
    logger.warning("%s: its rows are taken as the nodes in the order of the table beside it", file)
    return np.arange(len(ids))
