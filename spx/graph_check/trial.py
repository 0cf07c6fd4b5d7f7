"""What both stages will take on this machine, by trying them.

Up to `TRIAL_NODES` nodes the graph itself is trained on for a few epochs; of a larger one, two generated graphs of the
same mean degree, features, classes and split shares are, and a line through their figures is drawn to its size.
Each trial is a run of `spx fit` like any other, in a folder that is thrown away.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spx.configurations import config_layers
from spx.dataset_names import run_name
from spx.datasets.types import NodeDataset
from spx.errors import DatasetError
from spx.experiments.plan import ESTIMATOR, WIDE, merged_settings
from spx.files import read_json
from spx.graph.features import Features, SparseFeatures
from spx.run_folder import RECORD_FILE

TRIAL_NODES = 40_000
TRIAL_EDGES = 3_000_000  # attention edges of the larger trial, where that is fewer nodes
TRIAL_EPOCHS = 6
FIGURES = ("peak_rss_mb", "seconds_per_epoch", "fastest_epoch", "slowest_epoch")
CORE_NODES = (200_000, 100_000, 50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200)


@dataclass(frozen=True)
class StageEstimate:
    """Of one stage: peak resident memory of its process in MB (10^6 bytes), seconds of an epoch with its draw and
    validation, the epochs that its configuration asks for, seconds of the fastest and the slowest epoch, and the sizes
    of the graphs that were tried."""

    stage: str
    peak_rss_mb: float
    seconds_per_epoch: float
    epochs: int
    seconds_range: tuple[float, float] = (0.0, 0.0)
    trial_nodes: tuple[int, ...] = ()

    @property
    def seconds(self) -> float:
        return self.epochs * self.seconds_per_epoch


def estimate_stages(
    dataset: NodeDataset,
    source: str,
    num_edges: int,
    configs: Path,
    arguments: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> list[StageEstimate]:
    """Both stages on `dataset`, as the configurations in the folder `configs` train them.

    Args:
        dataset: as loaded.
        source: its name or path, as `--data.dataset` takes it.
        num_edges: M, attention edges of its augmented graph.
        configs: folder of what differs for the dataset, `estimator.yaml` and `wide.yaml`; the base lies beside it.
        arguments: further arguments of `spx fit`, which hold for the trials of `dataset` itself.
        say: is told what is tried now.

    Raises:
        DatasetError: a trial failed; with its last line.
    """
    num_nodes = dataset.num_nodes
    largest = min(TRIAL_NODES, int(TRIAL_EDGES / max(1.0, num_edges / num_nodes)))
    with tempfile.TemporaryDirectory(prefix="spx-check-") as folder:
        if num_nodes <= max(largest, 1000):
            return _stages(_trial(Path(folder), configs, source, arguments, say=say), configs, (num_nodes,))
        sizes = (largest // 2, largest)
        small, large = (_generated_trial(dataset, size, Path(folder), configs, say) for size in sizes)
    figures = {
        stage: {name: _at(num_nodes, largest, small[stage][name], large[stage][name]) for name in FIGURES}
        for stage in (ESTIMATOR, WIDE)
    }
    return _stages(figures, configs, sizes)


def core_nodes_that_fit(
    settings: dict[str, Any], num_nodes: int, row_bytes: float, peak_rss_mb: float, available_mb: float
) -> int | None:
    """The most core nodes of a batch that leave half of the available memory free; None: all nodes in one batch.

    Args:
        settings: stage 2's, defaults included (`spx.graph_check.full_settings`).
        num_nodes: N.
        row_bytes: of a node's features.
        peak_rss_mb: estimated with the settings' own `batch_size`.
        available_mb: memory that processes can still get.
    """
    data, model = settings["data"]["init_args"], settings["model"]["init_args"]
    row = row_bytes + 4 * model["width"] * (8 + 6 * model["num_layers"])  # bytes a step holds for an input node

    def step_mb(core: int | None) -> float:
        inputs = num_nodes if core is None else min(num_nodes, core * prod(k + 1 for k in data["k"]))
        return inputs * row / 1e6

    rest = peak_rss_mb - step_mb(data.get("batch_size"))
    choices = [None, *(core for core in CORE_NODES if core < num_nodes)]
    return next((core for core in choices if rest + step_mb(core) <= available_mb / 2), CORE_NODES[-1])


def available_memory_mb() -> float:
    """Memory that this process can still get, by the system and by its control group, in MB."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    try:
        with open("/proc/meminfo") as lines:
            free = next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("MemAvailable"))
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{name}").read_text()) / 1e6 for name in ("max", "current"))
        return min(free, limit - used)
    except (OSError, ValueError, StopIteration):  # not Linux, or no limit
        return free


def _at(num_nodes: int, largest: int, small: float, large: float) -> float:
    slope = max(0.0, (large - small) / (largest - largest // 2))
    return large + slope * (num_nodes - largest)


def _stages(figures: dict[str, dict[str, float]], configs: Path, sizes: tuple[int, ...]) -> list[StageEstimate]:
    epochs = {name: merged_settings(config_layers(configs, name)).get("trainer", {}) for name in figures}
    return [
        StageEstimate(
            *(name, figure["peak_rss_mb"], figure["seconds_per_epoch"], epochs[name].get("max_epochs", 100)),
            *((figure["fastest_epoch"], figure["slowest_epoch"]), sizes),
        )
        for name, figure in figures.items()
    ]


def _generated_trial(
    dataset: NodeDataset, num_nodes: int, folder: Path, configs: Path, say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """A trial on a generated graph, with as many batches as the dataset has: all its parts are in proportion."""
    path = folder / f"generated-{num_nodes}.pt"
    torch.save(_generated(dataset, num_nodes), path)
    data = merged_settings(config_layers(configs, WIDE)).get("data", {}).get("init_args", {})
    batches = {name: data.get(name) for name in ("batch_size", "eval_batch_size")}
    share = num_nodes / dataset.num_nodes
    scaled = [(f"--data.{name}", str(max(2, round(share * size)))) for name, size in batches.items() if size]
    words = [word for pair in scaled for word in pair]
    return _trial(folder, configs, str(path), (), words, lambda text: say(f"{text}, on {num_nodes:,} generated nodes"))


def _generated(dataset: NodeDataset, num_nodes: int) -> dict[str, Tensor]:
    """A random graph of the dataset's mean degree, features, labels and split shares, as an own .pt."""
    generator = torch.Generator().manual_seed(0)
    share = num_nodes / dataset.num_nodes
    num_edges = int(share * dataset.edge_index.size(1))
    edges = torch.randint(num_nodes, (2, num_edges), generator=generator)
    part = torch.randperm(num_nodes, generator=generator)
    ends = [0]
    for nodes in dataset.split:
        ends.append(ends[-1] + max(2, int(share * nodes.numel())))
    masks = {}
    for name, first, last in zip(("train", "val", "test"), ends, ends[1:], strict=False):
        mask = torch.zeros(num_nodes, dtype=torch.bool)
        mask[part[first:last]] = True
        masks[f"{name}_mask"] = mask
    wide = (num_nodes, dataset.num_classes)
    if dataset.task == "multilabel":
        y = torch.randint(2, wide, generator=generator)
    else:
        y = torch.arange(num_nodes) % dataset.num_classes
    return {"x": _generated_features(dataset.x, num_nodes, generator), "edge_index": edges, "y": y, **masks}


def _generated_features(like: Features, num_nodes: int, generator: torch.Generator) -> Tensor:
    """Random features of so many nodes, sparse with as many entries a node where the dataset's are."""
    shape = (num_nodes, like.size(1))
    if not isinstance(like, SparseFeatures):
        return torch.rand(shape, generator=generator)
    places = torch.randint(num_nodes * shape[1], (like.num_entries * num_nodes // len(like),), generator=generator)
    places = torch.stack((places // shape[1], places % shape[1]))
    values = torch.rand(places.size(1), generator=generator)
    return torch.sparse_coo_tensor(places, values, shape, check_invariants=True).coalesce()


def _trial(
    folder: Path,
    configs: Path,
    source: str,
    arguments: Sequence[str],
    for_wide: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """A few epochs of both stages; the figures of their `run.json`."""
    figures, runs = {}, folder / "runs"
    for stage in (ESTIMATOR, WIDE):
        say(f"A few epochs of stage {stage}")
        files = [word for file in config_layers(configs, stage) for word in ("--config", str(file))]
        command = [sys.executable, "-m", "spx", "fit", *files]
        command += ["--data.dataset", source, "--runs_dir", str(runs), *arguments]
        command += ["--trainer.max_epochs", str(TRIAL_EPOCHS), "--trainer.enable_progress_bar", "false"]
        command += ["--then_test", str(stage == WIDE).lower(), "--name", stage, *(for_wide if stage == WIDE else ())]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        record = read_json(runs / run_name(source) / stage / "version_0" / RECORD_FILE)
        if ended.returncode or record is None:
            last = (ended.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("spx: error: ")
            raise DatasetError(f"A trial of stage {stage} ended with exit code {ended.returncode}: {last}")
        figures[stage] = {name: record[name] for name in FIGURES}
    return figures
