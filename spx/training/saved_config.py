"""What a run was asked for, written into its folder."""

from lightning import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from spx.errors import ConfigError
from spx.files import reason, replacing
from spx.run_folder import CONFIG_FILE, own_run_folder

OF_ONE_COMMAND = {"version": None, "resume": False, "ckpt_path": None}
"""Settings that a file is left without, so that it starts a new run if it is used again."""


class SavedConfig(SaveConfigCallback):
    """Writes `config.yaml` into the run's folder, whichever loggers there are. A fit that goes on with other settings,
    such as more epochs, writes them in place of the old ones, once its checkpoint has been accepted."""

    _written = False

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """On rank zero, before any work: where there is none yet.

        Raises:
            ConfigError: the file can't be written.
        """
        if not (own_run_folder(trainer) / CONFIG_FILE).exists():
            self._write(trainer)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Of a fit that goes on, whose checkpoint is restored by now.

        Raises:
            ConfigError: the file can't be written.
        """
        if trainer.is_global_zero and not self._written:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        config = self.config.clone()
        for name, value in OF_ONE_COMMAND.items():
            if name in config:
                config[name] = value
        path = own_run_folder(trainer) / CONFIG_FILE
        try:
            with replacing(path) as temporary:
                temporary.write_text(self.parser.dump(config, skip_none=False))
        except OSError as error:
            raise ConfigError(f"{path} can't be written: {reason(error)}. Free space, or choose --runs_dir.") from error
        self._written = True
