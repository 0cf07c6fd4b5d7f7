"""What is left out of the terminal, and what isn't."""

import logging

import pytest

from spx.quiet import less_noise


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("GPU available: False, used: False", False),
        ("\U0001f4a1 Tip: For seamless cloud logging", False),
        ("`Trainer.fit` stopped: `max_epochs=3` reached.", False),
        ("Restoring states from the checkpoint path at a.ckpt", False),
        ("Run: lightning_logs/actor/wide/version_0, best val/accuracy 0.4 in epoch 3 of 9, 3 s", True),
        ("Attention scores of epoch 3 handed over: scores.safetensors", True),
    ],
)
def test_lines_that_a_user_can_do_nothing_about_are_left_out(message: str, shown: bool, caplog) -> None:
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    before = list(logger.filters)
    try:
        less_noise()
        with caplog.at_level(logging.INFO, logger.name):
            logger.info(message)
    finally:
        logger.filters = before
    assert (message in caplog.messages) == shown
