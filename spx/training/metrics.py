"""The metrics that select checkpoints and are reported: torchmetrics' own, but nan where they are undefined."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy, MultilabelAUROC
from torchmetrics.functional.classification import multilabel_auroc
from torchmetrics.utilities import dim_zero_cat

from spx.errors import ConfigError
from spx.nn.objectives import TaskName

NOT_KNOWN = -1
"""Stands for one of several labels of a node that isn't known."""


def make_metric(name: str, task: TaskName, num_outputs: int) -> Metric:
    """The torchmetrics object of "accuracy" or "roc_auc"; its value is nan where it is undefined.

    Raises:
        ConfigError: ROC-AUC asked for more than two classes, accuracy for several labels, or an unknown name.
    """
    if name == "roc_auc" and task == "multilabel":
        return LabelsAUROC(num_outputs, ignore_index=NOT_KNOWN)
    if name == "roc_auc" and num_outputs == 2:
        return ClassAUROC()
    if name == "accuracy" and task == "multiclass":
        return NodeAccuracy(num_outputs, average="micro")
    raise ConfigError(f"The metric '{name}' doesn't suit a {task} task of {num_outputs} outputs.")


class NodeAccuracy(MulticlassAccuracy):
    """Share of the nodes whose class is right; nan over no node, where torchmetrics has 0."""

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


class LabelsAUROC(MultilabelAUROC):
    """Mean ROC-AUC over the labels that some nodes have and some don't; nan where there is none.

    torchmetrics counts the others as 0. OGB's evaluator of ogbn-proteins leaves them out, too.
    """

    def compute(self) -> Tensor:
        """[] float32."""
        scores, target = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        defined = has_both_classes(target)
        if not defined.any():
            return torch.full((), torch.nan, device=target.device)
        scores, target = scores[:, defined], target[:, defined]
        return multilabel_auroc(scores, target, int(defined.sum()), ignore_index=self.ignore_index, validate_args=False)


def has_both_classes(target: Tensor) -> Tensor:
    """Whether a ranking metric is defined: [] bool for labels [B] of 0 and 1, [C] bool for [B, C]."""
    return (target == 1).any(0) & (target == 0).any(0) if target.shape[0] else target.new_zeros(target.shape[1:]).bool()
