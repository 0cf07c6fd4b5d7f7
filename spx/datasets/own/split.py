"""The split of a user's graph: the one its files hold, or one that is drawn."""

import logging
import math

from torch import Tensor

from spx.datasets.own.graph import OwnGraph
from spx.datasets.own.settings import DEFAULT_SHARES, OwnSettings
from spx.datasets.splits import random_split, stratified_split
from spx.datasets.types import Split
from spx.errors import DatasetError

logger = logging.getLogger(__name__)


def choose_split(graph: OwnGraph, number: int, settings: OwnSettings) -> Split:
    """Split `number` of the files, if they hold splits; else a draw among the labelled nodes, with `number` as seed.

    Raises DatasetError for a number that the files don't hold, a part that is empty, unlabelled nodes in a part that
    the files fix, and shares that are no shares.
    """
    if graph.masks is None:
        return _drawn(graph, number, settings)
    if settings.shares != DEFAULT_SHARES:
        logger.warning("--data.shares is not used: the graph's files hold a split")
    return _fixed(graph.masks, graph.labels.labelled, number)


def _fixed(masks: Split, labelled: Tensor, number: int) -> Split:
    num_splits = masks.train.size(0)
    if number >= num_splits:
        count = "1 split, number 0" if num_splits == 1 else f"{num_splits} splits, 0 to {num_splits - 1}"
        raise DatasetError(f"split {number}: its files hold {count}. Set --data.split to one of them")
    for part, mask in zip(Split._fields, masks, strict=True):
        size, unlabelled = int(mask[number].sum()), int((mask[number] & ~labelled).sum())
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
    return Split(*(mask[number].nonzero().flatten() for mask in masks))


def _drawn(graph: OwnGraph, seed: int, settings: OwnSettings) -> Split:
    shares = settings.shares
    if len(shares) != 3 or not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1.0):
        raise DatasetError(
            f"--data.shares {list(shares)} must be three numbers above 0 with the sum 1, such as {list(DEFAULT_SHARES)}"
        )
    labels = graph.labels
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
