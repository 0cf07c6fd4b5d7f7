"""What a dataset is called: the name of a published one, or the path of a user's own graph."""

import os
import re
from pathlib import Path

OWN = "mine"
"""Folder of the configurations that graphs of the user's own are trained with."""
FILE_ENDINGS = (".pt", ".npz")
TABLE_ENDINGS = (".csv", ".parquet")
EDGE_ENDINGS = (".edgelist", ".edges", ".el", ".txt", ".mtx")
"""Files of edges alone, whose nodes are a table beside them."""
FEATURES_FILE = "features.npy"
"""Beside the tables of a folder: features that stay on disk."""


PUBLISHED = (
    *("minesweeper-sim", "cora", "citeseer", "pubmed", "computer", "photo", "cs", "physics", "wikics", "actor"),
    *("roman-empire", "amazon-ratings", "minesweeper", "tolokers", "questions"),
    *("ogbn-arxiv", "ogbn-proteins", "ogbn-products", "amazon2m", "pokec"),
)
"""Names of `spx.datasets.DATASETS`: a file or folder that is called so is given as ./NAME."""


def is_path(name: str) -> bool:
    """Whether `name` is the path of a user's graph, existing or not, rather than the name of a published one."""
    return _looks_like_a_path(name) or _is_folder(name) or (name not in PUBLISHED and os.path.lexists(name))


def lasting_name(name: str) -> str | None:
    """The path of a user's graph in a form that is known as a path also when nothing lies there any more, so that a
    run says later what is missing; None for a published dataset."""
    if not is_path(name):
        return None
    return name if _looks_like_a_path(name) else os.path.join(os.curdir, name)


def run_name(name: str) -> str:
    """What runs on the dataset are filed under: its name, or the last part of a path without its ending."""
    if not is_path(name):
        return name
    path = Path(os.path.abspath(os.path.expanduser(name)))
    stem = path.stem if name.endswith(FILE_ENDINGS) else path.name
    return re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "graph"


def file_stamps(name: str) -> dict[str, list[int]] | None:
    """Size in bytes and time of change in ns of the user's files; None for a published dataset."""
    if not is_path(name):
        return None
    path = Path(os.path.expanduser(name))
    tables = [path / f"{table}{ending}" for table in ("nodes", "edges") for ending in TABLE_ENDINGS]
    files = [path, *_tables_beside(path)] if path.is_file() else [*tables, path / FEATURES_FILE, *_foreign(path)]
    home = path.parent if path.is_file() else path
    stats = {str(file.relative_to(home)): file.stat() for file in files if file.is_file()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _tables_beside(file: Path) -> list[Path]:
    """The tables of nodes that may belong to a file of edges alone."""
    edges = file.suffix.lower() in EDGE_ENDINGS
    return [file.with_name(f"nodes{ending}") for ending in TABLE_ENDINGS] if edges else []


def _foreign(folder: Path) -> list[Path]:
    """The files of other programs' folders: OGB's, Geom-GCN's, DGL's, and lists of edges."""
    patterns = ["raw/*.csv.gz", "split/*/*.csv.gz", "out1_*.txt", "*_split_*.npz", "splits/*_split_*.npz"]
    patterns += ["meta.yaml", "*.csv"] if (folder / "meta.yaml").is_file() else []
    patterns += [f"*{ending}" for ending in EDGE_ENDINGS if ending != ".txt"]
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def _looks_like_a_path(name: str) -> bool:
    return os.sep in name or "/" in name or name in (".", "..") or name.endswith(FILE_ENDINGS)


def _is_folder(name: str) -> bool:
    folder = os.path.expanduser(name)  # other than pathlib's, never raises, and neither does `isfile`
    return any(os.path.isfile(os.path.join(folder, f"nodes{ending}")) for ending in TABLE_ENDINGS)
