"""What a user asks the attention-score study for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spx.errors import ConfigError
from spx.experiments.plan import Study

GraphName = Literal["graph", "augmented"]
State = Literal["best", "last", "authors"]
REPORT_FOLDERS: dict[State, str] = {"best": "analysis", "last": "analysis-last", "authors": "analysis-authors"}


PRESETS: dict[str, dict[str, Any]] = {
    "full": {"widths": [4, 8, 16, 32, 64], "seeds": range(10)},
    "small": {"widths": [4, 16], "seeds": [0, 1], "max_epochs": 6},
}


@dataclass
class ScoreStudy:
    """Settings of `spx analyze`.

        dataset: actor
        widths: [4, 8, 16, 32, 64]

    Args:
        dataset: name of a dataset, or path of a graph of your own.
        runs: "full" (widths 4 to 64, ten seeds: 100 runs and a wide network), or "small": a version of some two
            minutes, to see what comes out; its numbers mean little.
        widths: of the single-head networks; the widest stands for wide networks. Default: by `runs`.
        seeds: of each width. Default: by `runs`.
        graphs: attention graphs: "graph" (graph edges alone), "augmented" (with expander and self-loops).
        max_epochs: of every run. Default: the configurations' own, or 6 in the small version.
        num_layers: of every network. Default: the configurations' own.
        state: of the networks that are looked at: "best" on validation, whose scores stage 2 gets, or "last", after the
            last epoch, fitted to the end and at the lowest temperature. Where training soon overfits they differ much.
            "authors": those that are best, but at the last epoch's temperature, as the authors' code saves them:
            sharper than they ever were in training.
        untrained: also measure networks of the same settings before training, what the architecture alone makes.
        wide: configuration of the wide network that the estimators choose edges for; none: leave that question out.
        wide_checkpoint: of such a network, instead of training it; its run's folder must hold config.yaml.
        ks: numbers of edges: of the top-k mass, and sampled for each node.
        draws: R, random draws that the measures of sampled edges average over.
        expander_seed: all runs share one expander, that of this seed: only scores over one graph can be compared.
        resistance_nodes: effective resistances are estimated for graphs of at most so many nodes.
        scores: score files, or folders of finished runs, to analyse instead of training.
        protocol: split protocol, "public" or "paper".
        split: number of the split.
        data_dir: folder of the raw files and downloads.
        runs_dir: folder of the runs, and of the report: `<runs_dir>/<dataset>/analysis/`.
        configs_dir: folder of the configurations.
        output: folder of the report, instead; for other states it is `<runs_dir>/<dataset>/analysis-<state>/`.
        processes: runs at a time. Default: the cores.
        threads: that each run computes with.
        reuse: take finished runs of the same settings again.
        extra: further arguments of every `spx fit`.
    """

    dataset: str | None = None
    runs: Literal["full", "small"] = "full"
    widths: list[int] | None = None
    seeds: list[int] | None = None
    graphs: list[GraphName] = field(default_factory=lambda: ["graph", "augmented"])
    max_epochs: int | None = None
    num_layers: int | None = None
    state: State = "best"
    untrained: bool = True
    wide: str | None = "exphormer"
    wide_checkpoint: str | None = None
    ks: list[int] = field(default_factory=lambda: [1, 2, 4, 8, 16, 32])
    draws: int = 3
    expander_seed: int = 0
    resistance_nodes: int = 20_000
    scores: list[str] | None = None
    protocol: str = "public"
    split: int = 0
    data_dir: str = "data"
    runs_dir: str = "lightning_logs"
    configs_dir: str = "configs"
    output: str | None = None
    processes: int | None = None
    threads: int = 1
    reuse: bool = True
    extra: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, value in PRESETS[self.runs].items():
            if getattr(self, name) is None:
                setattr(self, name, value)
        for name in ("widths", "seeds", "ks"):
            setattr(self, name, sorted(set(getattr(self, name))))
        counted = {"widths": self.widths, "ks": self.ks}
        for name in ("draws", "threads", "max_epochs", "num_layers", "processes"):
            if (value := getattr(self, name)) is not None:
                counted[name] = [value]
        for name, values in counted.items():
            if not values or min(values) < 1:
                raise ConfigError(f"{name} is {values}; give numbers of at least 1.")
        if not self.seeds or not self.graphs:
            raise ConfigError("A study needs at least one seed and one of the graphs 'graph' and 'augmented'.")
        if self.dataset is None and not self.scores:
            raise ConfigError(
                "Give --dataset or --config configs/<dataset>/analysis.yaml, or score files: --scores FILE."
            )

    def study(self, dataset: str) -> Study:
        """Folders, protocol and dataset as the runs' machinery takes them."""
        return Study(
            dataset,
            seeds=tuple(self.seeds),
            splits=(self.split,),
            protocol=self.protocol,
            data_dir=self.data_dir,
            runs_dir=self.runs_dir,
            configs_dir=self.configs_dir,
        )

    def folder(self, dataset: str) -> Path:
        """Where the report goes."""
        return Path(self.output) if self.output else self.study(dataset).folder / REPORT_FOLDERS[self.state]
