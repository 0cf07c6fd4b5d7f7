"""One table of a user's folder, text or Parquet, as polars reads it: a file, or a folder of part files."""

import csv
import io
import logging
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from spx.dataset_names import TABLES, is_parquet, part_files, table_files
from spx.datasets.own.dialect import NO_UTF8, Dialect, lines_of, sniff
from spx.datasets.own.error_words import listed, one_line
from spx.datasets.own.names import Heading, headings
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

_PROBE = """
import sys, polars
for file in sys.argv[1:]:
    polars.scan_parquet(file, glob=False, hive_partitioning=False).collect()
"""
_NUMBERS = ("int[]", "long[]", "float[]", "double[]", "byte[]", "short[]")
SEPARATOR_BESIDE_DECIMAL_COMMA = ";"
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_SHOWN_SEPARATORS = {"\t": "a tab", " ": "a space"}


class TableFile(NamedTuple):
    """A table, of which only the header was read.

    path      file, or folder of part files
    columns   what the header says of each; the first may be called "", as pandas writes it
    dialects  of text, one for each part; none: Parquet
    """

    path: Path
    columns: list[Heading]
    dialects: tuple[Dialect, ...] = ()

    @property
    def separator(self) -> str:
        """Between the cells of text; "" in Parquet."""
        return self.dialects[0].separator if self.dialects else ""

    @property
    def name(self) -> str:
        """How messages name it."""
        return self.path.name

    def read(self, names: Iterable[str] | None = None) -> "polars.DataFrame":
        """All columns, or those of these names, in the table's order.

        Cells of text files are strings, but for lists that Neo4j's header declares. Text has no spaces around it; an
        empty cell is null, and blank lines are left out.
        Raises DatasetError for a file that is no table, with the row that is at fault.
        """
        import polars

        kept = set(names) if names is not None else {heading.name for heading in self.columns}
        places = [place for place, heading in enumerate(self.columns) if heading.name in kept]
        chosen = [self.columns[place] for place in places]
        try:
            if self.dialects:
                files = zip(part_files(self.path), self.dialects, strict=True)
                parts = [_read_text(file, dialect, places, whole=names is None) for file, dialect in files]
                frame = parts[0] if len(parts) == 1 else polars.concat(parts)
            else:
                table, found = _scan_parquet(self.path)
                frame = table.select([found[place] for place in places]).collect()
        except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
            raise self._broken(error) from error  # PanicException is no Exception
        frame.columns = [heading.name for heading in chosen]
        frame = _stripped(frame)
        if self.dialects:
            frame = frame.filter(~polars.all_horizontal(polars.all().is_null()))  # without blank lines
        text = set(frame.select(polars.selectors.string()).columns)
        lists = [heading.name for heading in chosen if heading.kind in _NUMBERS and heading.name in text]
        return frame.with_columns(
            polars.col(lists).str.split(";").cast(polars.List(polars.Float64), strict=False) if lists else []
        )

    def _broken(self, error: BaseException) -> DatasetError:
        if not self.dialects:
            return DatasetError(f"{self.name} can't be read as Parquet: {one_line(error, 150)}. Save it anew")
        for part, dialect in zip(part_files(self.path), self.dialects, strict=True):
            if (fault := _faulty_row(part, dialect)) is not None:
                return DatasetError(f"{self.name if part == self.path else part.name}: {fault}")
        reason = str(error).split("\n", maxsplit=1)[0]  # what follows is advice on polars
        if "utf-8" in reason.lower() or "utf8" in reason.lower():
            return DatasetError(f"{self.name} {NO_UTF8}")
        separator = _SHOWN_SEPARATORS.get(self.separator, repr(self.separator))
        return DatasetError(
            f"{self.name} can't be read as CSV (columns separated by {separator}, text in UTF-8): "
            f"{one_line(reason, 150)}. Save it anew"
        )


def find_table(folder: Path, table: str) -> Path:
    """The file, or folder of part files, that is the folder's table of "nodes" or "edges" by its name.

    Raises DatasetError if there is none, or more than one.
    """
    found = table_files(folder, table)
    if not found:
        held = listed(sorted(file.name for file in folder.iterdir()))
        raise DatasetError(
            f"the folder holds no {table}.csv or {table}.parquet (it holds {held}): add one. {TABLES[table][2]}.csv "
            f"and my_{table}.csv are read too"
        )
    if len(found) > 1:
        names = [file.name for file in found]
        kept = "remove one of them" if len(names) == 2 else "keep one of them"
        raise DatasetError(
            f"the folder holds {'both ' if len(names) == 2 else ''}{listed(names)}: {kept}, or name the one that is "
            f"meant {table}{''.join(found[0].suffixes[-1:])}"
        )
    if not found[0].name.startswith(f"{table}."):
        logger.warning("%s: %s is read as the table of %s", folder, found[0].name, table)
    return found[0]


def open_table(path: Path) -> TableFile:
    """Read the table's header alone.

    Raises DatasetError for a file that is no table, and for columns that are not told apart by their names.
    """
    import polars

    parts = part_files(path)
    kinds = {is_parquet(part) for part in parts}
    if len(kinds) > 1:
        raise DatasetError(f"{path.name} holds both text and Parquet files: keep one kind")
    try:
        if kinds == {True}:
            _probe(parts)
            names, dialects = _scan_parquet(path)[1], ()
        else:
            dialects = tuple(sniff(part) for part in parts)
            names = list(dialects[0].names)
            other = [part.name for part, dialect in zip(parts, dialects, strict=True) if dialect.names != tuple(names)]
            if other:
                raise DatasetError(f"{path.name}: {other[0]} has other columns than {parts[0].name}: write them alike")
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        raise DatasetError(f"{path.name} can't be read: {one_line(error, 150)}. Save it anew") from error
    names = [name.strip() for name in names]
    _check_names(path.name, names)
    return TableFile(path, headings(names), dialects)


def nameless_column(file_name: str, number: int) -> DatasetError:
    """That column `number`, from 1, has no name."""
    return DatasetError(
        f"{file_name}: column {number} has no name: name each column in the first line (with pandas: "
        "to_csv(index=False))"
    )


def _check_names(file_name: str, names: list[str]) -> None:
    """Raise DatasetError for columns without a name, after the first, or that share one."""
    nameless = [number + 1 for number, name in enumerate(names) if number and not name]
    if nameless:
        raise nameless_column(file_name, nameless[0])
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DatasetError(f"{file_name}: more than one column is named {listed(twice)}: rename them")


def _read_text(file: Path, dialect: Dialect, places: list[int], whole: bool) -> "polars.DataFrame":
    import polars

    source: Path | io.BytesIO = file if dialect.content is None else io.BytesIO(dialect.content)
    if source is file and re.search(r"[*?\[]", str(file)):
        source = io.BytesIO(file.read_bytes())  # polars below 1.31 takes no numbers of columns with such paths
    frame = polars.read_csv(
        source,
        columns=places,
        separator=dialect.separator,
        has_header=dialect.header,
        skip_lines=dialect.skipped,
        comment_prefix="#" if dialect.comments else None,
        infer_schema=False,
        glob=False,
    )
    if whole and frame.width > 1 and frame.to_series(frame.width - 1).has_nulls() and _has_short_row(file, dialect):
        raise DatasetError(f"{file.name}: {_faulty_row(file, dialect)}")
    return frame


def _has_short_row(file: Path, dialect: Dialect) -> bool:
    """Whether a row has fewer cells than the header, which polars fills with nulls."""
    import polars

    lines = lines_of(file, dialect).drop_nulls()
    lines = lines.filter(lines.str.strip_chars(" \r") != "")
    if dialect.comments:
        lines = lines.filter(~lines.str.starts_with("#"))
    quoted = lines.str.contains('"', literal=True)
    if quoted.any():
        lines = lines.str.replace_all(r'"[^"]*"', "")
        if lines.str.contains('"', literal=True).any():  # cells with line feeds: counted one by one
            return (_faulty_row(file, dialect) or "").startswith("row")
    counts = lines.str.count_matches(dialect.separator, literal=True).cast(polars.Int64)
    return bool((counts + 1 < len(dialect.names)).any())


def _faulty_row(file: Path, dialect: Dialect) -> str | None:
    """What is wrong with the first row that has not as many cells as the header, or quotes that don't fit; for errors
    alone, as it takes the rows one by one."""
    lines = lines_of(file, dialect).fill_null("").to_list()
    lines = ["" if dialect.comments and line.startswith("#") else line.rstrip("\r") for line in lines]
    rows = csv.reader(lines, delimiter=dialect.separator, strict=True)
    number, begins, width = -int(dialect.header), 1, len(dialect.names)
    try:
        for row in rows:
            if len(row) > 1 or (row and row[0].strip()):
                number += 1
                if len(row) != width and number:
                    place = f"row {number:,} (line {dialect.skipped + begins:,})"
                    cells = f"{len(row):,} cell{'s' * (len(row) != 1)}"
                    mend = "put a cell that holds the separator in quotes, and write one for each column"
                    return f"{place} has {cells}, but the header names {width:,} columns: {mend}"
            begins = rows.line_num + 1
    except csv.Error:
        return _quotes_do_not_fit(dialect.skipped + begins)
    odd = (place for place, line in enumerate(lines, start=1) if line.count('"') % 2)
    return None if (place := next(odd, None)) is None else _quotes_do_not_fit(dialect.skipped + place)


def _quotes_do_not_fit(line: int) -> str:
    return f"the quotes of line {line:,} don't fit: put the whole cell in quotes, and write a quote in it twice"


def _scan_parquet(path: Path) -> "tuple[polars.LazyFrame, list[str]]":
    """The table, and its columns; among them, as text, those that the folders of its parts are named after (split=a).
    polars would take the folders above the table for such too.
    """
    import polars

    tables = []
    for part in part_files(path):
        table = polars.scan_parquet(part, glob=False, hive_partitioning=False)
        folders = part.relative_to(path).parts[:-1] if part != path else ()
        pairs = [
            (unquote(key), unquote(value)) for key, equals, value in (name.partition("=") for name in folders) if equals
        ]
        values = {key: None if value == _NO_VALUE else value for key, value in pairs}
        tables.append(table.with_columns(polars.lit(value, polars.String).alias(key) for key, value in values.items()))
    whole = polars.concat(tables, how="vertical_relaxed") if len(tables) > 1 else tables[0]
    return whole, whole.collect_schema().names()


def _stripped(frame: "polars.DataFrame") -> "polars.DataFrame":
    """Text without the spaces around it, null where nothing is left."""
    import polars

    names = polars.selectors.by_dtype(polars.Categorical, polars.Enum, polars.Null)
    frame = frame.with_columns(names.cast(polars.String))
    text = polars.selectors.string()
    frame = frame.with_columns(text.str.strip_chars())  # apart from the next, which would do it twice
    return frame.with_columns(polars.when(text != "").then(text).name.keep())


def _probe(files: list[Path]) -> None:
    """Read the files once in a process of its own: some damaged Parquet files end the one that reads them."""
    done = subprocess.run([sys.executable, "-P", "-c", _PROBE, *map(str, files)], capture_output=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        reason = one_line(lines[-1], 150) if lines and done.returncode > 0 else f"reading it fails, {done.returncode}"
        raise DatasetError(f"{files[0].name} is no whole Parquet file ({reason}): save it anew")
