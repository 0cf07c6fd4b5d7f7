from datetime import date

import polars
import pytest

from spx.datasets.own.features import MAX_CATEGORIES, table_features
from spx.errors import DatasetError


def features(categorical: tuple[str, ...] = (), **columns: object) -> list[list[float]]:
    x, names = table_features(polars.DataFrame(columns), categorical, "nodes.csv")
    assert len(names) == x.shape[1]
    return x.tolist()


def refused(message: str, categorical: tuple[str, ...] = (), **columns: object) -> None:
    with pytest.raises(DatasetError, match=message):
        table_features(polars.DataFrame(columns), categorical, "nodes.csv")


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


def test_a_column_of_text_may_be_named_as_well() -> None:
    assert features(("kind",), kind=["1", "2", "3", "x"]) == [[float(i == j) for j in range(4)] for i in range(4)]


def test_enumerated_text_of_parquet() -> None:
    assert features(kind=polars.Series(["b", "a"], dtype=polars.Categorical)) == [[0, 1], [1, 0]]


def test_no_columns() -> None:
    assert table_features(polars.DataFrame({"a": [1]}).drop("a"), (), "nodes.csv") is None


def test_one_category_more_than_the_limit() -> None:
    names = [f"c{i:03}" for i in range(MAX_CATEGORIES + 1)]
    assert len(features(kind=names[:-1])[0]) == MAX_CATEGORIES
    refused("column 'kind' has 101 categories, more than 100: turn it into numbers", kind=names)


@pytest.mark.parametrize("cells", [["1", None, "2", None], [1.5, None, 2.5, None]])
def test_empty_numbers(cells: list) -> None:
    refused("column 'age' has 2 empty cells of 4: fill them, leave the column out, or name it in", age=cells)


@pytest.mark.parametrize("cells", [["1", "nan", "inf", "1e300"], [1.0, float("nan"), float("-inf"), 1e300]])
def test_numbers_that_are_not_finite(cells: list) -> None:
    refused("column 'age' has 3 cells of 4 that are NaN, infinite or beyond float32", age=cells)


def test_numbers_with_a_word_among_them() -> None:
    refused("'age' holds numbers, but 1 of 3 cells are none, such as 'old': fix them, or name", age=["1", "2", "old"])


def test_an_empty_column() -> None:
    refused("column 'age' is empty throughout: leave it out", age=polars.Series([None, None], dtype=polars.String))


def test_columns_that_are_neither_numbers_nor_text() -> None:
    refused("column 'day' holds Date values", day=[date(2020, 1, 1)])
    refused("column 'list' holds List", list=[[1, 2]])


def test_an_unknown_categorical_column() -> None:
    refused("names 'kinds', which is no feature column of nodes.csv; did you mean 'kind'", ("kinds",), kind=["a"])
    refused("which is no feature column of nodes.csv. It has nothing", ("kinds",))


def test_names_of_the_columns() -> None:
    columns = {"a": ["1", "2"], "kind": ["dog", "cat"], "on": [True, False], "code": ["9", "10"], "size": [1.5, None]}
    _, names = table_features(polars.DataFrame(columns), ("code", "size"), "nodes.csv")
    assert names == ("a", "kind=cat", "kind=dog", "on", "code=9", "code=10", "size=1.5")
    _, names = table_features(polars.DataFrame({"code": [9, 10]}), ("code",), "nodes.parquet")
    assert names == ("code=9", "code=10"), "as in CSV"
