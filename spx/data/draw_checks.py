"""What a Trainer has to be for graphs that are drawn anew, told before any work."""

import lightning as L

from spx.errors import ConfigError


def check_trainer(trainer: L.Trainer, k: list[int], batch_size: int | None, fits: bool) -> None:
    """Refuse a network of another depth, a Trainer that would keep the first graph, and batches too small for it.

    Args:
        trainer: of the run, with its network.
        k: sampled degree of each layer.
        batch_size: core nodes of a batch on all devices together.
        fits: whether it is to train.

    Raises:
        ConfigError: one of these.
    """
    layers = trainer.lightning_module.num_layers
    if len(k) != layers:
        raise ConfigError(f"k is {k}, of length {len(k)}, but the network has {layers} layers. Give one for each.")
    if fits and trainer.reload_dataloaders_every_n_epochs != 1:
        raise ConfigError(
            "The Trainer would keep the first epoch's sampled graph. Set reload_dataloaders_every_n_epochs=1; "
            "resample_every then sets how often the graph is drawn."
        )
    if batch_size is not None and batch_size < trainer.world_size:
        raise ConfigError(
            f"batch_size is {batch_size}, the core nodes of a batch on all {trainer.world_size} devices together: some "
            "would have none. Raise it."
        )
