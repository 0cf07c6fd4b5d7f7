"""Edges alone: lists of two columns, and MatrixMarket, whose nodes are a table beside them. N nodes, E edges."""

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spx.datasets.own.edges import Edges, ends_of
from spx.datasets.own.error_words import one_line, shown
from spx.datasets.own.names import SOURCE, TARGET
from spx.datasets.own.weights import SETTING, TO_USE, WEIGHT, as_weights, only_weight
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

_LINE = r"^([^\s,;]+)[\s,;]+([^\s,;]+)(.*)$"
_TITLES = ("source", "from", "src", "fromnodeid", "node_1", "id_1", "u", "node1")


def read_edges(file: Path, ids: "polars.Series", weight: str | None = None) -> Edges:
    """The edges between the nodes with the ids [N] that the file names.

    weight  "weight": the third column of a list, or MatrixMarket's values; of networkx' lists, any name in {...}; None:
            weights aren't used
    A list has an edge a line: two ids, with spaces, tabs, commas or semicolons between them; what follows is left out,
    and so are lines that begin with # or %. MatrixMarket counts the nodes from 1, in the order of the table.
    Raises DatasetError for a file that is neither, and for ids that no node has.
    """
    if file.suffix.lower() == ".mtx":
        return _of_matrix(file, ids, only_weight(weight, f"the matrix in {file.name}"))
    return ends_of(_list(file, weight), ids, file.name, None if weight is None else WEIGHT)


def _list(file: Path, weight: str | None) -> "polars.DataFrame":
    import polars

    pairs, rest = _pairs(_lines(file), file.name, _TITLES)
    weights = [] if weight is None else [_third(rest, weight, file).alias(WEIGHT)]
    if (
        weight is None
        and rest.str.contains(r"[^\s,;]").any()
        and not rest.str.contains(r"^[\s,;]*(1(\.0*)?|\{\})?$").all()
    ):
        logger.warning("%s: only its first two columns are used (weights are not). To use them: %s", file, TO_USE)
    return polars.DataFrame([*(pairs[name].str.strip_chars('"') for name in (SOURCE, TARGET)), *weights])


def _third(rest: "polars.Series", weight: str, file: Path) -> "polars.Series":
    """The text of the weight [E] in what follows the two ids; a comma may be a decimal one where none separates."""
    if len(rest) and rest.str.contains(r"^[\s,;]*\{").all():
        return rest.str.extract(rf"""['"]{re.escape(weight)}['"]\s*:\s*([^,}}]+)""")
    only_weight(weight, f"the list in {file.name}")
    by_comma = rest.str.contains(r"^\s*,")
    return rest.str.extract(r"^\s*,\s*([^\s,;]+)").zip_with(by_comma, rest.str.extract(r"^[\s;]*([^\s;]+)"))


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


def _of_matrix(file: Path, ids: "polars.Series", weighted: bool) -> Edges:
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
    there, found = _are_edges(values[1:], file, weighted), None
    if weighted:
        if symmetry not in ("general", "symmetric"):
            raise DatasetError(f"{file.name} is {symmetry}: its values are no weights; leave {SETTING} out")
        found = _weights(values[1:], edges, file)[torch.from_numpy(there)]
    edges = edges[there]
    if symmetry != "general":
        turned = edges[:, 0] != edges[:, 1]
        edges = np.concatenate([edges, edges[turned][:, ::-1]])
        found = None if found is None else torch.cat([found, found[torch.from_numpy(turned)]])
    return Edges(torch.from_numpy(np.ascontiguousarray(_order(ids, file)[edges].T)), {}, found)


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


def _weights(values: "polars.Series", edges: np.ndarray, file: Path) -> Tensor:
    """[E] float32: the entries' values, which lie at the places `edges` [E, 2]."""
    import polars

    numbers = values.str.extract(r"^\s*(\S+)\s*$").cast(polars.Float64, strict=False).fill_null(float("nan"))
    return as_weights(
        numbers.to_numpy(), file.name, lambda edge: "the entry ({}, {})".format(*(edges[edge] + 1).tolist())
    )


def _are_edges(values: "polars.Series", file: Path, weighted: bool) -> np.ndarray:
    """[E]: whether each entry is an edge: its value is not zero, or there is none."""
    import polars

    first = values.str.extract(r"^\s*(\S+)").cast(polars.Float64, strict=False)
    if not weighted and ((first != 1) & first.is_not_null()).any():
        logger.warning("%s: the values of its entries (weights) are not used. To use them: %s", file, TO_USE)
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
