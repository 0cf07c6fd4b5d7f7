"""The metrics that select checkpoints and are reported: torchmetrics' own, but nan where they are undefined."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassRecall,
    MultilabelAUROC,
    MultilabelAveragePrecision,
    MultilabelF1Score,
)
from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision
from torchmetrics.utilities import dim_zero_cat

from spx.datasets.types import RANKED
from spx.errors import ConfigError
from spx.nn.objectives import THRESHOLD, TaskName, positive_scores

NOT_KNOWN = -1
"""Stands for one of several labels of a node that isn't known."""


def make_metric(name: str, task: TaskName, num_outputs: int) -> Metric:
    """The torchmetrics object of one of `spx.datasets.types.Metric`; its value is nan where it is undefined.

    Raises:
        ConfigError: a ranking asked for more than two classes, a metric that several labels don't have, or an unknown
            name.
    """
    if task == "multilabel":
        several = {"roc_auc": LabelsAUROC, "average_precision": LabelsAveragePrecision, "f1_macro": LabelsF1}
        if name in several:
            return several[name](num_outputs, ignore_index=NOT_KNOWN)
    elif num_outputs == 2 and name in RANKED:
        return ClassAUROC() if name == "roc_auc" else ClassAveragePrecision()
    elif name == "accuracy":
        return NodeAccuracy(num_outputs, average="micro")
    elif name == "balanced_accuracy":
        return BalancedAccuracy(num_outputs, average="none")
    elif name == "f1_macro":
        return MacroF1(num_outputs, average="macro")
    raise ConfigError(f"The metric '{name}' doesn't suit a {task} task of {num_outputs} outputs.")


class NodeAccuracy(MulticlassAccuracy):
    """Share of the nodes whose class is right; nan over no node, where torchmetrics has 0."""

    def compute(self) -> Tensor:
        """[] float32."""
        value = super().compute()
        return torch.where((self.tp + self.fn).sum() > 0, value, torch.nan)


class BalancedAccuracy(MulticlassRecall):
    """Mean over the classes that some nodes have of the share of their nodes whose class is right; nan over no node.

    torchmetrics' macro accuracy counts a class as 0 that no node has and some node is taken for.
    """

    def compute(self) -> Tensor:
        """[] float32."""
        return super().compute()[self.tp + self.fn > 0].mean()


class MacroF1(MulticlassF1Score):
    """Mean F1 over the classes that are there or predicted; nan over no node."""

    def compute(self) -> Tensor:
        """[] float32."""
        value = super().compute()
        return torch.where((self.tp + self.fn).sum() > 0, value, torch.nan)


class ClassAUROC(BinaryAUROC):
    """ROC-AUC of two classes; nan where the nodes are all of one, where torchmetrics has 0."""

    def compute(self) -> Tensor:
        """[] float32."""
        target = dim_zero_cat(self.target)
        return super().compute() if has_both_classes(target) else torch.full((), torch.nan, device=target.device)


class ClassAveragePrecision(BinaryAveragePrecision):
    """Average precision of class 1 of two; nan where the nodes are all of one."""

    def compute(self) -> Tensor:
        """[] float32."""
        target = dim_zero_cat(self.target)
        return super().compute() if has_both_classes(target) else torch.full((), torch.nan, device=target.device)


class LabelsAUROC(MultilabelAUROC):
    """Mean ROC-AUC over the labels that some nodes have and some don't; nan where there is none.

    torchmetrics counts the others as 0. OGB's evaluator of ogbn-proteins leaves them out, too.
    """

    def compute(self) -> Tensor:
        """[] float32."""
        return self.of_labels().nanmean()

    def of_labels(self) -> Tensor:
        """[C] float32, nan where undefined."""
        return _of_defined(multilabel_auroc, self)


class LabelsAveragePrecision(MultilabelAveragePrecision):
    """Mean average precision over the labels that some nodes have and some don't; nan where there is none."""

    def compute(self) -> Tensor:
        """[] float32."""
        return self.of_labels().nanmean()

    def of_labels(self) -> Tensor:
        """[C] float32, nan where undefined."""
        return _of_defined(multilabel_average_precision, self)


class LabelsF1(MultilabelF1Score):
    """Mean F1 over the labels that some nodes have or are predicted to have; nan where there is none."""

    def __init__(self, num_labels: int, ignore_index: int | None = None):
        super().__init__(num_labels, average="none", ignore_index=ignore_index)

    def compute(self) -> Tensor:
        """[] float32."""
        return super().compute()[self.tp + self.fp + self.fn > 0].mean()


def metric_input(name: str, logp: Tensor, task: TaskName) -> Tensor:
    """What the metric `name` is updated with, from log-probabilities as `log_probabilities` gives them."""
    if name in RANKED:
        return positive_scores(logp, task)
    return predicted_labels(logp) if task == "multilabel" else logp


def predicted_labels(logp: Tensor) -> Tensor:
    """[B, C] int64 of 0 and 1: of several labels those of probability 0.5 or more."""
    return (positive_scores(logp, "multilabel") >= THRESHOLD).long()


def _of_defined(function, metric: LabelsAUROC | LabelsAveragePrecision) -> Tensor:
    """The function of torchmetrics' for each label that it is defined for, [C] float32, nan for the others."""
    scores, target = dim_zero_cat(metric.preds), dim_zero_cat(metric.target)
    defined = has_both_classes(target)
    values = torch.full(defined.shape, torch.nan, device=target.device)
    if defined.any():
        settings = {"average": "none", "ignore_index": metric.ignore_index, "validate_args": False}
        scores, target = scores[:, defined], target[:, defined]
        values[defined] = function(scores, target, int(defined.sum()), **settings).float()
    return values


def has_both_classes(target: Tensor) -> Tensor:
    """Whether a ranking metric is defined: [] bool for labels [B] of 0 and 1, [C] bool for [B, C]."""
    return (target == 1).any(0) & (target == 0).any(0) if target.shape[0] else target.new_zeros(target.shape[1:]).bool()
