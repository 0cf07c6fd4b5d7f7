import json
import logging
from datetime import date, datetime

import numpy as np
import polars
import pytest
import torch

from spx.datasets.own.numerals import NOTHING_SAID, Marks
from spx.datasets.own.schema import MAX_CATEGORIES, Schema, fit_features
from spx.errors import ArtifactError, DatasetError


def fit(
    scaling: str = "none",
    categorical: tuple[str, ...] = (),
    train: list | None = None,
    marks: Marks = NOTHING_SAID,
    **columns: object,
):
    frame = polars.DataFrame(columns, strict=False)
    rows = torch.tensor(range(frame.height) if train is None else train)
    columns, features = fit_features(frame, rows, categorical, scaling, "nodes.csv", marks)
    assert len(features.names) == features.x.shape[1]
    return Schema(columns), features


def features(categorical: tuple[str, ...] = (), **columns: object) -> list[list[float]]:
    return fit("none", categorical, **columns)[1].x.tolist()


def kinds(**columns: object) -> list[str]:
    return [column.kind for column in fit(**columns)[0].columns]


def refused(message: str, categorical: tuple[str, ...] = (), **columns: object) -> None:
    with pytest.raises(DatasetError, match=message):
        fit("none", categorical, **columns)


def test_numbers_booleans_and_categories_in_the_order_of_the_columns() -> None:
    assert features(a=["1", "-2.5"], flag=["True", "false"], kind=["dog", "cat"], b=[3, 4], on=[False, True]) == [
        [1, 1, 0, 1, 3, 0],
        [-2.5, 0, 1, 0, 4, 1],
    ]


def test_an_empty_category_is_all_zeros() -> None:
    assert features(kind=["b", None, "a"]) == [[0, 1], [0, 0], [1, 0]]


def test_numbers_as_categories_are_sorted_as_numbers() -> None:
    wanted = [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert features(("code",), code=["9", "-1", "10", None, "-1.0"]) == wanted
    assert features(("code",), code=[9, -1, 10, None, -1]) == wanted


def test_categories_with_leading_zeros_are_names() -> None:
    assert fit("none", ("zip",), zip=["007", "7"])[1].names == ("zip=007", "zip=7")


def test_a_column_of_text_may_be_named_as_well() -> None:
    assert features(("kind",), kind=["1", "2", "3", "x"]) == [[float(i == j) for j in range(4)] for i in range(4)]


def test_no_columns() -> None:
    frame = polars.DataFrame({"a": [1]}).drop("a")
    assert fit_features(frame, torch.tensor([0]), (), "none", "nodes.csv") == ((), None)
    assert Schema(()).apply(frame, "nodes.csv") is None


def test_one_category_more_than_the_limit() -> None:
    names = [f"c{i:03}" for i in range(MAX_CATEGORIES + 1)]
    assert len(features(kind=names[:-1])[0]) == MAX_CATEGORIES
    refused("column 'kind' has 101 categories, more than 100: turn it into numbers", kind=names)


@pytest.mark.parametrize("cells", [["1", None, "2", None, "9"], [1.0, None, 2.0, None, 9.0]])
def test_empty_numbers_are_the_training_nodes_median_and_told_apart(cells: list) -> None:
    _, found = fit("none", train=[0, 1, 2], age=cells)
    assert found.names == ("age", "age=missing")
    assert found.x.tolist() == [[1, 0], [1.5, 1], [2, 0], [1.5, 1], [9, 0]]


def test_numbers_that_no_training_node_has() -> None:
    schema, found = fit("standard", train=[1], age=[5.0, None, 7.0])
    assert found.x.isfinite().all()
    assert schema.columns[0].fill == 5


def test_an_empty_flag_is_told_apart() -> None:
    assert features(on=["true", None, "True", "false"]) == [[1, 0], [1, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize("cells", [["1", "inf", "1e300", "2"], [1.0, float("-inf"), 1e300, 2.0]])
def test_numbers_that_are_not_finite(cells: list) -> None:
    refused("column 'age' has 2 cells of 4 that are NaN, infinite or beyond float32", age=cells)


def test_numbers_with_a_word_among_them() -> None:
    refused("'age' holds numbers, but 1 of 3 cells are none, such as 'old': fix them", age=["1", "2", "old"])
    refused("'age' holds numbers, but 1 of 3 cells are none, such as 'old': .*--data.missing", age=["1,5", "2", "old"])


def test_an_empty_column() -> None:
    refused("column 'age' is empty throughout: leave it out", age=polars.Series([None, None], dtype=polars.String))
    refused("column 'age' is empty throughout: leave it out", age=[None, None])


def test_columns_that_are_neither_numbers_nor_text() -> None:
    refused("column 'list' holds List", list=[["a", "b"]])
    refused("column 'time' holds Duration", time=[datetime(2020, 1, 2) - datetime(2020, 1, 1)])


def test_an_unknown_categorical_column() -> None:
    refused("names 'kinds', which is no feature column of nodes.csv; did you mean 'kind'", ("kinds",), kind=["a"])


def test_names_of_the_columns() -> None:
    columns = {"a": ["1", "2"], "kind": ["dog", "cat"], "on": [True, False], "code": ["9", "10"], "size": [1.5, None]}
    _, found = fit("none", ("code", "size"), **columns)
    assert found.names == ("a", "kind=cat", "kind=dog", "on", "code=9", "code=10", "size=1.5")
    assert fit("none", ("code",), code=[9, 10])[1].names == ("code=9", "code=10"), "as in CSV"


@pytest.mark.parametrize(
    ("cells", "numbers", "form"),
    [
        (["0,0", "0,1", "0,7"], [0, 0.1, 0.7], "decimal comma"),
        (["-0,569", "2,594", "0,504"], [-0.569, 2.594, 0.504], "decimal comma"),
        (["1,25", "2", "1,5e3"], [1.25, 2, 1500], "decimal comma"),
        (["1,234.5", "7", "12,345"], [1234.5, 7, 12345], "thousands"),
        (["1,234,567", "-2,594"], [1234567, -2594], "thousands"),
        (["1.234,56", "12,5", "-999", "1.000"], [1234.56, 12.5, -999, 1000], "points between thousands"),
        (["1.234.567,8", "0,25", "12345,5"], [1234567.8, 0.25, 12345.5], "points between thousands"),
        (["1.234.567", "12.345", "7"], [1234567, 12345, 7], "points between thousands"),
        (["1 234,56", "12,5", "7"], [1234.56, 12.5, 7], "gaps between thousands, decimal comma"),
        (["1\u202f234\u202f567,5", "1\u202f000"], [1234567.5, 1000], "gaps between thousands, decimal comma"),
        (["1'234.56", "999.5", "12'000"], [1234.56, 999.5, 12000], "gaps between thousands"),
        (["1 234 567", "7 000"], [1234567, 7000], "gaps between thousands"),
    ],
)
def test_commas_that_leave_no_doubt(cells: list, numbers: list, form: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        schema, found = fit(rate=cells)
    assert schema.columns[0].form == form
    assert found.x.flatten().tolist() == pytest.approx(numbers)
    assert "column 'rate' is taken as numbers with" in caplog.text
    assert "comma" in caplog.text or "gaps" in caplog.text
    assert schema.columns[0].doubt == ""
    assert torch.equal(schema.apply(polars.DataFrame({"rate": cells}), "nodes.csv").x, found.x), "as it is predicted"


@pytest.mark.parametrize(
    ("cells", "comma", "point"),
    [
        (["2,594", "3,100"], [2.594, 3.1], [2594, 3100]),
        (["2,594", "12345"], [2.594, 12345], [2594, 12345]),
        (["1,234", "7"], [1.234, 7], [1234, 7]),
        (["1.234", "2,5"], [1234, 2.5], None),
    ],
)
def test_a_setting_decides_on_commas_that_could_be_either(cells: list, comma: list, point: list | None) -> None:
    told = (
        "column 'a' holds numbers with a comma, such as .* can't be told .* --data.decimal comma .* --data.categorical"
    )
    refused(told, a=cells)
    assert kinds(categorical=("a",), a=cells) == ["category"]
    assert fit(marks=Marks("comma"), a=cells)[1].x.flatten().tolist() == pytest.approx(comma)
    if point is not None:
        assert fit(marks=Marks("point"), a=cells)[1].x.flatten().tolist() == pytest.approx(point)


@pytest.mark.parametrize("cells", [["1,5", "1.5"], ["1,5", "1,234.5"], ["1.234,5", "1,234.5"]])
def test_numbers_of_two_forms_in_one_column(cells: list) -> None:
    refused(
        "column 'a' holds numbers with a comma, .* write all of them as 1234.5, .*--data.categorical|looks", a=cells
    )
    assert kinds(categorical=("a",), a=cells) == ["category"]


def test_points_before_three_digits_are_decimal_and_doubtful() -> None:
    cells = ["1.234", "12.500", "7"]
    schema, found = fit(a=cells)
    assert found.x.flatten().tolist() == pytest.approx([1.234, 12.5, 7])
    assert schema.columns[0].doubt.endswith("if it separates thousands, --data.decimal comma")
    schema, found = fit(marks=Marks("comma"), a=cells)
    assert (found.x.flatten().tolist(), schema.columns[0].doubt) == ([1234, 12500, 7], "")
    later = polars.DataFrame({"a": ["2.000", "3.500", "1"]})
    assert schema.apply(later, "nodes.csv").x.flatten().tolist() == [2000, 3500, 1], "as in training"
    for plain in (["0.234", "1.500"], ["1.234", "1234"], ["1.25", "1.234"]):
        assert fit(a=plain)[0].columns[0].doubt == ""
        assert fit(marks=Marks("comma"), a=plain)[1].x.flatten().tolist() == pytest.approx(
            [float(cell) for cell in plain]
        )


def test_beside_semicolons_the_comma_is_decimal_and_points_separate_thousands() -> None:
    semicolons = Marks(semicolons=True)
    assert fit(marks=semicolons, a=["1.234", "2,5"])[1].x.flatten().tolist() == [1234, 2.5]
    assert "they separate thousands" in fit(marks=semicolons, a=["1.234", "2,5"])[0].columns[0].doubt
    assert fit(marks=semicolons, a=["2,594", "3,100"])[1].x.flatten().tolist() == pytest.approx([2.594, 3.1])
    assert "--data.decimal point" in fit(marks=semicolons, a=["2,594", "3,100"])[0].columns[0].doubt


def test_addresses_are_no_numbers() -> None:
    refused("column 'a' ", a=["192.168.100.200", "192.168.100.201"])


@pytest.mark.parametrize(
    "cells",
    [["12 %", "3 %"], ["$1,200", "$7"], ["1 234", "7 000"], ["1'234", "7"], ["\u22125", "3"]],
)
def test_what_looks_like_numbers_is_no_category_in_silence(cells: list) -> None:
    refused("column 'a' looks like numbers, such as .*: write plain ones", a=cells)
    assert kinds(categorical=("a",), a=cells) == ["category"]


@pytest.mark.parametrize("cells", [["31.12.2024", "01.02.2023"], ["12/31/24", "1/2/23"], ["2024/12/31", "2024/01/01"]])
def test_what_looks_like_dates_is_no_category_in_silence(cells: list) -> None:
    refused("column 'day' looks like dates, such as .*: write them as 2024-12-31", day=cells)


@pytest.mark.parametrize("cells", [["[0.1, 0.2]", "[0.3, -1]"], ["[1 2 3]", "[4 5 6]"], ["(1, 2)", "(3, 4)"]])
def test_what_looks_like_lists_is_no_category_in_silence(cells: list) -> None:
    refused("column 'emb' looks like lists of numbers, such as .*: give each number a column, or save", emb=cells)


def test_a_category_of_names_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fit(name=["anna", "ben", "carl", "dora"], city=["Rome", "Oslo"] * 2)
    assert [record.message for record in caplog.records] == [
        "nodes.csv: column 'name' is taken as a category, but nearly every value differs: if it is a name, leave the "
        "column out"
    ]


def test_words_that_hold_digits_are_categories() -> None:
    assert kinds(a=["v1.2.3", "v2"], b=["10-20", "20-30"], c=["A4", "A3"], d=["1.2.3", "1.10.0"]) == ["category"] * 4


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        ([date(2020, 3, 1), date(2020, 2, 28), None], [2, 0, 1]),
        (["2020-03-01", "2020-02-28", None], [2, 0, 1]),
        ([datetime(2020, 3, 1, 12), datetime(2020, 2, 28), None], [2.5, 0, 1.25]),
        (["2020-03-01T12:00:00", "2020-02-28", None], [2.5, 0, 1.25]),
        (["2020-03-01 14:00:00.000+02:00", "2020-02-28T00:00Z", None], [2.5, 0, 1.25]),
    ],
)
def test_dates_are_days_since_the_earliest(cells: list, days: list, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        schema, found = fit(day=cells)
    assert found.x.tolist() == [[value, float(value == days[2])] for value in days]
    assert schema.columns[0].kind == "date"
    assert "column 'day' is taken as dates: days since the earliest" in caplog.text


def test_a_day_that_the_calendar_lacks() -> None:
    refused(
        "column 'day' holds dates, but 1 of 2 cells are none, such as '2020-02-30'", day=["2020-02-01", "2020-02-30"]
    )


@pytest.mark.parametrize(
    "dtype", [polars.List(polars.Float64), polars.Array(polars.Float32, 2), polars.List(polars.Int8)]
)
def test_lists_of_numbers_are_embeddings(dtype: polars.DataType) -> None:
    schema, found = fit("standard", emb=polars.Series([[1, 2], [3, 4], None], dtype=dtype))
    assert found.names == ("emb[0]", "emb[1]", "emb=missing")
    assert found.x.tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 1]], "and aren't scaled"
    assert (schema.columns[0].kind, schema.columns[0].width) == ("embedding", 2)


def test_lists_that_are_no_embeddings() -> None:
    refused("column 'emb' holds lists of 1, 2 numbers: .* the same number of them", emb=[[1.0], [1.0, 2.0]])
    refused("column 'emb' has 2 numbers in its lists that are missing", emb=[[1.0, None], [float("nan"), 2.0]])


def test_numbers_are_scaled_by_the_training_nodes() -> None:
    cells = np.array([1.0, 3.0, 100.0])
    columns = {"a": cells, "flag": [0, 1, 1], "day": [date(2020, 1, 1), date(2020, 1, 3), date(2020, 1, 1)]}
    schema, found = fit("standard", train=[0, 1], **columns, kind=["x", "y", "x"])
    assert found.x.tolist() == [[-1, 0, -1, 1, 0], [1, 1, 1, 0, 1], [98, 1, -1, 1, 0]]
    assert (schema.columns[0].mean, schema.columns[0].deviation) == (2, 1)
    logarithm = np.sign(cells - 2) * np.log1p(abs(cells - 2))
    found = fit("log", train=[0, 1], a=cells - 2)[1]
    assert found.x.flatten().tolist() == pytest.approx(logarithm / np.log(2), rel=1e-6)
    assert fit("none", a=cells)[1].x.flatten().tolist() == cells.tolist()


def test_one_value_is_not_divided_by_its_rounding() -> None:
    _, found = fit("standard", a=[0.1] * 10)
    assert found.x.abs().max() < 1e-6


COLUMNS = {
    "age": [20.0, None, 40.0, 30.0],
    "city": ["Rome", "Oslo", None, "Rome"],
    "on": [True, False, True, True],
    "day": ["2020-01-01", "2020-01-02", "2020-01-05", "2020-01-03"],
    "rate": ["1,5", "0,25", "3", "4,5"],
    "emb": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]],
}


def test_a_schema_survives_json_and_is_applied_by_name() -> None:
    schema, found = fit("standard", train=[0, 2, 3], **COLUMNS)
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    frame = polars.DataFrame(COLUMNS)
    applied = again.apply(frame.select(reversed(frame.columns)), "nodes.csv")
    assert torch.equal(applied.x, found.x)
    assert (applied.names, applied.digest) == (found.names, found.digest)


def test_a_schema_keeps_its_scales_for_other_values(caplog: pytest.LogCaptureFixture) -> None:
    schema, found = fit("standard", **COLUMNS)
    frame = polars.DataFrame({**COLUMNS, "age": [20.0, None, 400.0, None], "city": ["Rome", "Bergen", "Oslo", None]})
    with caplog.at_level(logging.WARNING):
        applied = schema.apply(frame.with_columns(extra=1), "nodes.csv")
    places = [applied.names.index(name) for name in ("age", "age=missing", "city=Oslo", "city=Rome")]
    age = schema.columns[0]
    assert applied.x[0].tolist() == found.x[0].tolist()
    assert applied.x[2, places[0]] == pytest.approx((400 - age.mean) / age.deviation)
    assert applied.x[:, places[1:]].tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert "holds 'Bergen', which training didn't have: these 1 nodes are in no category" in caplog.text
    assert "the columns 'extra' are not used" in caplog.text
    assert applied.digest != found.digest


def test_a_schema_refuses_other_columns() -> None:
    schema, _ = fit(**COLUMNS)
    frame = polars.DataFrame(COLUMNS)
    with pytest.raises(ArtifactError, match=r"nodes.csv lacks feature columns \(missing 'age'; new 'years'\)"):
        schema.apply(frame.rename({"age": "years"}), "nodes.csv")
    with pytest.raises(DatasetError, match="column 'rate' holds numbers, but 1 of 4 cells are none, such as 'x'"):
        schema.apply(frame.with_columns(rate=polars.Series(["1,5", "x", "2", "3"])), "nodes.csv")
    with pytest.raises(DatasetError, match="column 'emb' holds lists of 1 numbers, but training had 2"):
        schema.apply(frame.with_columns(emb=polars.Series([[1.0]] * 4)), "nodes.csv")


@pytest.mark.parametrize("change", [{"kind": "x"}, {"mean": "x"}, {"name": 1}, {"width": 0}, {"categories": 3}])
def test_a_damaged_record_of_columns(change: dict) -> None:
    content = fit(**COLUMNS)[0].to_json()
    content["columns"][0] |= change
    for damaged in (content, {}, {"columns": 3}, {"columns": [1]}):
        with pytest.raises(ArtifactError, match="record of its table's columns is damaged"):
            Schema.from_json(damaged)


@pytest.mark.parametrize(
    ("cells", "doubt"),
    [
        ([f"n{number}" for number in range(20)], "nearly every value differs"),
        (["x"] * 20, "one value"),
        ([3.0] * 20, "one value"),
        ([float(number) for number in range(1, 21)], "counts the rows"),
        ([3, 1, 2] * 7, "3 different integers: if they are codes, --data.categorical [a]"),
        (["x", "y"] * 10, ""),
        ([0.5, 1.5] * 10, ""),
    ],
)
def test_doubts(cells: list, doubt: str) -> None:
    found = fit(a=cells)[0].columns[0].doubt
    assert found.startswith(doubt)
    assert bool(found) == bool(doubt)
