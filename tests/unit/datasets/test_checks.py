import math
import re

import pytest
import torch

from spx.datasets import NodeDataset, Split, check_dataset
from spx.errors import DatasetError
from spx.graph.features import SparseFeatures


def dataset(**changes: object) -> NodeDataset:
    good = NodeDataset(
        name="toy",
        protocol="public",
        x=torch.zeros(6, 2),
        edge_index=torch.tensor([[0, 5, 5], [1, 0, 0]]),
        y=torch.tensor([0, 1, 2, 0, -1, 1]),
        split=Split(torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3, 5])),
        split_index=0,
        num_classes=3,
        task="multiclass",
        metric="accuracy",
    )
    return good._replace(**changes)


def multilabel(**changes: object) -> NodeDataset:
    y = torch.tensor([[0.0, 1.0]]).repeat(6, 1)
    return dataset(task="multilabel", num_classes=2, y=y)._replace(**changes)


def refused(bad: NodeDataset, message: str) -> None:
    with pytest.raises(DatasetError, match=re.escape(message)) as caught:
        check_dataset(bad)
    assert str(caught.value).startswith("dataset 'toy': ")


def split(train: list[int], val: list[int], test: list[int]) -> Split:
    return Split(*(torch.tensor(part, dtype=torch.int64) for part in (train, val, test)))


def test_the_mend_and_the_name_may_be_given() -> None:
    bad = dataset(x=torch.full((6, 2), math.nan))
    with pytest.raises(DatasetError, match=r"^dataset 'toy': .* infinity\. The raw files are damaged .* load again$"):
        check_dataset(bad)
    with pytest.raises(DatasetError, match=r"^graph a\.npz: .* infinity\. Look at it$"):
        check_dataset(bad, "Look at it", "graph a.npz")


def test_good_datasets_pass() -> None:
    check_dataset(dataset())
    check_dataset(multilabel())
    check_dataset(dataset(edge_index=torch.zeros(2, 0, dtype=torch.int64)))


@pytest.mark.parametrize(("node", "range_"), [(6, "0 to 6"), (-1, "-1 to 5")])
def test_edges_out_of_range(node: int, range_: str) -> None:
    refused(
        dataset(edge_index=torch.tensor([[0, 5], [node, 0]])),
        f"edge_index runs from {range_}, outside the nodes 0..5",
    )


@pytest.mark.parametrize(("label", "range_"), [(3, "-1 to 3"), (-2, "-2 to 2")])
def test_labels_out_of_range(label: int, range_: str) -> None:
    refused(dataset(y=torch.tensor([0, 1, 2, label, -1, 1])), f"labels run from {range_}, outside -1..2")


def test_no_label_at_all() -> None:
    refused(dataset(y=torch.full((6,), -1)), "no node has a label")


@pytest.mark.parametrize("value", [math.nan, 0.5, 2.0])
def test_multilabel_labels_must_be_0_or_1(value: float) -> None:
    y = multilabel().y
    y[3] = value
    refused(multilabel(y=y), "the labels of 1 of 6 nodes are not 0 or 1")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_features_must_be_finite(value: float) -> None:
    x = torch.zeros(6, 2)
    x[1, 0] = x[4, 1] = value
    for form in (x, SparseFeatures.from_dense(x)):
        refused(dataset(x=form), "the features of 2 of 6 nodes hold NaN or infinity")


def test_large_features_are_refused_in_either_form() -> None:
    x = torch.zeros(6, 2)
    x[3, 1] = -1e16
    for form in (x, SparseFeatures.from_dense(x)):
        refused(dataset(x=form), "the features reach 1e+16")


def test_sparse_features_without_an_entry() -> None:
    check_dataset(dataset(x=SparseFeatures.from_dense(torch.zeros(6, 2))))


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_empty_part(part: str) -> None:
    parts = dataset().split._replace(**{part: torch.empty(0, dtype=torch.int64)})
    refused(dataset(split=parts), f"the {part} split is empty")


@pytest.mark.parametrize("parts", [([0, 1], [1], [3]), ([0, 1], [2], [1, 3]), ([0], [2, 3], [3])])
def test_overlap(parts: tuple[list[int], ...]) -> None:
    refused(dataset(split=split(*parts)), "1 nodes are in more than one of train, val and test")


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_unlabelled_node_in_a_part(part: str) -> None:
    parts = dataset().split._replace(**{part: torch.tensor([4])})
    refused(dataset(split=parts), f"the {part} split names 1 nodes that have no label")


@pytest.mark.parametrize("nodes", [[-1, 0], [3, 6]])
def test_part_out_of_range(nodes: list[int]) -> None:
    refused(dataset(split=split([0], [2], nodes)), f"the test split runs from {nodes[0]} to {nodes[1]}")


@pytest.mark.parametrize("nodes", [[1, 0], [0, 0]])
def test_part_not_sorted_or_repeated(nodes: list[int]) -> None:
    refused(dataset(split=split(nodes, [2], [3])), "the train split is not sorted, or names a node twice")


def test_zero_nodes() -> None:
    refused(dataset(x=torch.zeros(0, 2)), "the graph has no nodes")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(6)}, "x must be [N, F] float32, not [6] float32"),
        ({"x": torch.zeros(6, 2).double()}, "x must be [N, F] float32, not [6, 2] float64"),
        ({"edge_index": torch.zeros(3, 2, dtype=torch.int64)}, "edge_index must be [2, E] int64"),
        ({"edge_index": torch.zeros(2, 3)}, "not [2, 3] float32"),
        ({"y": torch.zeros(5, dtype=torch.int64)}, "y of a multiclass task must be [6] int64 here"),
        ({"y": torch.zeros(6)}, "not [6] float32"),
        ({"split": Split(*torch.ones(3, 6).bool())}, "the train split must be [n] int64 node indices"),
    ],
)
def test_wrong_shapes_and_types(changes: dict[str, object], message: str) -> None:
    refused(dataset(**changes), message)


def test_multilabel_wants_a_column_per_class() -> None:
    refused(multilabel(num_classes=3), "y of a multilabel task must be [6, 3] float32 here, not [6, 2]")


ONE_CLASS = {"num_classes": 2, "metric": "roc_auc", "class_names": ("fine", "fraud")}


@pytest.mark.parametrize(
    ("y", "part", "name"),
    [([0, 0, 1, 0, 0, 1], "train", "fine"), ([0, 1, 0, 1, 1, 1], "val", "fine"), ([0, 1, 1, 0, 1, 1], "test", "fraud")],
)
def test_roc_auc_over_a_part_of_one_class_is_refused(y: list[int], part: str, name: str) -> None:
    parts = split([0, 1], [2], [4, 5]) if part == "val" else split([0, 1], [2, 3], [4, 5])
    bad = dataset(y=torch.tensor(y), split=parts, **ONE_CLASS)
    refused(bad, f"nodes of the {part} split: all are of class '{name}'. Choose another split")
    check_dataset(bad._replace(metric="accuracy"))


def test_roc_auc_of_several_labels_is_refused_only_where_none_has_both_classes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]]).float()
    several = dataset(
        task="multilabel", num_classes=3, metric="roc_auc", y=labels, split=split([0, 1], [2, 3], [4, 5]),
        class_names=("a", "b", "c"),
    )  # fmt: skip
    check_dataset(several)
    said = [record.getMessage() for record in caplog.records]
    assert "ROC-AUC of the val split is the mean over 1 of 3 labels; its nodes are all alike in a, c" in said[0]
    assert "ROC-AUC of the test split is the mean over 1 of 3 labels; its nodes are all alike in b, c" in said[1]
    refused(
        several._replace(split=split([0, 1], [2, 4], [3, 5])),
        "ROC-AUC is undefined over the 2 nodes of the val split: each label is the same for all of them",
    )


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(2), "edge_weight must be [3] float32, one for each edge, not [2]"),
        (torch.ones(3, dtype=torch.float64), "not [3] float64"),
        (torch.tensor([1.0, 0.0, -1.0]), "the weights of 2 of 3 edges are not above 0, or not finite"),
        (torch.tensor([1.0, math.nan, math.inf]), "the weights of 2 of 3 edges are not above 0, or not finite"),
    ],
)
def test_weights_of_edges(weight: torch.Tensor, message: str) -> None:
    check_dataset(dataset(edge_weight=torch.ones(3)))
    refused(dataset(edge_weight=weight), message)
