"""Classes, labels and tables from probabilities made by hand."""

import polars as pl
import pytest
import torch

from spx.datasets import NodeDataset
from spx.inference.predictions import Predictions, from_step, joined

from .conftest import predictions

P = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.5, 0.7], [0.4, 0.1, 0.0]])


def made(task: str, names: tuple[str, ...] = ("a", "b", "c"), spread: torch.Tensor | None = None) -> Predictions:
    return Predictions(torch.tensor([4, 0, 2]), pl.Series(["x", "y", "z"]), P, spread, names, task)


def test_the_most_probable_class_is_predicted() -> None:
    assert made("multiclass").predicted.tolist() == [1, 2, 0]
    assert made("multiclass").names.to_list() == ["b", "c", "a"]


def test_labels_of_probability_one_half_or_more_are_predicted() -> None:
    assert made("multilabel").predicted.tolist() == [[False, True, False], [True, True, True], [False, False, False]]
    assert made("multilabel").names.to_list() == ["b", "a|b|c", ""]


def test_the_table_of_several_classes() -> None:
    table = made("multiclass", spread=P / 10).table()
    spread = ["spread:a", "spread:b", "spread:c"]
    assert table.columns == ["node", "prediction", "probability", "p:a", "p:b", "p:c", *spread]
    assert table["node"].to_list() == ["x", "y", "z"]
    assert table["probability"].to_list() == pytest.approx([0.5, 0.7, 0.4])
    assert torch.from_numpy(table.select("p:a", "p:b", "p:c").to_numpy()).equal(P)
    assert torch.from_numpy(table.select(spread).to_numpy()).equal(P / 10)


def test_the_table_of_several_labels_has_no_single_probability() -> None:
    assert made("multilabel").table().columns == ["node", "prediction", "p:a", "p:b", "p:c"]


def test_classes_of_one_name_keep_columns_of_their_own() -> None:
    table = made("multiclass", ("a", "1:a", "a")).table()
    assert table.columns[3:] == ["p:0:a", "p:1:1:a", "p:2:a"]


def test_class_names_can_not_clash_with_other_columns() -> None:
    names = ("robability", "node", "prediction")
    table = made("multiclass", names, spread=P).table()
    assert len(set(table.columns)) == 9
    assert table["node"].to_list() == ["x", "y", "z"]


def test_one_node() -> None:
    for task in ("multiclass", "multilabel"):
        assert predictions(1, task=task).table().height == 1


def test_a_step_s_prediction_gets_the_user_s_names(toy: NodeDataset) -> None:
    step = {"nodes": torch.tensor([4, 0, 2]), "probabilities": P}
    plain = from_step(step, toy, None)
    assert plain.ids.to_list() == [4, 0, 2]
    assert plain.class_names == ("0", "1", "2")
    assert plain.spread is None
    own = toy._replace(node_ids=pl.Series([f"n{number}" for number in range(90)]))
    assert from_step(step, own, ["a", "b", "c"]).ids.to_list() == ["n4", "n0", "n2"]


@pytest.mark.parametrize("spread", [True, False])
def test_batches_are_joined_in_their_order(spread: bool) -> None:
    one, other = predictions(3, spread=spread), predictions(2, spread=spread, first=3)
    both = joined([one, other])
    assert both.nodes.tolist() == both.ids.to_list() == [0, 1, 2, 3, 4]
    assert both.probabilities.equal(torch.cat((one.probabilities, other.probabilities)))
    assert (both.spread is not None) == spread
    assert joined([one]).probabilities.equal(one.probabilities)
