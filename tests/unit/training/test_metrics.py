"""Metrics where they are undefined, against counting by hand."""

import math

import pytest
import torch
from torch import Tensor

from spx.training.metrics import make_metric


def roc_auc(score: Tensor, positive: Tensor) -> float:
    """How often a positive node ranks above a negative one; ties count half."""
    difference = score[positive == 1][:, None].double() - score[positive == 0].double()
    return float((difference > 0).double().mean() + (difference == 0).double().mean() / 2)


@pytest.mark.parametrize("label", [0, 1])
def test_roc_auc_of_nodes_of_one_class_is_nan(label: int) -> None:
    metric = make_metric("roc_auc", "multiclass", 2)
    assert math.isnan(metric(torch.tensor([0.2, 0.9]), torch.tensor([label, label])))
    metric.reset()
    metric.update(torch.tensor([0.2]), torch.tensor([1 - label]))
    metric.update(torch.tensor([0.9]), torch.tensor([label]))
    assert float(metric.compute()) == label, "over all batches it is defined"


def test_roc_auc_of_several_labels_is_the_mean_over_the_defined_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, y = torch.rand(40, 5, generator=generator), torch.randint(2, (40, 5), generator=generator)
    y[:, 1], y[:, 3] = 0, 1
    metric = make_metric("roc_auc", "multilabel", 5)
    for rows in torch.arange(40).split(7):
        metric.update(scores[rows], y[rows])
    expected = sum(roc_auc(scores[:, label], y[:, label]) for label in (0, 2, 4)) / 3
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-6)


def test_roc_auc_of_labels_that_are_known_in_part_is_over_the_known_nodes() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, y = torch.rand(40, 3, generator=generator), torch.randint(-1, 2, (40, 3), generator=generator)
    y[:, 1] = y[:, 1].clamp(max=0)  # 0 or not known
    metric = make_metric("roc_auc", "multilabel", 3)
    for rows in torch.arange(40).split(7):
        metric.update(scores[rows], y[rows])
    known = {label: y[:, label] >= 0 for label in (0, 2)}
    expected = sum(roc_auc(scores[known[label], label], y[known[label], label]) for label in known) / 2
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-6)


def test_roc_auc_without_any_defined_label_is_nan() -> None:
    metric = make_metric("roc_auc", "multilabel", 2)
    assert math.isnan(metric(torch.rand(4, 2), torch.tensor([[0, 1]] * 4)))


@pytest.mark.parametrize(("task", "outputs"), [("multiclass", 2), ("multilabel", 3)])
def test_roc_auc_of_no_node_is_nan(task: str, outputs: int) -> None:
    shape = (0, outputs) if task == "multilabel" else (0,)
    metric = make_metric("roc_auc", task, outputs)
    metric.update(torch.zeros(shape), torch.zeros(shape, dtype=torch.int64))
    assert math.isnan(metric.compute())


def test_accuracy_of_no_node_is_nan() -> None:
    metric = make_metric("accuracy", "multiclass", 3)
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert math.isnan(metric.compute())
    metric.reset()
    metric.update(torch.eye(3), torch.tensor([0, 1, 1]))
    assert float(metric.compute()) == pytest.approx(2 / 3)
