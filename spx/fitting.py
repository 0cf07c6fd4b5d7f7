"""`spx.fit`: both stages from Python, as the command line runs them."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spx.data.given_graph import filed_graph
from spx.errors import ConfigError

if TYPE_CHECKING:
    from spx.inference.run import TrainedRun

GRAPHS = "graphs"
"""Below the runs' folder: graphs that were given as objects."""


def fit(
    nodes: Any,
    edges: Any = None,
    *,
    label: str | None = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
    recipe: str = "wide",
    overrides: Mapping[str, Any] | None = None,
    estimator: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    seed: int = 0,
    split: int = 0,
    protocol: str = "public",
    runs_dir: str | Path = "lightning_logs",
    data_dir: str | Path = "data",
    reuse: bool = True,
) -> "TrainedRun":
    """Train on a graph and load the finished run: the same folders, records and figures as `spx study`.

    A run that was made before with the same settings is loaded; one that was stopped goes on.

    Args:
        nodes: a table of the nodes, as a pandas or polars DataFrame, a row each; or a PyG `Data`; or the path of a
            graph of your own; or the name of a published dataset.
        edges: a table of the edges; only with a table of nodes.
        label: column of the nodes' classes; default: `label`.
        columns: which columns are what, as `--data.columns`: `{"id": "account", "source": "from", "target": "to"}`.
        name: what the runs are filed under; default: `graph-` and a digest of the tables.
        recipe: "wide" (the papers' configuration), "plus", "gcn", ...: a file of configs/base or the dataset's.
        overrides: settings of stage 2: `{"model.width": 64, "data.k": [5, 5]}`.
        estimator: settings of stage 1, likewise.
        data: settings of the data in both stages: `{"metric": "roc_auc", "undirected": True}`.
        trainer: settings of the Trainer in both stages: `{"max_epochs": 50}`.
        seed: of all draws and weights.
        split: number of a fixed split, or seed of a random one.
        protocol: "public" or "paper", of a published dataset.
        runs_dir, data_dir: folders of the runs, and of published datasets.
        reuse: whether runs of the same settings are taken again.

    Raises:
        DatasetError: the graph can't be read.
        ConfigError: unknown settings, or tables that can't be filed.

    Example:
        >>> import contextlib, io, polars as pl, tempfile
        >>> number = range(60)
        >>> nodes = pl.DataFrame({"id": number, "age": [n % 3 for n in number], "risk": ["ab"[n % 2] for n in number]})
        >>> edges = pl.DataFrame({"source": number, "target": [(n + 3) % 60 for n in number]})
        >>> folder = tempfile.mkdtemp()
        >>> quiet = {"max_epochs": 1, "enable_progress_bar": False, "accelerator": "cpu"}
        >>> with contextlib.redirect_stdout(io.StringIO()):
        ...     run = fit(nodes, edges, label="risk", trainer=quiet, runs_dir=folder)
        >>> run.predict([0, 1]).probabilities.shape
        torch.Size([2, 2])
    """
    from spx.experiments.plan import Study
    from spx.experiments.study import run_study
    from spx.inference.run import load

    columns = dict(columns or {}) | ({"label": label} if label else {})
    dataset = filed_graph(nodes, edges, Path(runs_dir) / GRAPHS, name)
    both = [*_arguments("data", data), *_arguments("trainer", trainer)]
    if columns:
        both += ["--data.columns", json.dumps(columns)]
    study = Study(
        dataset=dataset,
        seeds=(seed,),
        splits=(split,),
        protocol=protocol,
        config=recipe,
        data_dir=str(data_dir),
        runs_dir=str(runs_dir),
        extra=tuple(both),
        extra_estimator=tuple(_arguments("", estimator)),
        extra_wide=tuple(_arguments("", overrides)),
    )
    summary = run_study(study, reuse, start=_in_this_process)
    return load(summary["folders"][-1], dataset=None if dataset == study.name else dataset)


def _arguments(group: str, settings: Mapping[str, Any] | None) -> Iterator[str]:
    """Settings by name as arguments of the command line."""
    for name, value in (settings or {}).items():
        full = f"{group}.{name}" if group else name
        if not isinstance(name, str) or "." not in full:
            raise ConfigError(f"{name!r} is no setting. Give such as 'model.width' or 'data.k'.")
        yield f"--{full}"
        yield value if isinstance(value, str) else json.dumps(value, default=str)


def _in_this_process(command: list[str], _folder: Path) -> int:
    """Run `spx fit` here, so that its progress is seen where the call stands, in a notebook too."""
    from spx.cli import SpxCLI
    from spx.quiet import less_noise

    less_noise()
    given, sys.argv = sys.argv, ["spx"]  # a notebook's own would be taken for the command's
    try:
        SpxCLI(list(command))
    finally:
        sys.argv = given
    return 0
