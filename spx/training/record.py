"""What a run took and reached: `run.json` in its folder, and the same figures in TensorBoard.

Logged: `work/epoch_seconds`, `work/resampling_seconds`, `work/peak_rss_mb`, `work/peak_cuda_mb`, `work/lr` (Lightning's
monitor), and with the hyper-parameters `best/val_<metric>` and `best/test_<metric>`; a test's other figures as
`test/<name>` (`spx.training.judgement`). TensorBoard sorts groups by their
names: losses and metrics come first, then `which_edges/` (`spx.training.monitor`) and `work/`.
"""

import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

from spx.data import GraphData
from spx.errors import ConfigError
from spx.files import reason, write_json
from spx.run_folder import RECORD_FILE, run_folder
from spx.torch_files import read_checkpoint
from spx.training.callbacks import best_checkpoint
from spx.training.judgement import report_test
from spx.training.task import FROM_DATA

COMPARED = (
    *("dataset", "protocol", "split", "seed", "k", "sampler", "expander_degree", "expander", "batch_size"),
    *("eval_samples", "graph_first"),
)
"""Settings of the data in TensorBoard's table of hyper-parameters."""
RECORDED_PACKAGES = ("spx", "torch", "lightning", "torch-geometric", "torchmetrics", "jsonargparse")


def peak_rss_mb() -> float:
    """Peak resident memory of this process so far, in MB (10^6 bytes)."""
    try:
        with open("/proc/self/status") as status:  # getrusage would count the parent's peak before exec
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, StopIteration):  # not Linux
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def peak_cuda_mb() -> float | None:
    """Peak memory allocated on the current CUDA device, in MB; None without one."""
    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else None


def _peaks_of_ranks(pl_module: LightningModule, own: float) -> list[float]:
    """Peak resident memory of each process, in MB. `own`: this one's."""
    peak = torch.tensor(round(own * 1e6), device=pl_module.device)  # whole bytes: float32 would round them
    return [each / 1e6 for each in pl_module.all_gather(peak).flatten().tolist()]


def _typical(seconds: list[float]) -> float | None:
    """The median; of several epochs without the first, in which kernels may be compiled."""
    return statistics.median(seconds[1:] or seconds) if seconds else None


class RunRecord(Callback):
    """Times the epochs, logs memory, and writes the run's record at the end of fit and of test.

    Args:
        name: of the configuration that is run, the folder above `version_N`.
        config_files: that the run was started with.
    """

    def __init__(self, name: str, config_files: list[str]):
        self.name, self.config_files = name, config_files
        self._epoch_seconds: list[float] = []
        self._resampling_seconds: list[float] = []
        self._seconds_before = 0.0
        self._fit_started: float | None = None
        self._record: dict[str, Any] = {}
        self._peak = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What a resumed fit needs to report the whole of it."""
        return {
            "epoch_seconds": self._epoch_seconds,
            "resampling_seconds": self._resampling_seconds,
            "seconds": self._seconds(),
            "config_files": self.config_files,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._epoch_seconds = list(state_dict["epoch_seconds"])
        self._resampling_seconds = list(state_dict["resampling_seconds"])
        self._seconds_before = state_dict["seconds"]
        self.config_files = list(state_dict["config_files"])

    def _peak_so_far(self) -> float:
        """The largest reading: the system counts pages of threads late, so that its own peak may fall by some."""
        self._peak = max(self._peak, peak_rss_mb())
        return self._peak

    def _seconds(self) -> float:
        since = 0.0 if self._fit_started is None else time.perf_counter() - self._fit_started
        return self._seconds_before + since

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._fit_started = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._epoch_started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        resampling = getattr(trainer.datamodule, "resampling_seconds", None)
        seconds = time.perf_counter() - self._epoch_started + (resampling or 0.0)
        self._epoch_seconds.append(seconds)
        values = {"work/epoch_seconds": seconds, "work/peak_rss_mb": self._peak_so_far()}
        if resampling is not None:
            self._resampling_seconds.append(resampling)
            values["work/resampling_seconds"] = resampling
        if (cuda := peak_cuda_mb()) is not None:
            values["work/peak_cuda_mb"] = cuda
        pl_module.log_dict(values, on_step=False, on_epoch=True, batch_size=1, rank_zero_only=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        checkpoint = best_checkpoint(trainer)
        if checkpoint and not checkpoint.best_model_path and not trainer.fast_dev_run:
            raise ConfigError("The fit ended before its first step, and left no checkpoint. Give it a longer max_time.")
        best = getattr(checkpoint, "best_metric", None)
        data = trainer.datamodule
        edges = sum(data.edges_per_layer) / len(data.edges_per_layer)
        self._record = {
            **self._identity(trainer, pl_module),
            "val": best,
            "test": None,
            "partial": self._in_part("val", trainer.num_val_batches, trainer.val_dataloaders),
            "epochs": trainer.current_epoch,
            "best_epoch": self._epoch_of(getattr(checkpoint, "best_model_path", "")),
            "seconds": self._seconds(),
            "seconds_per_epoch": _typical(self._epoch_seconds),
            "fastest_epoch": min(self._epoch_seconds[1:] or self._epoch_seconds, default=None),
            "slowest_epoch": max(self._epoch_seconds[1:] or self._epoch_seconds, default=None),
            "resampling_seconds": _typical(self._resampling_seconds),
            "attention_edges": round(edges),
            "augmented_edges": data.augmented_edges,
            "attention_edge_share": edges / data.augmented_edges if data.expander_degree else None,
            "checkpoint": getattr(checkpoint, "best_model_path", None) or None,
        }
        self._write(trainer, pl_module)
        reached = f"best {pl_module.selection_metric} " + ("undefined" if best is None else f"{best:.4f}")
        if (best_epoch := self._record["best_epoch"]) is not None:
            reached += f" in epoch {best_epoch + 1} of {trainer.current_epoch}"  # as the progress bar counts
        if not trainer.fast_dev_run:
            rank_zero_info(f"Run: {run_folder(trainer)}, {reached}, {self._record['seconds']:.0f} s")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what a calibration found."""
        if pl_module.calibration_nodes is not None and pl_module.calibration is not None:
            self._record = {**(self._record or self._identity(trainer, pl_module))}
            self._record["calibration"] = found = pl_module.calibration._asdict()
            self._write(trainer, pl_module)
            rank_zero_info(
                f"Calibrated on validation: temperature {found['temperature']:.3f}, expected calibration error "
                f"{found['val_calibration_error_before']:.4f} before, {found['val_calibration_error']:.4f} now."
            )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = trainer.callback_metrics.get(f"test/{pl_module.metric_name}")
        self._record = {**(self._record or self._identity(trainer, pl_module))}
        in_part = self._in_part("test", trainer.num_test_batches, trainer.test_dataloaders)
        self._record["partial"] = [*self._record.get("partial", []), *in_part]
        self._record["test"] = None if value is None or not value.isfinite() else float(value)  # JSON knows no nan
        if pl_module.calibration is not None:
            self._record["calibration"] = pl_module.calibration._asdict()
        names = trainer.datamodule.dataset.class_names or tuple(map(str, range(pl_module.num_outputs)))
        if pl_module.figures is not None:
            self._record["test_figures"] = pl_module.figures.record(names)
        self._write(trainer, pl_module)
        if pl_module.figures is not None:
            report_test(trainer, pl_module.figures, names, pl_module.metric_name, self._record["test"])

    @staticmethod
    def _in_part(part: str, num_batches: list[int | float], loader: Any) -> list[str]:
        """The part's name where only some of its batches were judged (`limit_test_batches`), which a line says."""
        if loader is None or sum(num_batches) >= len(loader):
            return []
        rank_zero_info(f"The {part} figure is over {sum(num_batches)} of {len(loader)} batches alone.")
        return [part]

    def _identity(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        data: GraphData = trainer.datamodule
        return {
            "name": self.name,
            "dataset": data.dataset_name,
            "protocol": data.protocol,
            "split": data.split,
            "seed": data.seed,
            "metric": pl_module.metric_name,
            "num_nodes": data.dataset.num_nodes,
            "devices": trainer.world_size,
            "num_parameters": sum(parameter.numel() for parameter in pl_module.parameters()),
            "scores": getattr(data, "scores_path", None),
            "scores_fingerprint": getattr(data, "scores_fingerprint", None),
            "data_fingerprint": data.data_fingerprint,
            "split_nodes": {part: nodes.numel() for part, nodes in data.dataset.split._asdict().items()},
            "split_origin": data.dataset.split_origin,
            "class_names": None if data.dataset.class_names is None else list(data.dataset.class_names),
            "schema": data.dataset.schema,
            "cwd": str(Path.cwd()),
            "config_files": self.config_files,
            "versions": {package: version(package) for package in RECORDED_PACKAGES},
        }

    @staticmethod
    def _settings(trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """What a user compares runs by: settings of data and model, without what the data give the model."""
        data: GraphData = trainer.datamodule
        settings = {name: getattr(data, name, None) for name in COMPARED}
        settings["dataset"] = data.dataset_name
        settings["k"] = " ".join(map(str, settings["k"])) if settings["k"] else None
        own = {name: value for name, value in pl_module.hparams.items() if name not in FROM_DATA}
        settings |= {name: value for name, value in own.items() if not name.startswith("_")}  # LightningCLI's
        return {name: value for name, value in settings.items() if value is not None}

    @staticmethod
    def _epoch_of(checkpoint: str) -> int | None:
        if not checkpoint or not Path(checkpoint).is_file():
            return None
        return read_checkpoint(checkpoint)["epoch"]

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder, peaks = run_folder(trainer), _peaks_of_ranks(pl_module, self._peak_so_far())
        if trainer.fast_dev_run or not trainer.is_global_zero:
            return
        self._record |= {"folder": str(folder), "peak_rss_mb": max(peaks), "peak_cuda_mb": peak_cuda_mb()}
        if len(peaks) > 1:
            self._record["peak_rss_mb_of_ranks"] = peaks
        try:
            write_json(folder / RECORD_FILE, self._record)
        except OSError as error:
            raise ConfigError(f"{folder / RECORD_FILE} can't be written: {reason(error)}. Free space.") from error
        reached = {f"best/{part}_{pl_module.metric_name}": self._record.get(part) for part in ("val", "test")}
        reached = {name: value for name, value in reached.items() if value is not None}
        for logger in trainer.loggers if reached else ():
            if isinstance(logger, TensorBoardLogger):  # its table of hyper-parameters has room for what they reached
                logger.log_hyperparams(self._settings(trainer, pl_module), reached)
            else:
                logger.log_metrics(reached, step=trainer.global_step)
                logger.save()
