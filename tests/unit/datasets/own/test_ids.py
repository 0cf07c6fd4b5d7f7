"""Ids that are written in one way in the nodes' table and in another in that of the edges."""

from collections.abc import Callable

import polars
import pytest

from spx.datasets.own.ids import node_ids, rows_of
from spx.errors import DatasetError

FORMS: dict[str, Callable[[list[int]], polars.Series]] = {
    "integers": lambda ids: polars.Series(ids),
    "small integers": lambda ids: polars.Series(ids, dtype=polars.Int32),
    "floats": lambda ids: polars.Series(ids, dtype=polars.Float64),
    "float32": lambda ids: polars.Series(ids, dtype=polars.Float32),
    "decimals": lambda ids: polars.Series(ids).cast(polars.Decimal(12, 2)),
    "text": lambda ids: polars.Series([str(number) for number in ids]),
    "text of floats": lambda ids: polars.Series([f"{number}.0" for number in ids]),
    "with a decimal comma": lambda ids: polars.Series([f"{number},00" for number in ids]),
    "powers": lambda ids: polars.Series([f"{number:.0e}" if number == 100000 else str(number) for number in ids]),
}
IDS = [3, 0, 100000, 21, -4]


@pytest.mark.parametrize("edges", FORMS)
@pytest.mark.parametrize("nodes", FORMS)
def test_whole_numbers_meet_however_they_are_written(nodes: str, edges: str) -> None:
    ids = node_ids(FORMS[nodes](IDS).rename("id"), "nodes.csv")
    assert ids.to_list() == IDS
    assert rows_of(FORMS[edges]([21, 3, 100000, -4]), ids, "edges.csv: column 'source'").to_list() == [3, 0, 2, 4]


def test_names_stay_what_they_are() -> None:
    ids = node_ids(polars.Series("id", ["007", "7", "21", "1e5", "2.50", "x"]), "nodes.csv")
    assert rows_of(polars.Series(["7", "007", "1e5", "21.0", "2.50"]), ids, "edges").to_list() == [1, 0, 3, 2, 4]
    with pytest.raises(DatasetError, match=r"1 times of 1, such as '07'.*called '007', '7', '21', ... \(6 in all\)"):
        rows_of(polars.Series(["07"]), ids, "edges")


@pytest.mark.parametrize("values", [[0.5, 1.0], [float("inf"), 1.0], [2.0**60, 1.0], [float("nan"), 1.0]])
def test_floats_that_are_no_ids(values: list[float]) -> None:
    with pytest.raises(
        DatasetError, match=r"column 'id' (holds Float64 values that are no whole|is empty in 1 of 2 rows)"
    ):
        node_ids(polars.Series("id", values, nan_to_null=True), "nodes.parquet")


def test_integers_beyond_those_of_torch_are_names() -> None:
    large = [2**64 - 1, 2**63 + 5]
    ids = node_ids(polars.Series("id", large, dtype=polars.UInt64), "nodes.parquet")
    assert ids.to_list() == list(map(str, large))
    assert rows_of(polars.Series([str(large[1])]), ids, "edges").to_list() == [1]
