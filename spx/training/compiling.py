"""torch.compile as a setting of any run."""

from lightning import Callback, LightningModule, Trainer

from spx.nn.compiled import check_compiler, compile_layers


class CompiledLayers(Callback):
    """Compiles the network's hidden and Transformer layers by `torch.compile`. Does nothing for a baseline.

    Checkpoints and exports are those of the network as it is: they can be loaded without, and the other way round.

    Args:
        enabled: whether it does. The first epoch then waits for the compiler, which takes up to minutes.
    """

    def __init__(self, enabled: bool = False):
        self.enabled = enabled

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Before the first step of fit, of test and so on.

        Raises:
            ConfigError: there is no compiler that torch could use.
        """
        if self.enabled and stage == "fit" and compile_layers(pl_module.network):
            check_compiler(trainer.strategy.root_device)
