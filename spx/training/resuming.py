"""What a run needs so that it can be killed at any moment and go on as if nothing had happened."""

import contextlib
import io
import shlex
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_info

from spx.errors import ConfigError
from spx.files import reason, replacing
from spx.run_folder import LAST_CHECKPOINT, LOCK_FILE, run_folder
from spx.torch_files import check_checkpoint

TENSORBOARD_FILES = "events.out.tfevents."


class WholeFileIO(TorchCheckpointIO):
    """Checkpoints that are whole or not there, and that are read without unpickling objects.

    Lightning's own writes into the system's temporary folder and copies from there where that is another disk: killed
    in the middle of it, the old checkpoint is gone and the new one cut off.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            ConfigError: the disk is full, or the folder can't be written; an older checkpoint stays as it is.
        """
        content = io.BytesIO()  # torch.save into a file hides why it could not write
        torch.save(checkpoint, content)
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(content.getbuffer())
        except OSError as error:
            raise ConfigError(
                f"The checkpoint {path} can't be written: {reason(error)}. Free space, then go on with: "
                f"spx resume {Path(path).parents[1]}"
            ) from error

    def load_checkpoint(self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True) -> Any:
        """Read tensors and plain values, whatever `weights_only` says.

        Raises:
            ArtifactError: a checksum of the file is wrong.
        """
        check_checkpoint(path)
        return super().load_checkpoint(path, map_location, weights_only=True)


class RunLock(Callback):
    """Holds the run's folder while it is written, so that no other process goes on with a run that is still alive,
    and says how to go on with one that was stopped.

    Args:
        folder: of the run; all other callbacks ask for it (`spx.run_folder.run_folder`). Default: where the first
            logger writes.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.run_folder = folder
        self._lock: FileLock | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.run_folder = run_folder(trainer)  # asked on every rank: the answer is broadcast
        if stage == "fit" and trainer.is_global_zero and not trainer.fast_dev_run:
            self._lock = lock_run(self.run_folder)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        folder = self.run_folder  # not asked again: the other ranks don't answer any more
        if self._lock is None:
            if trainer.is_global_zero and folder is not None:
                _remove_unused(folder)
            return
        if isinstance(exception, KeyboardInterrupt | SystemExit) and trainer.state.fn == "fit":
            kept = f"checkpoint {folder / LAST_CHECKPOINT}" if (folder / LAST_CHECKPOINT).is_file() else "no checkpoint"
            rank_zero_info(
                f"Stopped in epoch {trainer.current_epoch + 1} of {trainer.max_epochs}; {kept}. "
                f"Go on with: spx resume {shlex.quote(str(folder))}"
            )
        self._release()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()
            self._lock = None


def _remove_unused(folder: Path) -> None:
    """Remove a folder in which nothing was begun: TensorBoard opens its file before anything is checked."""
    with contextlib.suppress(OSError):
        inside = list(folder.iterdir())
        if all(path.name.startswith(TENSORBOARD_FILES) for path in inside):
            for path in inside:
                path.unlink()
            folder.rmdir()


def lock_run(folder: Path) -> FileLock:
    """Take the run's folder, until the lock is released or the process ends.

    Raises:
        ConfigError: another process writes to it, or it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE)
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"The run {folder} is still going on in another process. Wait for it, or stop it.") from None
    except OSError as error:
        raise ConfigError(f"The run's folder {folder} can't be written: {reason(error)}.") from error
    return lock
