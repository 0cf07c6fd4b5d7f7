"""Name -> graph, features, labels, split, task and metric.

    dataset = load_dataset("minesweeper", data_dir="data", protocol="public", split=0)

Raw files are fetched once, checked, and parsed into one memory-mapped cache file; every failure that a
user can cause is a `spx.errors.DatasetError`. Nothing here imports lightning, and PyG, polars, scipy
and pooch are only imported when a raw file is really fetched or parsed.
"""

from spx.datasets.checks import check_dataset
from spx.datasets.fingerprint import (
    changed_columns,
    changed_parts,
    data_fingerprint,
    has_other_nodes,
    split_fingerprint,
    what_changed,
)
from spx.datasets.load import load_dataset
from spx.datasets.minesweeper import minesweeper_grid
from spx.datasets.own.settings import OwnSettings
from spx.datasets.splits import balanced_split, random_split
from spx.datasets.table import DATASETS, DatasetSpec
from spx.datasets.types import NodeDataset, Split

__all__ = [
    "DATASETS",
    "DatasetSpec",
    "NodeDataset",
    "OwnSettings",
    "Split",
    "balanced_split",
    "changed_columns",
    "changed_parts",
    "check_dataset",
    "data_fingerprint",
    "has_other_nodes",
    "load_dataset",
    "minesweeper_grid",
    "random_split",
    "split_fingerprint",
    "what_changed",
]
