"""What a network has to beat, judged on the same test nodes by the same metric."""

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spx.datasets import NodeDataset
from spx.datasets.checks import row_chunks
from spx.training.metrics import make_metric, metric_input

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

MOST_ROWS, MOST_CELLS = 50_000, 20_000_000
"""Training nodes, and numbers among their features, that a logistic regression is fitted on: of more a random part."""
MOST_LABELS = 50
"""Regressions that are worth the time, where there are several labels."""
LEAST = 1e-12
"""Probability of a class that no training node has."""


def majority_value(dataset: NodeDataset, metric: str) -> float:
    """Of always naming the training nodes' frequencies; nan where undefined."""
    return _value(dataset, metric, _frequencies(dataset, dataset.split.train).expand(len(dataset.split.test), -1))


def chance_value(dataset: NodeDataset, metric: str) -> float:
    """The most that one answer for all validation nodes reaches on them, their own frequencies: what a network that
    learned nothing can be chosen by. nan where undefined."""
    nodes = dataset.split.val
    return _value(dataset, metric, _frequencies(dataset, nodes).expand(len(nodes), -1), nodes)


def features_value(dataset: NodeDataset, metric: str, balanced: bool, seed: int = 0) -> float | None:
    """Of scikit-learn's logistic regression on standardised features, without any edge; None where it isn't tried.

    Args:
        dataset: whose training nodes it is fitted on.
        metric: by which it is judged on the test nodes.
        balanced: whether rare classes count as much as common ones.
        seed: of the part of many training nodes.
    """
    nodes = dataset.split.train
    most = max(2, min(MOST_ROWS, MOST_CELLS // max(1, dataset.num_features)))
    if len(nodes) > most:
        nodes = nodes[torch.randperm(len(nodes), generator=torch.Generator().manual_seed(seed))[:most]].sort().values
    x, y, test = dataset.x[nodes].numpy(), dataset.y[nodes], dataset.split.test
    if dataset.task == "multiclass":
        return _value(dataset, metric, _fitted_shares(x, y, dataset, test, dataset.num_classes, balanced))
    if dataset.num_classes > MOST_LABELS:
        return None
    columns = []
    for label in range(dataset.num_classes):
        known = (y[:, label] >= 0).numpy()
        shares = _fitted_shares(x[known], y[known, label].long(), dataset, test, 2, balanced)
        columns.append(shares[:, 1])
    return _value(dataset, metric, torch.stack(columns, 1))


def _fitted_shares(x, y: Tensor, dataset: NodeDataset, test: Tensor, num_classes: int, balanced: bool) -> Tensor:
    """Probabilities [B, C] of the test nodes."""
    classes = y.unique()
    if len(classes) < 2:
        return torch.nn.functional.one_hot(classes, num_classes).float().expand(len(test), -1)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(max_iter=300, class_weight="balanced" if balanced else None)
    model: ClassifierMixin = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is a baseline, near its end or not
        model.fit(x, y.numpy())
    rows = max(1, len(next(iter(row_chunks(dataset.x)))))
    found = [torch.from_numpy(model.predict_proba(dataset.x[part].numpy())) for part in test.split(rows)]
    return torch.zeros(len(test), num_classes, dtype=torch.float64).index_copy_(1, classes, torch.cat(found).double())


def _frequencies(dataset: NodeDataset, nodes: Tensor) -> Tensor:
    """Of the classes or labels among the nodes, [C]."""
    y = dataset.y[nodes]
    if dataset.task == "multilabel":
        return (y == 1).sum(0) / (y >= 0).sum(0).clamp(min=1)
    return y.bincount(minlength=dataset.num_classes) / max(1, len(y))


def _value(dataset: NodeDataset, metric: str, shares: Tensor, nodes: Tensor | None = None) -> float:
    """Of probabilities [B, C] of the nodes, by default those of the test."""
    nodes = dataset.split.test if nodes is None else nodes
    shares = shares.double().clamp(LEAST, 1 - LEAST)
    logp = torch.stack((1 - shares, shares), -2).log() if dataset.task == "multilabel" else shares.log()
    judge = make_metric(metric, dataset.task, dataset.num_classes)
    judge.update(metric_input(metric, logp, dataset.task), dataset.y[nodes].long())
    return float(judge.compute())
