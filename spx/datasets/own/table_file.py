"""One table of a user's folder, CSV or Parquet, as polars reads it."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spx.datasets.own.error_words import did_you_mean, listed, one_line
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

ENDINGS = (".csv", ".parquet")

_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"PK\x03\x04", b"\x78\x01", b"\x78\x9c", b"\x78\xda")

_PROBE = "import sys, polars; polars.scan_parquet(sys.argv[1], glob=False, hive_partitioning=False).collect()"


class Table(NamedTuple):
    """A table's columns, and the names of those that were left out."""

    frame: "polars.DataFrame"
    left_out: list[str]


def find_table(folder: Path, stem: str) -> Path:
    """The file `stem`.csv or `stem`.parquet. Raises DatasetError if there is none, or both."""
    found = [file for ending in ENDINGS if (file := folder / f"{stem}{ending}").is_file()]
    if not found:
        held = listed(sorted(file.name for file in folder.iterdir()))
        raise DatasetError(f"the folder holds no {stem}.csv or {stem}.parquet (it holds {held}): add one")
    if len(found) > 1:
        raise DatasetError(f"the folder holds both {found[0].name} and {found[1].name}: remove one of them")
    return found[0]


def read_table(file: Path, needed: tuple[str, ...], only: bool = False) -> Table:
    """The columns of one table: all, or `only` the needed ones.

    All columns of a CSV file are strings. Text has no spaces around it; an empty cell is null, and blank lines of CSV
    are left out. A first column without a name, as pandas writes it, is called "".
    Raises DatasetError for a file that is no table, and for columns that are missing or not told apart by their names.
    """
    import polars

    csv = file.suffix == ".csv"
    try:
        return _read_csv(file, needed, only) if csv else _read_parquet(file, needed, only)
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:  # the latter is no Exception
        kind = "CSV (columns separated by commas, text in UTF-8)" if csv else "Parquet"
        raise DatasetError(f"{file.name} can't be read as {kind}: {one_line(error, 150)}. Save it anew") from error


def nameless_column(file_name: str, number: int) -> DatasetError:
    """That column `number`, from 1, has no name."""
    return DatasetError(
        f"{file_name}: column {number} has no name: name each column in the first line (with pandas: "
        "to_csv(index=False))"
    )


def _check_names(file_name: str, names: list[str], needed: tuple[str, ...]) -> None:
    """Raise DatasetError for columns without a name, after the first, that share one, or are missing."""
    nameless = [number + 1 for number, name in enumerate(names) if number and not name]
    if nameless:
        raise nameless_column(file_name, nameless[0])
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DatasetError(f"{file_name}: more than one column is named {listed(twice)}: rename them")
    missing = [name for name in needed if name not in names]
    if missing:
        hint = did_you_mean(missing[0], names) or "."
        commas = " (a comma must stand between columns)" if any(";" in name or "\t" in name for name in names) else ""
        raise DatasetError(
            f"{file_name} has no column {listed(missing)}{hint} It has {listed(names)}{commas}: rename the column that "
            f"holds {'them' if len(missing) > 1 else 'it'}, or add one"
        )


def _read_csv(file: Path, needed: tuple[str, ...], only: bool) -> Table:
    import polars

    raw_names = _csv_header(file)
    names = [(name or "").strip() for name in raw_names]
    _check_names(file.name, names, needed)
    kept = dict.fromkeys(needed if only else names)
    wanted = {raw or "": name for raw, name in zip(raw_names, names, strict=True) if name in kept}
    frame = polars.read_csv(file, columns=list(wanted), infer_schema=False, glob=False).rename(wanted)
    frame = _stripped(frame).filter(~polars.all_horizontal(polars.all().is_null()))  # without blank lines
    return Table(frame, [name for name in names if name not in kept])


def _read_parquet(file: Path, needed: tuple[str, ...], only: bool) -> Table:
    import polars

    _probe(file)
    table = polars.scan_parquet(file, glob=False, hive_partitioning=False)
    names = table.collect_schema().names()
    _check_names(file.name, names, needed)
    kept = dict.fromkeys(needed if only else names)
    return Table(_stripped(table.select(*kept).collect()), [name for name in names if name not in kept])


def _stripped(frame: "polars.DataFrame") -> "polars.DataFrame":
    """Text without the spaces around it, null where nothing is left."""
    import polars

    frame = frame.with_columns(
        polars.selectors.categorical().cast(polars.String), polars.selectors.enum().cast(polars.String)
    )
    text = polars.selectors.string().str.strip_chars()
    return frame.with_columns(polars.when(text != "").then(text).name.keep())


def _probe(file: Path) -> None:
    """Read the file once in a process of its own: some damaged Parquet files end the one that reads them."""
    done = subprocess.run([sys.executable, "-P", "-c", _PROBE, str(file)], capture_output=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        reason = one_line(lines[-1], 150) if lines and done.returncode > 0 else f"reading it fails, {done.returncode}"
        raise DatasetError(f"{file.name} is no whole Parquet file ({reason}): save it anew")


def _csv_header(file: Path) -> list[str | None]:
    import polars

    with file.open("rb") as content:
        start = content.read(4)
    if start.startswith(_PACKED):
        raise DatasetError(f"{file.name} is packed: unpack it first")
    if not start:
        raise DatasetError(f"{file.name} is empty: its first line must name the columns")
    return list(polars.read_csv(file, has_header=False, n_rows=1, infer_schema=False, glob=False).row(0))
