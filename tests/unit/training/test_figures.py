"""A test's figures, against scikit-learn's."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn import metrics as sk
from torch import Tensor

from spx.training.board import confusion_picture
from spx.training.figures import Figures, NodeFigures
from spx.training.judgement import print_figures, write_figures
from spx.training.metrics import make_metric, metric_input


def judged(num_classes: int, num_nodes: int = 200) -> tuple[Tensor, Tensor]:
    """Log-probabilities and classes of imbalanced nodes; the last of more than two classes is no node's."""
    generator = torch.Generator().manual_seed(num_classes)
    y = (torch.rand(num_nodes, generator=generator) ** 3 * max(2, num_classes - 1)).long()
    logits = torch.randn(num_nodes, num_classes, generator=generator) + 2 * torch.nn.functional.one_hot(y, num_classes)
    return logits.log_softmax(-1), y


def labels(num_labels: int, num_nodes: int = 200) -> tuple[Tensor, Tensor]:
    """Log-probabilities [B, 2, C] and labels [B, C], known in part; the last label is nobody's."""
    generator = torch.Generator().manual_seed(num_labels)
    y = torch.randint(-1, 2, (num_nodes, num_labels), generator=generator)
    y[:, -1] = y[:, -1].clamp(max=0)
    logits = torch.randn(num_nodes, num_labels, generator=generator) + y
    return torch.stack((-logits, logits), -2).sigmoid().log(), y.float()


def in_batches(figures: NodeFigures, logp: Tensor, y: Tensor, size: int = 33) -> Figures:
    for rows in [*torch.arange(len(y)).split(size), torch.arange(0)]:  # and a rank without a node
        figures.update(logp[rows], y[rows], (logp[rows] / 2).log_softmax(-1) if y.dim() == 1 else None)
    return figures.compute()


@pytest.mark.parametrize("num_classes", [2, 3, 12])
def test_figures_of_classes_are_scikit_learns(num_classes: int) -> None:
    logp, y = judged(num_classes)
    found = in_batches(NodeFigures("multiclass", num_classes), logp, y)
    predicted, numbers = logp.argmax(1), list(range(num_classes))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        y, predicted, labels=numbers, zero_division=np.nan
    )
    for name, expected in {"precision": precision, "recall": recall, "f1": f1, "nodes": support}.items():
        np.testing.assert_allclose(found.of_classes[name].numpy(), expected, atol=1e-6, err_msg=name)
    assert found.confusion.equal(torch.from_numpy(sk.confusion_matrix(y, predicted, labels=numbers)))
    expected_means = {
        "majority_share": float(y.bincount().max() / len(y)),
        "balanced_accuracy": sk.recall_score(y, predicted, average="macro", labels=y.unique()),
        "f1_macro": sk.f1_score(y, predicted, average="macro"),
    }
    if num_classes == 2:
        expected_means["average_precision"] = sk.average_precision_score(y, logp[:, 1].exp())
        expected_means["roc_auc"] = sk.roc_auc_score(y, logp[:, 1].exp())
    errors = [found.means.pop(name) for name in ("calibration_error", "calibration_error_before")]
    assert found.means == pytest.approx(expected_means, abs=1e-6)
    assert found.num_nodes == len(y)
    for error, given in zip(errors, (logp, (logp / 2).log_softmax(-1)), strict=True):
        assert error == pytest.approx(calibration_error_by_hand(given, y), abs=1e-6)


def calibration_error_by_hand(logp: Tensor, y: Tensor) -> float:
    confidence, predicted = logp.exp().max(1)
    place = (confidence * 15).long().clamp(max=14)
    right, total = (predicted == y).float(), 0.0
    for bin in place.unique():
        held = place == bin
        total += float(held.sum()) / len(y) * abs(float(right[held].mean() - confidence[held].mean()))
    return total


def test_figures_of_labels_are_scikit_learns_over_what_is_known() -> None:
    logp, y = labels(4)
    found = in_batches(NodeFigures("multilabel", 4), logp, y)
    scores = logp[:, 1].exp()
    for label in range(4):
        known = y[:, label] >= 0
        truth, score = y[known, label], scores[known, label]
        predicted = score >= 0.5
        assert found.of_classes["nodes"][label] == truth.sum()
        f1, precision = (float(found.of_classes[name][label]) for name in ("f1", "precision"))
        assert f1 == pytest.approx(sk.f1_score(truth, predicted), abs=1e-6)
        assert precision == pytest.approx(sk.precision_score(truth, predicted), abs=1e-6)
        area, average = (float(found.of_classes[name][label]) for name in ("roc_auc", "average_precision"))
        if label == 3:
            assert math.isnan(area)
            assert math.isnan(average)
        else:
            assert area == pytest.approx(sk.roc_auc_score(truth, score), abs=1e-6)
            assert average == pytest.approx(sk.average_precision_score(truth, score), abs=1e-6)
    assert found.means["roc_auc"] == pytest.approx(float(found.of_classes["roc_auc"][:3].mean()))
    assert found.confusion is None


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1_macro", "average_precision", "roc_auc"])
def test_a_metric_that_selects_is_the_figure_of_that_name(name: str) -> None:
    logp, y = judged(2)
    metric = make_metric(name, "multiclass", 2)
    for rows in torch.arange(len(y)).split(33):
        metric.update(metric_input(name, logp[rows], "multiclass"), y[rows])
    found = in_batches(NodeFigures("multiclass", 2), logp, y)
    expected = float((logp.argmax(1) == y).float().mean()) if name == "accuracy" else found.means[name]
    assert float(metric.compute()) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["f1_macro", "average_precision", "roc_auc"])
def test_a_metric_of_labels_that_selects_is_the_figure_of_that_name(name: str) -> None:
    logp, y = labels(3)
    metric = make_metric(name, "multilabel", 3)
    metric.update(metric_input(name, logp, "multilabel"), y.long())
    assert float(metric.compute()) == pytest.approx(in_batches(NodeFigures("multilabel", 3), logp, y).means[name])


def test_what_is_undefined_is_a_gap_in_the_record_and_the_files(tmp_path: Path) -> None:
    found = in_batches(
        NodeFigures("multiclass", 3), torch.eye(3)[[0, 0, 1]].clamp(min=0.01).log(), torch.zeros(3).long()
    )
    names = ("a", 'b, "c"', "d")
    record = json.loads(json.dumps(found.record(names), allow_nan=False))
    assert record["classes"][2] == {"name": "d", "nodes": 0, "precision": None, "recall": None, "f1": None}
    assert record["majority_share"] == 1
    classes, confusion = write_figures(tmp_path, found, names)
    with open(classes) as file:
        assert list(csv.reader(file))[3] == ["d", "0", "", "", ""]
    with open(confusion) as file:
        assert list(csv.reader(file))[:2] == [["class", *names], ["a", "2", "1", "0"]]


def test_the_table_has_its_metric_first_and_few_classes_alone() -> None:
    def printed(num_classes: int) -> list[str]:
        found = in_batches(NodeFigures("multiclass", num_classes), *judged(num_classes))
        names = tuple(f"class {number}" for number in range(num_classes))
        console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        print_figures(found, names, "f1_macro", found.means["f1_macro"], console)
        return console.export_text().splitlines()

    few, many = printed(10), printed(11)
    assert "macro F1 (its metric)" in few[2]
    assert sum("class 3" in line for line in few) == 1
    assert len(many) < 12
    assert not any("class 3" in line for line in many)
    assert any("average precision of 'class 1'" in line for line in printed(2))


def test_the_picture_has_a_count_for_each_cell_of_few_classes() -> None:
    figure = confusion_picture(torch.tensor([[5, 1], [0, 2]]), ("$a", "b" * 40))
    assert [text.get_text() for text in figure.axes[0].texts] == ["5", "1", "0", "2"]
    assert not confusion_picture(torch.eye(20).long(), [str(number) for number in range(20)]).axes[0].texts
    figure.canvas.draw()
