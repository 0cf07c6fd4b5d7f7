"""What the cells of one column are: numbers, flags, categories, dates or embeddings; and those cells as numbers.

N nodes, W width of an embedding.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from spx.datasets.own.error_words import listed, shown
from spx.datasets.own.numerals import NOTHING_SAID, Form, Marks, as_plain, doubt_of, is_written_so, number_form
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

Kind = Literal["number", "flag", "category", "date", "embedding"]

_SIGN = r"[+\u{2212}-]"
_MONEY = r"[$\u{20ac}\u{a3}]"
_GROUPED = r"\d+([ \u{a0}\u{202f}'\u{2019}_.,]\d{3})*([.,]\d+)?([eE][+-]?\d+)?"
_LIKE_A_NUMBER = f"^{_SIGN}?{_MONEY}? ?{_SIGN}?{_GROUPED} ?(%|{_MONEY})?$"
_ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?$"
_LIKE_A_DATE = r"^(\d{1,2}[./-]\d{1,2}[./-](\d{2}|\d{4})|\d{4}[./]\d{1,2}[./]\d{1,2})( \d{1,2}:\d{2}(:\d{2})?)?$"
_LIKE_A_LIST = r"^[\[(]\s*[+-]?[\d.][^\])]*[\])]$"
_FLAGS = ["true", "false"]
_SECONDS_A_DAY = 86400.0


class Reading(NamedTuple):
    """What a column was taken for.

    kind    of the cells
    form    how numbers are written in text
    values  [N] float64, of embeddings [N, W], NaN where missing; of categories the N texts, null where missing
    doubt   why the form may be another one; "": no doubt
    """

    kind: Kind
    form: Form
    values: "np.ndarray | polars.Series"
    doubt: str = ""


def read_column(column: "polars.Series", categories: bool, what: str, marks: Marks = NOTHING_SAID) -> Reading:
    """Find out what a column [N] is, and read it.

    categories  take numbers as categories too
    what        how errors name the column
    marks       what decides where the decimal mark is open
    Raises DatasetError for cells that are neither numbers, true and false, text, dates nor lists of numbers, and for
    those that could be read in two ways.
    """
    import polars

    if column.null_count() == len(column):
        raise DatasetError(f"{what} is empty throughout: leave it out")
    kind, form, doubt = _kind_of_type(column, what), "plain", ""
    if column.dtype == polars.String and not categories:
        filled = column.drop_nulls()
        kind, form = _kind_of_text(filled, what, marks)
        doubt = doubt_of(filled, form, marks) if kind == "number" else ""
    if categories and kind in ("number", "flag", "category"):
        kind = "category"
    values = read_as(column, kind, form, what)
    if kind == "number" and np.isin(values[~np.isnan(values)], (0, 1)).all():
        kind = "flag"
    return Reading(kind, form, values, doubt)


def read_as(column: "polars.Series", kind: Kind, form: Form, what: str) -> "np.ndarray | polars.Series":
    """The cells [N] of a column as `Reading.values` of this kind. Raises DatasetError for a cell that doesn't fit."""
    import polars

    if kind == "embedding":
        return _embedding(column, what)
    if kind == "category":
        return _categories(column)
    if kind == "date":
        return _days(column, what)
    numbers = column
    if column.dtype == polars.String:
        text = column.str.to_lowercase().replace({"true": "1", "false": "0"}) if kind == "flag" else column
        text = as_plain(text, form)
        numbers = text.cast(polars.Float64, strict=False)
        _refuse_words(column, numbers, f"{what} holds {kind}s", "write numbers there")
    values = numbers.cast(polars.Float64).fill_null(float("nan")).to_numpy()
    with np.errstate(over="ignore"):
        broken = int((~np.isfinite(values.astype(np.float32)) & column.is_not_null().to_numpy()).sum())
    if broken:
        raise DatasetError(
            f"{what} has {broken} cells of {len(column)} that are NaN, infinite or beyond float32: "
            "replace them by numbers, or leave the column out"
        )
    return values


def _kind_of_type(column: "polars.Series", what: str) -> Kind:
    import polars

    dtype = column.dtype
    if isinstance(dtype, (polars.List, polars.Array)) and dtype.inner.is_numeric():
        return "embedding"
    if dtype == polars.String:
        return "category"
    if dtype.is_numeric():
        return "number"
    if dtype == polars.Boolean:
        return "flag"
    if dtype in (polars.Date, polars.Datetime):
        return "date"
    raise DatasetError(
        f"{what} holds {str(dtype)[:40]} values: turn them into numbers or text, or leave the column out"
    )


def form_of(column: "polars.Series", trained: Form, what: str, marks: Marks) -> Form:
    """How the numbers of a column [N] are written, which need not be as it was in training.

    Raises DatasetError where it can't be told.
    """
    import polars

    filled = column.drop_nulls() if column.dtype == polars.String else column.clear()
    if filled.is_empty():
        return "plain"
    open_comma = trained == "thousands" and marks.comma
    if trained != "plain" and not open_comma and is_written_so(filled, trained):
        return trained
    return number_form(filled, what, marks) or trained


def _kind_of_text(filled: "polars.Series", what: str, marks: Marks) -> tuple[Kind, Form]:
    import polars

    form = number_form(filled, what, marks)
    if form is not None:
        return "number", form
    numbers = filled.cast(polars.Float64, strict=False).is_not_null()
    if filled.str.to_lowercase().is_in(_FLAGS).all():
        return "flag", "plain"
    if filled.str.contains(_ISO_DATE).all():
        return "date", "plain"
    for pattern, name, mend in (
        (_LIKE_A_LIST, "lists of numbers", "give each number a column, or save the table as Parquet, with lists"),
        (_LIKE_A_DATE, "dates", "write them as 2024-12-31"),
        (_LIKE_A_NUMBER, "numbers", "write plain ones, such as 1234.5"),
    ):
        like = filled.str.contains(pattern)
        if name == "numbers":
            like |= numbers
        words = filled.filter(~like)
        if 2 * len(words) >= len(filled):
            continue
        if len(words):
            raise DatasetError(
                f"{what} holds {name}, but {len(words)} of {len(filled)} cells are none, such as {shown(words[0])}: "
                "fix them, say what stands for a missing one (--data.missing), or name the column in "
                "--data.categorical to take each value as a category"
            )
        raise DatasetError(
            f"{what} looks like {name}, such as {shown(filled.filter(like & ~numbers)[0])}: {mend}, or name the column "
            "in --data.categorical to take each value as a category"
        )
    return "category", "plain"


def _categories(column: "polars.Series") -> "polars.Series":
    """Texts; whole numbers are named alike, however they are written: "7" for 7, 7.0 and "7.0"."""
    import polars

    if column.dtype == polars.Boolean or column.dtype.is_integer():
        return column.cast(polars.String)
    numbers = column.cast(polars.Float64, strict=False)
    if numbers.null_count() > column.null_count():
        return column.str.to_lowercase() if column.drop_nulls().str.to_lowercase().is_in(_FLAGS).all() else column
    if column.dtype == polars.String and column.drop_nulls().str.contains(r"^-?0\d").any():
        return column  # 007 is a name
    whole = numbers.cast(polars.Int64, strict=False)
    return whole.cast(polars.String).zip_with(whole == numbers, numbers.cast(polars.String))


def sorted_categories(values: "polars.Series") -> list[str]:
    """The texts that are there, each once: sorted as numbers if all are numbers, else by their letters."""
    import polars

    found = values.drop_nulls().unique().sort()
    numbers = found.cast(polars.Float64, strict=False)
    return (found if numbers.null_count() else found.gather(numbers.arg_sort())).to_list()


def _days(column: "polars.Series", what: str) -> np.ndarray:
    """[N] days since 1970, with their parts; a time without a zone is taken as UTC."""
    import polars

    if column.dtype != polars.String:
        whole = column.cast(polars.Datetime("us")) if column.dtype == polars.Date else column
        micro = whole.dt.epoch("us").cast(polars.Float64)
        return micro.fill_null(float("nan")).to_numpy() / (1e6 * _SECONDS_A_DAY)
    days = column.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).cast(polars.Int32).cast(polars.Float64)
    _refuse_words(column, days, f"{what} holds dates", "write dates of the calendar as 2024-12-31")
    _refuse_words(
        column,
        days.zip_with(column.str.contains(_ISO_DATE), days.clear(len(days))),
        f"{what} holds dates",
        "correct it",
    )
    clock = column.str.extract_groups(
        r"[T ](?<h>\d{2}):(?<m>\d{2})(:(?<s>\d{2}(\.\d+)?))?( ?(?<sign>[+-])(?<zh>\d{2}):?(?<zm>\d{2}))?$"
    ).struct.unnest()
    part = {name: clock[name].cast(polars.Float64).fill_null(0.0) for name in ("h", "m", "s", "zh", "zm")}
    east = clock["sign"].replace_strict({"+": 1.0, "-": -1.0}, default=0.0, return_dtype=polars.Float64)
    seconds = part["h"] * 3600 + part["m"] * 60 + part["s"] - east * (part["zh"] * 3600 + part["zm"] * 60)
    return (days + seconds / _SECONDS_A_DAY).fill_null(float("nan")).to_numpy()


def _embedding(column: "polars.Series", what: str) -> np.ndarray:
    """[N, W] float64; a row of NaN where the list is missing."""
    import polars

    lists = column.arr.to_list() if isinstance(column.dtype, polars.Array) else column
    widths = lists.list.len().drop_nulls().unique().sort()
    if len(widths) != 1 or widths[0] == 0:
        raise DatasetError(
            f"{what} holds lists of {listed(widths)} numbers: an embedding has the same number of them in each row"
        )
    width, there = int(widths[0]), lists.is_not_null().to_numpy()
    flat = lists.drop_nulls().explode().cast(polars.Float64).fill_null(float("nan")).to_numpy()
    with np.errstate(over="ignore"):
        broken = int((~np.isfinite(flat.astype(np.float32))).sum())
    if broken:
        raise DatasetError(
            f"{what} has {broken} numbers in its lists that are missing, NaN, infinite or beyond float32: replace them"
        )
    values = np.full((len(lists), width), np.nan)
    values[there] = flat.reshape(-1, width)
    return values


def _refuse_words(column: "polars.Series", read: "polars.Series", what: str, mend: str) -> None:
    if read.null_count() > column.null_count():
        words = column.filter(read.is_null() & column.is_not_null())
        raise DatasetError(
            f"{what}, but {len(words)} of {len(column)} cells are none, such as {shown(words[0])}: {mend}"
        )
