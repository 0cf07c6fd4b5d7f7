"""The split of a user's graph: the one its files hold, or one that is drawn."""

import logging
import math

import torch
from torch import Tensor

from spx.datasets.own.labels import Labels
from spx.datasets.own.settings import DEFAULT_SHARES, OwnSettings
from spx.datasets.splits import Shares, random_split, stratified_split
from spx.datasets.types import Split
from spx.errors import DatasetError

logger = logging.getLogger(__name__)


def choose_split(masks: Split | None, labels: Labels, number: int, settings: OwnSettings) -> Split:
    """Split `number` of the files, if they hold splits; else a draw among the labelled nodes, with `number` as seed.

    masks  train, validation and test, each [S, N] bool; None: the files hold no split
    Where nodes are only predicted (`OwnSettings.classes`) the parts are empty. Files without validation nodes get some
    of their training nodes, drawn with `number` as seed.
    Raises DatasetError for a number that the files don't hold, a part that is empty, unlabelled nodes in a part that
    the files fix, and shares that are no shares.
    """
    if settings.classes is not None:
        return Split(*(torch.zeros(0, dtype=torch.int64) for _ in Split._fields))
    if masks is None:
        return _drawn(labels, number, settings)
    _check_number(masks, number)
    masks = Split(*(mask[number] for mask in masks))
    if not masks.val.any() and masks.train.any() and masks.test.any():
        return _with_validation(masks, labels, number, settings)
    if settings.shares != DEFAULT_SHARES:
        logger.warning("--data.shares is not used: the graph's files hold a split")
    return _fixed(masks, labels.labelled)


def split_origin(masks: Split | None, labels: Labels, number: int, settings: OwnSettings) -> str:
    """Where the split of `choose_split` is from, in words."""
    if settings.classes is not None:
        return "none: nodes are only predicted"
    train, val, _ = settings.shares
    stratified = settings.stratify and labels.task == "multiclass"
    how = "in each class" if stratified else "over all labelled nodes"
    if masks is None:
        shares = ", ".join(f"{share:.4g}" for share in settings.shares)
        return f"drawn at random {how}, shares {shares} (--data.shares), seed {number} (--data.split)"
    num_splits = masks.train.size(0)
    given = "given by the files" + (f", number {number} of {num_splits} (from 0)" if num_splits > 1 else "")
    if masks.val[number].any():
        return given
    share = val / (train + val)
    return f"{given}; validation: {share:.4g} of their training nodes, drawn at random {how}, seed {number}"


def _check_number(masks: Split, number: int) -> None:
    num_splits = masks.train.size(0)
    if number >= num_splits:
        count = "1 split, number 0" if num_splits == 1 else f"{num_splits} splits, 0 to {num_splits - 1}"
        raise DatasetError(f"split {number}: its files hold {count}. Set --data.split to one of them")


def _fixed(masks: Split, labelled: Tensor) -> Split:
    """The parts [N] bool as node numbers."""
    for part, mask in zip(Split._fields, masks, strict=True):
        size, unlabelled = int(mask.sum()), int((mask & ~labelled).sum())
        if size == 0:
            raise DatasetError(
                f"no node is in the {part} part of its split: put nodes in each part, or leave the split out of the "
                "files, and one is drawn"
            )
        if unlabelled:
            raise DatasetError(
                f"{unlabelled} of the {size} nodes in the {part} part have no label: leave them out of all parts, "
                "or label them"
            )
    return Split(*(mask.nonzero().flatten() for mask in masks))


def _with_validation(masks: Split, labels: Labels, seed: int, settings: OwnSettings) -> Split:
    """The files' training and test nodes [N] bool, with some of the training nodes for validation: as many of them as
    the share of validation is of training and validation."""
    _check_shares(settings.shares)
    share = settings.shares[1] / (settings.shares[0] + settings.shares[1])
    shares = (1 - share, share, 0.0)
    training = masks.train & labels.labelled
    if settings.stratify and labels.task == "multiclass":
        split = stratified_split(torch.where(training, labels.y, -1), shares, seed)
    else:
        split = random_split(training.nonzero().flatten(), shares, seed)
    if not split.val.numel():
        raise DatasetError(
            f"no node is in the val part of its split, and {share:.0%} of its {int(training.sum())} training nodes are "
            "none (a class of one node only trains): put nodes in each part, or choose other --data.shares"
        )
    logger.warning(
        "The files' split has no validation nodes: %d of its %d training nodes are drawn for it (%.0f%%, by "
        "--data.shares; seed %d)",
        *(split.val.numel(), int(training.sum()), 100 * share, seed),
    )
    val = torch.zeros_like(masks.train).index_fill_(0, split.val, True)
    return _fixed(Split(masks.train & ~val, val, masks.test), labels.labelled)


def _check_shares(shares: Shares) -> None:
    if len(shares) != 3 or not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1.0):
        raise DatasetError(
            f"--data.shares {list(shares)} must be three numbers above 0 with the sum 1, such as {list(DEFAULT_SHARES)}"
        )


def _drawn(labels: Labels, seed: int, settings: OwnSettings) -> Split:
    shares = settings.shares
    _check_shares(shares)
    if settings.stratify and labels.task == "multiclass":
        split = stratified_split(labels.y, shares, seed)
    else:
        split = random_split(labels.labelled.nonzero().flatten(), shares, seed)
    for part, nodes in split._asdict().items():
        if nodes.numel() == 0:
            raise DatasetError(
                f"the {part} part would be empty: its shares {list(shares)} of {int(labels.labelled.sum())} labelled "
                "nodes leave it none (a class of one node only trains). Label more nodes, or change --data.shares"
            )
    return split
