"""Words for what isn't known: one list for labels, features and splits, in CSV and Parquet alike."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars

DEFAULT_MISSING = ("NA", "N/A", "NaN", "null", "None", "-", "?")
"""Beside the empty cell, which is always missing. Case doesn't count."""


def without_missing(
    frame: "polars.DataFrame", words: Iterable[str]
) -> tuple["polars.DataFrame", dict[str, dict[str, int]]]:
    """The table with null in place of cells that hold one of the words, or NaN; and which words each column held, with
    their counts. The cells of text have no spaces around them."""
    import polars

    known = [word.strip().lower() for word in words]
    longest = max((len(word.encode()) for word in known), default=0)
    frame = frame.with_columns(polars.selectors.float().fill_nan(None))
    held, columns = {}, []
    for column in frame.select(polars.selectors.string()).iter_columns():
        if not (column.str.len_bytes() <= longest).any():  # numbers with many digits
            continue
        missing = column.str.to_lowercase().is_in(known)
        if missing.any():
            counts = column.filter(missing).value_counts(sort=True)
            held[column.name] = dict(counts.iter_rows())
            columns.append(column.zip_with(~missing, polars.Series([None], dtype=polars.String)))
    return frame.with_columns(columns), held


def counted(words: dict[str, int]) -> str:
    """The words and how often each was there: "'NA' (2 cells), '-' (1 cell)"."""
    return ", ".join(f"{word!r} ({count:,} cell{'s' * (count > 1)})" for word, count in list(words.items())[:4])
