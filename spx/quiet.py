"""What other packages say that a user of `spx` can do nothing about is left out."""

import logging
import warnings

UNWANTED = (
    "Tip:",
    "GPU available:",
    "TPU available:",
    "HPU available:",
    "`Trainer.fit` stopped:",  # the line after it says what was reached
    "Restoring states from the checkpoint path",
    "Restored all states from the checkpoint",
    "Loaded model weights from the checkpoint",
    "Initializing distributed:",
    "-----",  # of a banner over several lines
)
"""Beginnings of Lightning's lines."""
UNWANTED_WARNINGS = (
    ".*isinstance.treespec, LeafSpec.*",
    ".*does not have many workers.*",
    ".*recommended to use `self.log.*sync_dist=True.*",
    "The dirpath has changed from .*",  # a run that goes on under another name is looked after by its callback
    "Checkpoint directory .* exists and is not empty",
    "Sparse CSR tensor support is in beta state.*",  # of a baseline's adjacency matrix
)


def less_noise() -> None:
    """Leave it out in this process."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.distributed"):
        logging.getLogger(name).addFilter(_is_wanted)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # drawn by nobody: imported by torchmetrics
    for message in UNWANTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def _is_wanted(record: logging.LogRecord) -> bool:
    words = str(record.msg).lstrip()
    return "Tip:" not in words and not words.startswith(UNWANTED)
