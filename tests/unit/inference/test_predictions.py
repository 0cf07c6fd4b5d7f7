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


def test_label_and_part_of_each_node_are_those_of_the_data(toy: NodeDataset) -> None:
    own = toy._replace(y=toy.y.index_fill(0, toy.split.val[:3], -1), split=toy.split._replace(val=toy.split.val[3:]))
    nodes = torch.arange(89, -1, -1)
    table = from_step({"nodes": nodes, "probabilities": torch.rand(90, 3)}, own, ["a", "b", "c"]).table()
    assert table.columns[:5] == ["node", "prediction", "probability", "label", "part"]
    part = {int(node): name for name, members in own.split._asdict().items() for node in members}
    assert table["part"].to_list() == [part.get(node) for node in nodes.tolist()]
    assert table["label"].to_list() == ["abc"[label] if label >= 0 else None for label in own.y[nodes].tolist()]
    assert table["part"].null_count() == table["label"].null_count() == 3
    steps = [{"nodes": each, "probabilities": torch.rand(45, 3)} for each in nodes.split(45)]
    both = joined(from_step(step, own, "abc") for step in steps)
    assert both.labels.equals(table["label"])
    assert both.parts.equals(table["part"])


def test_several_labels_of_a_node_are_joined_and_none_at_all_is_a_gap(toy: NodeDataset) -> None:
    y = torch.zeros(90, 2)
    y[0], y[1, 1], y[2, 0], y[2, 1] = 1, 1, -1, 1
    split = toy.split._replace(train=torch.tensor([0, 1, 2, 3]), val=torch.tensor([5]), test=torch.tensor([6]))
    own = toy._replace(y=y, task="multilabel", num_classes=2, split=split)
    found = from_step({"nodes": torch.tensor([0, 1, 2, 3, 4]), "probabilities": torch.rand(5, 2)}, own, ("a", "b"))
    assert found.labels.to_list() == ["a|b", "b", "b", "", None]
    assert found.parts.to_list() == ["train", "train", "train", "train", None]


@pytest.mark.parametrize("spread", [True, False])
def test_batches_are_joined_in_their_order(spread: bool) -> None:
    one, other = predictions(3, spread=spread), predictions(2, spread=spread, first=3)
    both = joined([one, other])
    assert both.nodes.tolist() == both.ids.to_list() == [0, 1, 2, 3, 4]
    assert both.probabilities.equal(torch.cat((one.probabilities, other.probabilities)))
    assert (both.spread is not None) == spread
    assert joined([one]).probabilities.equal(one.probabilities)
