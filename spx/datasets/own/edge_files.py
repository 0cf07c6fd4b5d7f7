"""Edges alone: lists of two columns, and MatrixMarket, whose nodes are a table beside them. N nodes, E edges."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.edges import Edges, ends_of
from spx.datasets.own.error_words import one_line, shown
from spx.datasets.own.names import SOURCE, TARGET
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

_LINE = r"^([^\s,;]+)[\s,;]+([^\s,;]+)(.*)$"
_TITLES = ("source", "from", "src", "fromnodeid", "node_1", "id_1", "u", "node1")


def read_edges(file: Path, ids: "polars.Series") -> Edges:
    """The edges between the nodes with the ids [N] that the file names.

    A list has an edge a line: two ids, with spaces, tabs, commas or semicolons between them; what follows is left out,
    and so are lines that begin with # or %. MatrixMarket counts the nodes from 1, in the order of the table.
    Raises DatasetError for a file that is neither, and for ids that no node has.
    """
    if file.suffix.lower() == ".mtx":
        return Edges(_of_matrix(file, ids), {})
    return ends_of(_list(file), ids, file.name)


def _list(file: Path) -> "polars.DataFrame":
    import polars

    pairs, rest = _pairs(_lines(file), file.name, _TITLES)
    if rest.str.contains(r"[^\s,;]").any() and not rest.str.contains(r"^[\s,;]*(1(\.0*)?|\{\})?$").all():
        logger.warning("%s: only its first two columns are used (weights are not)", file)
    return polars.DataFrame({name: pairs[name].str.strip_chars('"') for name in (SOURCE, TARGET)})


def _lines(file: Path) -> "polars.Series":
    """The lines without spaces around them; none that are empty or begin with # or %."""
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
    return lines.filter(lines.is_not_null() & ~lines.str.contains("^([#%].*)?$"))


def _pairs(lines: "polars.Series", what: str, titles: tuple[str, ...] = ()) -> "tuple[polars.DataFrame, polars.Series]":
    """The first two words of each line, as `source` and `target`, and what follows them; a first line of titles is left
    out. Raises DatasetError for a line of one word."""
    import polars

    parts = lines.str.extract_groups(_LINE).struct.unnest()
    source, target, rest = (parts[name] for name in parts.columns)
    if len(lines) and source[0] is not None and source[0].strip('"').lower() in titles:
        lines, source, target, rest = lines[1:], source[1:], target[1:], rest[1:]
    wrong = lines.filter(source.is_null())
    if len(wrong):
        raise DatasetError(
            f"{what}: {len(wrong)} of its {len(lines)} lines are no edge, such as {shown(wrong[0])}: write two "
            "ids a line, with a space, tab or comma between them"
        )
    return polars.DataFrame({SOURCE: source, TARGET: target}), rest


def _of_matrix(file: Path, ids: "polars.Series") -> Tensor:
    """Read as text: SciPy's reader ends the process on some damaged files."""
    form, symmetry = _head(file)
    if form != "coordinate":
        raise DatasetError(
            f"{file.name} is a dense matrix: scipy.io.mmwrite(PATH, scipy.sparse.coo_array(scipy.io.mmread(PATH)))"
        )
    pairs, values = _pairs(_lines(file), file.name)
    numbers = np.stack([_integers(pairs[name], file.name) for name in (SOURCE, TARGET)], axis=1)
    count = _integers(values[:1].str.strip_chars(), file.name)
    if not len(count) or count[0] != len(numbers) - 1:
        raise DatasetError(f"{file.name} doesn't hold as many entries as its first line announces: save it anew")
    (rows, columns), edges = numbers[0].tolist(), numbers[1:] - 1
    if rows != columns or rows != len(ids):
        raise DatasetError(
            f"{file.name} is of {rows} x {columns} nodes, but the table beside it has {len(ids)} rows: give a row for "
            "each node"
        )
    if len(edges) and not 0 <= edges.min() <= edges.max() < rows:
        raise DatasetError(f"{file.name} names node {edges.max() + 1}, but numbers its nodes from 1 to {rows}")
    edges = edges[_weights(values[1:], file)]
    if symmetry != "general":
        edges = np.concatenate([edges, edges[edges[:, 0] != edges[:, 1]][:, ::-1]])
    return torch.from_numpy(np.ascontiguousarray(_order(ids, file)[edges].T))


def _head(file: Path) -> tuple[str, str]:
    """How its entries lie, and which symmetry it has."""
    with file.open("rb") as content:
        words = content.readline(200).decode("utf-8", errors="replace").lower().split()
    if len(words) != 5 or words[:2] != ["%%matrixmarket", "matrix"]:
        raise DatasetError(
            f"{file.name} can't be read as MatrixMarket: its first line must be %%MatrixMarket matrix ..."
        )
    if words[4] not in ("general", "symmetric", "skew-symmetric", "hermitian"):
        raise DatasetError(f"{file.name} can't be read as MatrixMarket: its symmetry is {shown(words[4])}")
    return words[2], words[4]


def _integers(texts: "polars.Series", what: str) -> np.ndarray:
    import polars

    numbers = texts.cast(polars.Int64, strict=False)
    wrong = texts.filter(numbers.is_null())
    if len(wrong):
        raise DatasetError(f"{what} can't be read as MatrixMarket: it has {shown(wrong[0])} where an integer is needed")
    return numbers.to_numpy()


def _weights(values: "polars.Series", file: Path) -> np.ndarray:
    """[E]: whether each entry is an edge: its value is not zero, or there is none."""
    import polars

    first = values.str.extract(r"^\s*(\S+)").cast(polars.Float64, strict=False)
    if ((first != 1) & first.is_not_null()).any():
        logger.warning("%s: the values of its entries (weights) are not used", file)
    return (first.is_null() | (first != 0)).to_numpy()


def _order(ids: "polars.Series", file: Path) -> np.ndarray:
    """[N]: the table's row of each row of the matrix: by ids that count the nodes, else by the table's order."""
    if ids.dtype.is_integer():
        numbers = ids.to_numpy()
        low = int(numbers.min())
        if low in (0, 1) and int(numbers.max()) == low + len(numbers) - 1:  # they all differ
            return np.argsort(numbers)
    logger.warning("%s: its rows are taken as the nodes in the order of the table beside it", file)
    return np.arange(len(ids))
