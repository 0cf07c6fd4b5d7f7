"""The split in columns of a table: one column of words or numbers, or a mask for each part."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spx.datasets.own.error_words import listed, shown
from spx.datasets.types import Split
from spx.errors import DatasetError

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

PARTS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
}
MASKS = {f"{word}_mask": part for word, part in PARTS.items()}
_NUMBERS = ("train", "val", "test")


def find_masks(names: Iterable[str]) -> dict[str, str]:
    """The columns that are masks, each with its part: "Train_Mask" of "train"."""
    return {name: MASKS[name.lower()] for name in names if name.lower() in MASKS}


def masks_of(nodes: "polars.DataFrame", masks: dict[str, str], words: str | None, what: str) -> Split | None:
    """Train, validation and test, each [1, N] bool, as the columns have them; None if there are none.

    masks  as of `find_masks`
    words  the column that holds the parts' names or numbers; None: there is none
    what   the file that errors name
    Raises DatasetError for a split that is given twice or in part, and for other cells than the split's.
    """
    if not masks:
        return None if words is None else _of_words(nodes[words], f"{what}: column {words!r}")
    if words is not None:
        raise DatasetError(f"{what} has the column {words!r} and {listed(masks)}: keep one kind")
    parts = list(masks.values())
    if len(set(parts)) < len(parts) or not {"train", "test"} <= set(parts):
        raise DatasetError(
            f"{what} has {listed(masks)}: it needs train_mask and test_mask, once each, and may have val_mask. Add or "
            "rename them, or leave all out"
        )
    logger.warning("%s: the columns %s are taken as the split", what, listed(masks))
    found = {part: _mask(nodes[name], f"{what}: column {name!r}") for name, part in masks.items()}
    none = torch.zeros(1, nodes.height, dtype=torch.bool)
    return Split(*(found.get(part, none) for part in Split._fields))


def _mask(column: "polars.Series", what: str) -> Tensor:
    """[1, N] bool; a missing cell is false."""
    import polars

    text = column.cast(polars.String).str.to_lowercase()
    flags = text.replace_strict(
        {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False},
        default=None,
        return_dtype=polars.Boolean,
    )
    strange = column.filter(flags.is_null() & column.is_not_null())
    if len(strange):
        raise DatasetError(f"{what} holds {shown(strange[0])}: write true or false for each node")
    return torch.from_numpy(flags.fill_null(False).to_numpy().copy())[None]


def _of_words(column: "polars.Series", what: str) -> Split:
    import polars

    parts = column.cast(polars.String).str.to_lowercase().str.replace(r"^(\d+)[.,]0*$", "$1")
    held = set(parts.drop_nulls().unique())
    known = PARTS
    if held and held <= {"0", "1", "2"}:
        if "2" not in held:
            raise DatasetError(
                f"{what} holds {listed(sorted(held))} alone, and it can't be told which parts these are: write train, "
                "val or test"
            )
        known = {str(number): part for number, part in enumerate(_NUMBERS)}
        logger.warning("%s: 0, 1, 2 are taken as train, val, test", what)
    strange = sorted(held - known.keys())
    if strange:
        raise DatasetError(
            f"{what} holds {listed(strange)}: write train, val or test, or leave the cell empty for a node in no part"
        )
    parts = parts.replace(known).fill_null("")
    return Split(*(torch.from_numpy((parts == part).to_numpy().copy())[None] for part in _NUMBERS))
