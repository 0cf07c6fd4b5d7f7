import logging

import numpy as np
import polars
import pytest

from spx.datasets.own.labels import (
    class_labels,
    classes_from_numbers,
    classes_from_text,
    classes_or_labels,
    several_labels,
)
from spx.errors import DatasetError


def text_labels(*cells: str | None) -> tuple[list[int], tuple[str, ...]]:
    labels = class_labels(classes_from_text(polars.Series(cells, dtype=polars.String), "label"), "label")
    assert labels.labelled.tolist() == [code >= 0 for code in labels.y.tolist()]
    assert labels.task == "multiclass"
    return labels.y.tolist(), labels.class_names


def refused(message: str, *cells: str | None) -> None:
    with pytest.raises(DatasetError, match=message):
        text_labels(*cells)


def test_text_is_sorted_and_kept() -> None:
    assert text_labels("b", "a", None, "B", "b") == ([2, 1, -1, 0, 2], ("B", "a", "b"))


def test_integers_are_sorted_as_numbers() -> None:
    assert text_labels("10", "9", None, "-1", "10") == ([2, 1, -1, 0, 2], ("-1", "9", "10"))


def test_whole_floats_are_integers() -> None:
    assert text_labels("1.0", "0.0", None, "10.") == ([1, 0, -1, 2], ("0", "1", "10"))


def test_numbers_with_leading_zeros_are_names() -> None:
    assert text_labels("007", "7", "1") == ([0, 2, 1], ("007", "1", "7"))


def test_a_number_beside_words_is_a_word() -> None:
    assert text_labels("1", "2a", "none") == ([0, 1, 2], ("1", "2a", "none"))


def test_a_word_among_integers_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert text_labels("1", "0", "1", "unknown")[1] == ("0", "1", "unknown")
    assert "label holds integers and 'unknown', taken as a class. If it stands" in caplog.text
    assert "--data.missing" in caplog.text


def test_true_and_false_in_any_case_are_two_classes() -> None:
    assert text_labels("True", "FALSE", "true", None) == ([1, 0, 1, -1], ("false", "true"))


@pytest.mark.parametrize("fraction", ["2.5", "2,5", "-0,25"])
def test_fractions_are_refused(fraction: str) -> None:
    refused(f"no integers, such as '{fraction}': classes must be integers or text", "1", fraction, None)


@pytest.mark.parametrize(("cells", "held"), [((), "none"), ((None,), "none"), (("a", "a", None), "only 'a'")])
def test_two_classes_are_needed(cells: tuple, held: str) -> None:
    refused(f"label holds {held}, but two classes are needed", *cells)


def test_numbers_with_gaps() -> None:
    column = classes_from_numbers(np.array([1.0, np.nan, 3.0]), "y")
    assert column.to_list() == [1, None, 3]
    assert classes_from_numbers(np.array([True, False]), "y").to_list() == [1, 0]
    assert classes_from_numbers(np.array([3, 200], dtype=np.uint8), "y").to_list() == [3, 200]


@pytest.mark.parametrize("value", [0.5, np.inf, -np.inf, 1e300])
def test_numbers_that_are_no_classes(value: float) -> None:
    with pytest.raises(DatasetError, match="y holds numbers that are no integers, such as"):
        classes_from_numbers(np.array([1.0, value]), "y")


def test_class_names_give_the_order_of_names_and_the_meaning_of_numbers() -> None:
    names = ("c", "b", "a")
    assert class_labels(polars.Series(["a", "b", None]), "y", names).y.tolist() == [2, 1, -1]
    labels = class_labels(polars.Series([0, 2, None]), "y", names)
    assert labels.y.tolist() == [0, 2, -1]
    assert labels.class_names == names


@pytest.mark.parametrize(
    ("values", "message"),
    [(["a", "z"], "holds 'z', but class_names names 'c', 'b', 'a'"), ([0, 3], "holds 3, .* has the places 0 to 2")],
)
def test_class_names_that_lack_one(values: list, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        class_labels(polars.Series(values), "y", ("c", "b", "a"))


def test_several_labels_and_gaps() -> None:
    nan = np.nan
    labels = several_labels(np.array([[0, 1], [nan, nan], [1, 1]]), ("a", "b"), "labels")
    assert labels.y.tolist() == [[0, 1], [0, 0], [1, 1]]
    assert labels.labelled.tolist() == [True, False, True]
    assert (labels.task, labels.class_names) == ("multilabel", ("a", "b"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0, np.nan], [1, -1]], "'b' is empty for all nodes: leave it out"),
        ([[0, 2], [1, 0.5]], "must be 0 or 1, but 2 are not, such as 2.0"),
        ([[np.nan, np.nan]], "empty for all nodes"),
        ([[np.inf, 1]], "must be 0 or 1"),
    ],
)
def test_several_labels_that_are_not_0_or_1(table: list, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        several_labels(np.array(table, dtype=float), ("a", "b"), "labels")


def test_several_labels_that_are_known_in_part(caplog: pytest.LogCaptureFixture) -> None:
    nan = np.nan
    with caplog.at_level(logging.WARNING):
        labels = several_labels(np.array([[0, nan], [-1, -1], [-1, 1], [1, 0]]), ("a", "b"), "the labels")
    assert labels.y.tolist() == [[0, -1], [0, 0], [-1, 1], [1, 0]]
    assert labels.labelled.tolist() == [True, False, True, True]
    assert "the labels are known in part for 2 nodes: loss and metric are over the known ones" in caplog.text


def test_labels_of_which_each_node_has_one_are_classes_unless_told_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    table = np.vstack((np.eye(3)[[2, 0, 1, 0]], [[np.nan] * 3]))
    labels = several_labels(table, ("a", "b", "c"), "the labels")
    with caplog.at_level(logging.WARNING):
        assert classes_or_labels(labels, None, "the labels").y.tolist() == [2, 0, 1, 0, -1]
    assert "the labels: each node has exactly one, so they are 3 classes. If they are labels" in caplog.text
    caplog.clear()
    assert classes_or_labels(labels, "multilabel", "the labels") is labels
    classes = classes_or_labels(labels, "multiclass", "the labels")
    assert classes.task == "multiclass"
    assert classes_or_labels(classes, None, "the labels") is classes
    assert not caplog.text
    with pytest.raises(DatasetError, match=r"--data.task multilabel: the labels hold one class a node"):
        classes_or_labels(classes, "multilabel", "the labels")


@pytest.mark.parametrize("table", [[[1, 1], [0, 1]], [[0, 0], [0, 1]], [[1, np.nan], [0, 1]]])
def test_other_labels_are_no_classes(table: list) -> None:
    labels = several_labels(np.array(table, dtype=float), ("a", "b"), "the labels")
    assert classes_or_labels(labels, None, "the labels") is labels
    with pytest.raises(DatasetError, match=r"--data.task multiclass: the labels hold nodes with none or several"):
        classes_or_labels(labels, "multiclass", "the labels")
