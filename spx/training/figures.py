"""All figures by which a test judges a network, beside the one that selects checkpoints. By torchmetrics.

Letters: B nodes, C classes or labels.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryCalibrationError,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
    MulticlassStatScores,
    MultilabelF1Score,
    MultilabelPrecision,
    MultilabelRecall,
    MultilabelStatScores,
)

from spx.nn.objectives import TaskName, class_probabilities, positive_scores
from spx.training.metrics import NOT_KNOWN, make_metric, predicted_labels

MOST_CLASSES = 1000
"""Beyond them there is no confusion matrix, whose size is their square."""
NUM_BINS = 15
"""Of the expected calibration error."""


@dataclass(frozen=True)
class Figures:
    """What a test found; a figure that is undefined is nan.

    Args:
        num_nodes: judged.
        means: by name: `majority_share` (the largest class's share of the nodes), `balanced_accuracy`, `f1_macro`,
            `average_precision` and `roc_auc` as far as the task has them, `calibration_error` (expected, over 15 bins
            of confidence), and with a temperature `calibration_error_before`.
        of_classes: [C] each, by name: `nodes` (that are of the class), `precision`, `recall`, `f1`, and for several
            labels `average_precision` and `roc_auc`.
        confusion: [C, C] int64, nodes of the row's class that are taken for the column's; None for several labels, and
            for more than 1,000 classes.
    """

    num_nodes: int
    means: dict[str, float]
    of_classes: dict[str, Tensor]
    confusion: Tensor | None = None

    def record(self, class_names: tuple[str, ...]) -> dict[str, Any]:
        """For JSON, which knows no nan."""
        columns = {name: [_plain(value) for value in values.tolist()] for name, values in self.of_classes.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        classes = [{"name": name, **row} for name, row in zip(class_names, rows, strict=True)]
        means = {name: _plain(value) for name, value in self.means.items()}
        return {"num_nodes": self.num_nodes, **means, "classes": classes}


def _plain(value: float) -> float | None:
    return value if value == value else None


def calibration_error(task: TaskName, num_outputs: int) -> Metric:
    """The expected calibration error of the predicted class's probability [B, C], or of each label's "yes" [B * C]."""
    if task == "multilabel":
        return BinaryCalibrationError(NUM_BINS, ignore_index=NOT_KNOWN, validate_args=False)
    return MulticlassCalibrationError(num_outputs, NUM_BINS, validate_args=False)


class NodeFigures(nn.Module):
    """Metrics over batches and ranks, updated with what `NodeTask` judges.

    Args:
        task: "multiclass" or "multilabel".
        num_outputs: C.
    """

    def __init__(self, task: TaskName, num_outputs: int):
        super().__init__()
        self.task: TaskName = task
        self.num_outputs, self._compared = num_outputs, False
        several = task == "multilabel"
        stats, precision, recall, f1 = (
            (MultilabelStatScores, MultilabelPrecision, MultilabelRecall, MultilabelF1Score)
            if several
            else (MulticlassStatScores, MulticlassPrecision, MulticlassRecall, MulticlassF1Score)
        )
        settings: dict[str, Any] = {"average": "none", "validate_args": False}
        settings |= {"ignore_index": NOT_KNOWN} if several else {}
        counts: dict[str, Metric] = {
            name: kind(num_outputs, **settings)
            for name, kind in (("stats", stats), ("precision", precision), ("recall", recall), ("f1", f1))
        }
        means = ("f1_macro",) if several else ("balanced_accuracy", "f1_macro")
        counts |= {name: make_metric(name, task, num_outputs) for name in means}
        ranked = ("average_precision", "roc_auc") if several or num_outputs == 2 else ()
        groups = [list(counts)]
        if not several and num_outputs <= MOST_CLASSES:
            counts["confusion"] = MulticlassConfusionMatrix(num_outputs, validate_args=False)
            groups.append(["confusion"])
        self.counts = MetricCollection(counts, compute_groups=groups)
        rankings = {name: make_metric(name, task, num_outputs) for name in ranked}
        self.rankings = MetricCollection(rankings, compute_groups=[list(ranked)] if ranked else False)
        errors = {name: calibration_error(task, num_outputs) for name in ("after", "before")}
        self.calibration = nn.ModuleDict(errors)

    def update(self, logp: Tensor, y: Tensor, before: Tensor | None = None) -> None:
        """Take in B nodes, maybe none: a rank may have no node, but has to take part.

        Args:
            logp: log-probabilities as `spx.nn.objectives.log_probabilities` gives them.
            y: [B] classes or [B, C] labels.
            before: log-probabilities without the temperature that calibrates them; None: there is none.
        """
        target = y.long()
        several = self.task == "multilabel"
        if y.shape[0]:
            self.counts.update(predicted_labels(logp) if several else logp, target)
        if len(self.rankings):
            self.rankings.update(positive_scores(logp, self.task), target)
        self._compared = before is not None
        for name, given in (("after", logp), ("before", before)):
            if given is not None:
                probabilities = class_probabilities(given, self.task)
                pair = (probabilities.flatten(), target.flatten()) if several else (probabilities, target)
                self.calibration[name].update(*pair)

    def compute(self) -> Figures:
        """Over all batches and ranks, which all have to call it."""
        counts, rankings = self.counts.compute(), self.rankings.compute() if len(self.rankings) else {}
        tp, fp, tn, fn, support = counts["stats"].reshape(self.num_outputs, 5).long().cpu().unbind(1)
        defined = {"precision": tp + fp > 0, "recall": support > 0, "f1": tp + fp + fn > 0}
        of_classes = {"nodes": support}
        for name, where in defined.items():
            of_classes[name] = torch.where(where, counts[name].reshape(-1).cpu(), torch.nan)
        num_nodes = int((tp + fp + tn + fn).max())
        means: dict[str, Tensor | float] = {}
        if self.task == "multilabel":
            of_classes |= {name: metric.of_labels().cpu() for name, metric in self.rankings.items()}
        else:
            means["majority_share"] = float(support.max()) / num_nodes if num_nodes else torch.nan
        means |= {name: counts[name] for name in ("balanced_accuracy", "f1_macro") if name in counts}
        means |= {name: rankings[name] for name in ("average_precision", "roc_auc") if name in rankings}
        means["calibration_error"] = self.calibration["after"].compute()
        if self._compared:
            means["calibration_error_before"] = self.calibration["before"].compute()
        confusion = counts["confusion"].long().cpu() if "confusion" in counts else None
        return Figures(num_nodes, {name: float(value) for name, value in means.items()}, of_classes, confusion)

    def reset(self) -> None:
        """Forget all nodes."""
        for metric in (self.counts, self.rankings, *self.calibration.values()):
            metric.reset()
