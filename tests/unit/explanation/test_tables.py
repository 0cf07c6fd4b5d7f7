"""The long table, one node's tables, and names."""

import polars as pl
import torch

from spx.explanation.tables import WHAT, edge_names, feature_names, joined, node_names

from .made import made_explanation


def test_each_number_has_a_row_of_the_long_table() -> None:
    told = made_explanation(["b", "a"], neighbors=2)
    table = told.table()
    assert table.columns == [
        *(
            "node",
            "prediction",
            "probability",
            "what",
            "layer",
            "neighbor",
            "edge",
            "feature",
            "value",
            "spread",
            "drawn",
        )
    ]
    assert table.schema["layer"] == pl.Int64
    assert table["node"].unique(maintain_order=True).to_list() == ["b", "a"]
    counts = dict(table.filter(node="a")["what"].value_counts().rows())
    lengths = {"removal_change": 2, "removal_moved": 2, "attention": 4, "rollout": 2, "feature_own": 1}
    assert counts == lengths | {"feature_others": 1}
    assert counts.keys() == WHAT.keys()
    change = table.filter(node="a", what="removal_change")
    assert change["value"].to_list() == told.of("a").neighbors["change"].to_list()
    assert change["spread"].to_list() == told.of("a").neighbors["spread"].to_list()


def test_numbered_nodes_and_one_draw_keep_the_columns_types() -> None:
    named, numbered = made_explanation(["a"]).table(), made_explanation([3], spread=False).table()
    assert numbered.schema["node"] == numbered.schema["neighbor"] == pl.Int64
    assert numbered.schema["spread"] == named.schema["spread"] == pl.Float64
    assert numbered["spread"].null_count() == numbered.height


def test_batches_are_joined_and_one_node_is_found_by_its_name() -> None:
    parts = [made_explanation(["a", "b"]), made_explanation(["c"])]
    told = joined(parts)
    assert told.nodes.tolist() == [0, 1, 0]
    assert told.predictions["node"].to_list() == ["a", "b", "c"]
    assert told.table().equals(pl.concat([part.table() for part in parts]))
    assert told.of("b").nodes.tolist() == [1]
    assert all(table["node"].unique().to_list() == ["b"] for table in told.of("b").tables().values())


def test_names_of_the_user_s_files(toy) -> None:
    numbers = torch.tensor([2, 0])
    assert node_names(numbers, toy).to_list() == [2, 0]
    assert feature_names(numbers, toy).to_list() == ["feature 2", "feature 0"]
    named = toy._replace(
        node_ids=pl.Series([f"n{number}" for number in range(90)]), feature_names=tuple("pqrst"[: toy.num_features])
    )
    assert node_names(numbers, named).to_list() == ["n2", "n0"]
    assert feature_names(numbers, named).to_list() == ["r", "p"]
    assert edge_names(torch.tensor([2, 0, 1], dtype=torch.uint8)).to_list() == ["itself", "graph", "expander"]
