"""How numbers are written in text: with a decimal point or comma, and with signs between thousands.

N cells.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

from spx.datasets.own.error_words import shown
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

Decimal = Literal["comma", "point"]
Form = Literal[
    "plain", "decimal comma", "thousands", "points between thousands", "gaps between thousands",
    "gaps between thousands, decimal comma",
]  # fmt: skip

FORM_WORDS: dict[Form, str] = {
    "decimal comma": "a decimal comma",
    "thousands": "a comma between thousands",
    "points between thousands": "a decimal comma, and points between thousands",
    "gaps between thousands": "gaps between thousands",
    "gaps between thousands, decimal comma": "a decimal comma, and gaps between thousands",
}

_GAP = "[ \u00a0\u202f'\u2019_]"
_MARKS: dict[Form, tuple[str, str]] = {
    "decimal comma": ("", ","),
    "thousands": (",", "."),
    "points between thousands": ("[.]", ","),
    "gaps between thousands": (_GAP, "."),
    "gaps between thousands, decimal comma": (_GAP, ","),
}
"""What is taken out, and what stands before the fraction."""

_WHOLE = r"[+-]?\d+"
_DECIMAL_COMMA = rf"{_WHOLE},\d+([eE][+-]?\d+)?"
_GROUPS = r"[+-]?[1-9]\d{0,2}"
_COMMAS, _POINTS = rf"{_GROUPS}(,\d{{3}})+(\.\d+)?", rf"{_GROUPS}(\.\d{{3}})+(,\d+)?"
_GAPS = rf"{_GROUPS}({_GAP}\d{{3}})+([.,]\d+)?"
_SURE_COMMAS, _SURE_POINTS, _SURE_GAPS = r",\d{3},|,\d{3}\.", r"\.\d{3},", rf"{_GAP}\d{{3}}({_GAP}|[.,])"
_LONG = r"^[+-]?\d{4}"  # 12345 beside 2,594
_FIRST = 100
"""So many cells tell in most columns that they are no numbers."""


class Marks(NamedTuple):
    """What decides where the cells of a column leave open which mark is the decimal one.

    decimal     as the user says; None: nothing is said
    semicolons  whether they stand between the cells of the file, as where the comma is the decimal mark
    """

    decimal: Decimal | None = None
    semicolons: bool = False

    @property
    def comma(self) -> bool:
        """Whether an open mark that is a comma is the decimal one."""
        return self.decimal == "comma" or (self.semicolons and self.decimal is None)


NOTHING_SAID = Marks()


def number_form(filled: "polars.Series", what: str, marks: Marks) -> Form | None:
    """How the numbers in the texts [N], none of them missing, are written; None where they aren't all numbers.

    what  how errors name the column
    Raises DatasetError where all are numbers, but not all in one form, or in one that leaves the decimal mark open.
    """
    for cells in (filled.head(_FIRST), filled):
        numbers = _plain(cells)
        if not numbers.all() and not (numbers | _fits(cells, _DECIMAL_COMMA, _COMMAS, _POINTS, _GAPS)).all():
            return None
    if numbers.all():
        return "points between thousands" if marks.decimal == "comma" and _may_be_points(filled) else "plain"
    if filled.str.contains(_GAP).any():
        return _with_gaps(filled)
    comma = filled.str.contains(",", literal=True)
    with_comma, rest = filled.filter(comma), filled.filter(~comma)
    commas = len(with_comma) > 0 and bool(_fits(with_comma, _COMMAS).all() and _plain(rest).all())
    decimal = len(with_comma) > 0 and _fits(with_comma, _DECIMAL_COMMA).all() and _fits(rest, _WHOLE).all()
    points = bool(_fits(filled, _POINTS, _DECIMAL_COMMA, _WHOLE).all())
    sure = with_comma.str.contains(_SURE_COMMAS).any() and not rest.str.contains(_LONG).any()
    if commas and (sure or marks.decimal == "point"):
        return "thousands"
    if decimal and (marks.comma or not commas):
        return "decimal comma"
    if points and (marks.comma or _surely_points(filled)):
        return "points between thousands"
    if with_comma.is_empty():
        return None
    raise _either(with_comma[0], what, commas or decimal or points)


def as_plain(text: "polars.Series", form: Form) -> "polars.Series":
    """The texts with a decimal point, and nothing between thousands."""
    if form == "plain":
        return text
    between, decimal = _MARKS[form]
    text = text.str.replace_all(between, "") if between else text
    return text.str.replace(",", ".", literal=True) if decimal == "," else text


def is_written_so(filled: "polars.Series", form: Form) -> bool:
    """Whether all texts may be numbers of this form."""
    patterns = {
        "decimal comma": (_DECIMAL_COMMA, _WHOLE),
        "thousands": (_COMMAS, rf"{_WHOLE}(\.\d+)?"),
        "points between thousands": (_POINTS, _DECIMAL_COMMA, _WHOLE),
        "gaps between thousands": (_GAPS, rf"{_WHOLE}(\.\d+)?"),
        "gaps between thousands, decimal comma": (_GAPS, _DECIMAL_COMMA, _WHOLE),
    }
    if form == "plain":
        return bool(_plain(filled).all())
    return bool(_fits(filled, *patterns[form]).all() and _plain(as_plain(filled, form)).all())


def doubt_of(filled: "polars.Series", form: Form, marks: Marks) -> str:
    """Why the numbers [N] may be meant otherwise, and what decides; "": no doubt."""
    if marks.decimal is not None:
        return ""
    if form == "plain" and _may_be_points(filled.head(_FIRST), some=False) and _may_be_points(filled):
        return "each point stands before three digits: if it separates thousands, --data.decimal comma"
    if form == "decimal comma" and _fits(filled, _COMMAS, _WHOLE).all():
        return "each comma stands before three digits: if it separates thousands, --data.decimal point"
    if form == "points between thousands" and not _surely_points(filled):
        return "the points stand before three digits, so they separate thousands: if they are decimal, write commas"
    return ""


def _fits(cells: "polars.Series", *patterns: str) -> "polars.Series":
    return cells.str.contains(f"^({'|'.join(patterns)})$")


def _plain(cells: "polars.Series") -> "polars.Series":
    import polars

    return cells.cast(polars.Float64, strict=False).is_not_null()


def _may_be_points(filled: "polars.Series", some: bool = True) -> bool:
    """Whether the points could stand between thousands; `some`: and there are any."""
    point = filled.str.contains(".", literal=True)
    if some and not point.any():
        return False
    return bool(_fits(filled.filter(point), _POINTS).all()) and not filled.filter(~point).str.contains(_LONG).any()


def _surely_points(filled: "polars.Series") -> bool:
    """Whether a comma follows on points, or cells have one and several of them, other than addresses."""
    return bool(filled.str.contains(_SURE_POINTS).any()) or (
        filled.str.contains(r"\.\d{3}\.").any() and filled.str.count_matches(".", literal=True).n_unique() > 1
    )


def _with_gaps(filled: "polars.Series") -> Form | None:
    signs = filled.str.extract(f"({_GAP})").drop_nulls()
    apart = filled.str.contains(_GAP)
    long = filled.filter(~apart).str.contains(_LONG).any()
    if signs.n_unique() > 1 or long or not filled.str.contains(_SURE_GAPS).any():
        return None
    forms: tuple[Form, ...] = ("gaps between thousands", "gaps between thousands, decimal comma")
    return next((form for form in forms if is_written_so(filled, form)), None)


def _either(cell: str, what: str, is_open: bool) -> DatasetError:
    otherwise = "or name the column in --data.categorical to take each value as a category"
    if is_open:
        return DatasetError(
            f"{what} holds numbers with a comma, such as {shown(cell)}, and it can't be told whether it is a decimal "
            f"comma or separates thousands: say which by --data.decimal comma or --data.decimal point, {otherwise}"
        )
    return DatasetError(
        f"{what} holds numbers with a comma, such as {shown(cell)}, and others with a point, and it can't be told "
        f"which is the decimal mark: write all of them as 1234.5, {otherwise}"
    )
