"""Losses and predictions of the two kinds of node task, in log space, also over several draws.

Letters: R draws, B nodes, C classes or labels.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, nll_loss

TaskName = Literal["multiclass", "multilabel"]
ClassWeights = Literal["balanced"]
THRESHOLD = 0.5
"""The least probability of a label that is predicted."""


def log_probabilities(logits: Tensor, task: TaskName) -> Tensor:
    """Log-probabilities [..., 2, C] of "no" and "yes" for multi-label, [..., C] of the classes otherwise.

    In at least float32, whatever autocast gave.
    """
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    if task == "multilabel":
        return torch.stack((logsigmoid(-logits), logsigmoid(logits)), dim=-2)
    return logits.log_softmax(-1)


def average_draws(log_probabilities_R: Tensor) -> Tensor:
    """Logarithm of the mean probability over the first dimension, R draws; at most 0, however it rounds."""
    return (log_probabilities_R.logsumexp(0) - math.log(log_probabilities_R.shape[0])).clamp(max=0)


def prior_offset(train: Tensor, target: Tensor, num_outputs: int, task: TaskName) -> Tensor:
    """What logits [C] gain by passing from the class frequencies of one set of nodes to those of another.

    Logits of the target's frequencies plus this offset are logits of the training nodes' frequencies: trained through
    it, a network predicts under the former (logit adjustment, arXiv 2007.07314). A multi-label task has an offset for
    each label's log-odds.

    Args:
        train, target: the labels of both sets, as for `node_loss`. Few target nodes move little: C nodes of the
            training frequencies are counted with them. What no training node is, or all are, has no offset.
        num_outputs: C.
        task: "multiclass" or "multilabel".
    """
    yes_train, yes_target = (_counts(y, num_outputs, task) for y in (train, target))
    num_train, num_target = (_known(y, task) for y in (train, target))
    share = torch.nan_to_num(yes_train / num_train)
    shifted = (yes_target + num_outputs * share) / (num_target + num_outputs)
    offset = share.logit() - shifted.logit() if task == "multilabel" else share.log() - shifted.log()
    return torch.where((share > 0) & (share < 1), offset, 0)


def _counts(y: Tensor, num_outputs: int, task: TaskName) -> Tensor:
    return (y == 1).sum(0).float() if task == "multilabel" else y.bincount(minlength=num_outputs).float()


def _known(y: Tensor, task: TaskName) -> Tensor | int:
    return (y >= 0).sum(0) if task == "multilabel" else len(y)


def balanced_weights(y: Tensor, num_outputs: int, task: TaskName) -> Tensor:
    """Weights [C] under which rare classes count as much as common ones.

    Of classes: the number of nodes over that of the class and over the number of classes that are there, so that the
    mean weight of the nodes is 1. Of several labels: the number of "no" over that of "yes", the weight of a "yes". What
    no node is, or all are, has the weight 1.

    Args:
        y: the training nodes' labels, as for `node_loss`.
        num_outputs: C.
        task: "multiclass" or "multilabel".
    """
    yes = _counts(y, num_outputs, task)
    if task == "multilabel":
        no = _known(y, task) - yes
        return torch.where((yes > 0) & (no > 0), no / yes.clamp(min=1), 1.0)
    return torch.where(yes > 0, yes.sum() / (yes.clamp(min=1) * (yes > 0).sum().clamp(min=1)), 1.0)


def node_loss(log_probabilities: Tensor, target: Tensor, task: TaskName, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy: over B nodes, or over those of the B * C binary labels that are known; 0 for no node.

    The mean is over their number, not over their weights: so it is the same however nodes are shared out to batches.

    Args:
        log_probabilities: as `log_probabilities` gives them.
        target: [B] int64 classes, or [B, C] float labels in {0, 1}, -1 where not known.
        weights: [C] of the classes, or of each label's "yes"; None: all 1.
    """
    if task == "multilabel":
        no, yes = log_probabilities.unbind(-2)
        known = target >= 0
        yes = yes if weights is None else weights * yes
        return -torch.where(known, target * yes + (1 - target) * no, 0).sum() / known.sum().clamp(min=1)
    return nll_loss(log_probabilities, target, weights, reduction="sum") / max(1, target.numel())


def class_probabilities(log_probabilities: Tensor, task: TaskName) -> Tensor:
    """Probabilities [..., C] in [0, 1] of the classes, or for multi-label of each label's "yes"."""
    chosen = log_probabilities.select(-2, 1) if task == "multilabel" else log_probabilities
    return chosen.exp().clamp(max=1)


def positive_scores(log_probabilities: Tensor, task: TaskName) -> Tensor:
    """What a ranking metric ranks: [B, C] for multi-label, [B] (class 1 against 0) for two classes.

    Probabilities, from the log-odds and in float64: float32 has the same one, 1, for all log-odds above 17, whose order
    would be lost. None leaves [0, 1]: torchmetrics would take the whole update for logits.
    """
    no, yes = log_probabilities.unbind(-2 if task == "multilabel" else -1)
    return (yes.double() - no.double()).sigmoid()
