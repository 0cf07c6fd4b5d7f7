"""How a text table is written: its separator, what stands above its header, its packing and its encoding."""

import codecs
import csv
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spx.datasets.own.error_words import one_line
from spx.datasets.own.names import is_usual
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

SEPARATORS = (",", ";", "\t", "|", " ")
"""The last only where no other one is in the header."""

NO_UTF8 = "can't be read as CSV, as it is no text in UTF-8: save it as UTF-8 (in Excel: as 'CSV UTF-8')"

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PACKED = (b"BZh", b"PK\x03\x04", b"\xfd7zXZ\x00", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SAMPLE_BYTES = 1 << 20
_SAMPLE_LINES = 50
_SEPARATOR_LINE = re.compile(r'"?sep=([!#-/:-@\[-`{-~\t ])"?\s*', re.IGNORECASE)  # as Excel writes and reads it
_NO_LINE = "\x1f"
"""Between cells of no file: so polars gives whole lines."""


class Dialect(NamedTuple):
    """How the text of a table is read.

    names      of the columns, as they stand in the header
    separator  between cells
    skipped    lines above the header, or above the first row if the header is a comment
    header     whether the first line that isn't skipped is the header
    comments   whether lines that begin with # are left out
    content    the text in UTF-8 with \\n between lines, where the file has another form; None: read the file
    """

    names: tuple[str, ...]
    separator: str
    skipped: int = 0
    header: bool = True
    comments: bool = False
    content: bytes | None = None


def sniff(file: Path) -> Dialect:
    """Find out how the table is written, by its first lines.

    Raises DatasetError for an empty file, and for one that is packed or encoded in a way that isn't read.
    """
    start, content = _start(file)
    lines = start.decode(errors="replace").removeprefix("\ufeff").split("\n")
    if len(start) >= _SAMPLE_BYTES:
        lines.pop()  # cut
    if "\0" in lines[0]:
        raise DatasetError(f"{file.name} is no text in UTF-8 (UTF-16 needs its byte order mark): save it as UTF-8")
    separator, above, place = None, [], 0
    for place, line in enumerate(lines):
        if found := _SEPARATOR_LINE.fullmatch(line):
            separator = found[1]
        elif line.startswith("#"):
            above.append(place)
        elif line.strip():
            break
    else:
        raise DatasetError(f"{file.name} is empty: its first line must name the columns")
    if "\ufffd" in lines[place] and content is None and not _is_utf8(start.split(b"\n")[place]):
        raise DatasetError(f"{file.name} {NO_UTF8}")
    rows = [line for line in lines[place : place + _SAMPLE_LINES] if line.strip()]
    if above and (header := _header_comment(lines[above[-1]].strip()[1:].strip(), rows)):
        return Dialect(*header, skipped=place, header=False, content=content)
    separator = separator or _separator([row for row in rows if not row.startswith("#")])
    names = tuple(_cells(rows, separator)[0])
    data = [row for row in rows[1:] if row.startswith("#") and len(_cells([row], separator)[0]) == len(names) > 1]
    return Dialect(names, separator, place, comments=bool(above) and not data, content=content)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def lines_of(file: Path, dialect: Dialect) -> "polars.Series":
    """The lines below those that are skipped; null where there is no text."""
    return _lines(file if dialect.content is None else io.BytesIO(dialect.content), None, dialect.skipped)


def _start(file: Path) -> tuple[bytes, bytes | None]:
    """The first bytes of the text, and all of it where it isn't UTF-8 with a line feed at the end of each line."""
    begin = _begins(file)
    if begin.startswith(_PACKED):
        raise DatasetError(f"{file.name} is packed in a way that isn't read (gzip and zstd are): unpack it first")
    if begin.startswith(_ZSTD):
        return "\n".join(line or "" for line in _lines(file, 2 * _SAMPLE_LINES)).encode(), None
    opened = gzip.open if begin.startswith(_GZIP) else open
    try:
        with opened(file, "rb") as text:
            start = text.read(_SAMPLE_BYTES)
            wide = next((name for mark, name in _WIDE.items() if start.startswith(mark)), None)
            if wide is not None:
                content = (start + text.read()).decode(wide).encode()
            elif b"\r" in start and b"\n" not in start:
                content = start + text.read()
            else:
                return start, None
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{file.name} can't be unpacked ({one_line(error, 150)}): pack it anew") from error
    except UnicodeError as error:
        raise DatasetError(f"{file.name} is no whole text in {wide} ({one_line(error, 100)}): save it anew") from error
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    return content[:_SAMPLE_BYTES], content


def _begins(file: Path) -> bytes:
    with file.open("rb") as content:
        return content.read(8)


def _lines(source: Path | io.BytesIO, count: int | None, skipped: int = 0) -> "polars.Series":
    import polars

    return polars.read_csv(
        source,
        has_header=False,
        separator=_NO_LINE,
        quote_char=None,
        skip_lines=skipped,
        n_rows=count,
        infer_schema=False,
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        glob=False,
    ).to_series()


def _separator(rows: list[str]) -> str:
    """The one by which the header names the columns that are looked for, and the rows are as wide as the header."""
    fits = {}
    for separator in SEPARATORS:
        cells = _cells(rows, separator)
        width = len(cells[0])
        same = sum(len(row) == width for row in cells) / len(cells)
        usual = any(map(is_usual, cells[0]))
        if width > 1 and (separator != " " or not fits):
            fits[separator] = (usual, round(same, 1), width)
    return max(fits, key=lambda separator: fits[separator]) if fits else ","


def _cells(rows: list[str], separator: str) -> list[list[str]]:
    try:
        return list(csv.reader((row.rstrip("\r") + "\n" for row in rows), delimiter=separator)) or [[]]
    except csv.Error:  # a null byte, or a cell that is longer than the module reads
        return [row.split(separator) for row in rows]


def _header_comment(comment: str, rows: list[str]) -> tuple[tuple[str, ...], str] | None:
    """Names and separator, where the header is the comment above the first row: "# source target"."""
    if not comment:
        return None
    separator = _separator([comment, *(row for row in rows if not row.startswith("#"))])
    names, first = _cells([comment], separator)[0], _cells(rows, separator)[0]
    if len(names) != len(first) or len(names) < 2 or not any(map(is_usual, names)) or any(map(is_usual, first)):
        return None
    return tuple(names), separator
