"""What a dataset is called: the name of a published one, or the path of a user's own graph; and which files of a folder
are its tables."""

import os
import re
from pathlib import Path

OWN = "mine"
"""Folder of the configurations that graphs of the user's own are trained with."""
FILE_ENDINGS = (".pt", ".npz")
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab")
PARQUET_ENDINGS = (".parquet", ".pq")
TABLE_ENDINGS = (*TEXT_ENDINGS, *PARQUET_ENDINGS)
PACKED_ENDINGS = (".gz", ".zst")
TABLES = {
    "nodes": ("nodes", "node", "vertices", "vertex", "nodelist", "nodetable", "vertexlist"),
    "edges": ("edges", "edge", "edgelist", "edgetable", "links", "link", "relationships", "relationship", "arcs"),
}
"""What the two tables of a folder are called: the house's name first, then other usual ones, in any case."""
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
    return _looks_like_a_path(name) or _is_folder(name) or (name not in PUBLISHED and _exists(name))


def lasting_name(name: str) -> str | None:
    """The path of a user's graph in a form that is known as a path also when nothing lies there any more, so that a
    run says later what is missing; None for a published dataset."""
    if not is_path(name):
        return None
    return name if _looks_like_a_path(name) or name.startswith("~") else os.path.join(os.curdir, name)


def run_name(name: str) -> str:
    """What runs on the dataset are filed under: its name, or the last part of a path without its ending."""
    if not is_path(name):
        return name
    path = Path(os.path.abspath(os.path.expanduser(name)))
    stem = path.stem if name.endswith(FILE_ENDINGS) else path.name
    return re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "graph"


def file_stamps(name: str) -> dict[str, list[int]] | None:
    """Size in bytes and time of change in ns of the user's files, in a folder without tables all; None for a published
    dataset."""
    if not is_path(name):
        return None
    path = Path(os.path.expanduser(name))
    if path.is_file():
        home, beside = path.parent, table_files(path.parent, "nodes") if path.suffix.lower() in EDGE_ENDINGS else []
        files = [path, *(part for table in beside for part in part_files(table))]
    else:
        tables = [file for table in TABLES for found in table_files(path, table) for file in part_files(found)]
        home, files = path, [*tables, path / FEATURES_FILE, *_foreign(path)]
        if not any(file.is_file() for file in files):
            files = [*path.glob("*"), *path.glob("*/*")]
    return {file.relative_to(home).as_posix(): _stamp(file) for file in sorted(files) if file.is_file()}


def table_files(folder: str | Path, table: str) -> list[Path]:
    """The files, or folders of part files, in a folder that may be its table of "nodes" or "edges": those with the best
    kind of name alone, which are nodes.csv, then Nodes.csv and vertices.csv, then my_nodes.csv. None for no folder."""
    try:
        with os.scandir(folder) as entries:
            ranked = {Path(entry.path): rank for entry in entries if (rank := _rank(entry, table)) is not None}
    except (OSError, ValueError):
        return []
    return sorted(path for path, rank in ranked.items() if rank == min(ranked.values()))


def part_files(table: Path) -> list[Path]:
    """The file itself; of a folder of part files those, in the order of their names, and none but tables."""
    if not table.is_dir():
        return [table]
    found = (file for file in table.rglob("*") if file.is_file() and _ending(file.name)[1])
    return sorted(file for file in found if not re.search(r"(^|/)[._]", file.relative_to(table).as_posix()))


def is_parquet(file: Path) -> bool:
    """By the ending of its name."""
    return file.name.lower().endswith(PARQUET_ENDINGS)


def is_table(file: Path) -> bool:
    """By the ending of its name."""
    return bool(_ending(file.name)[1])


def _stamp(file: Path) -> list[int]:
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _rank(entry: "os.DirEntry[str]", table: str) -> tuple[int, bool] | None:
    """How much the name is that of the table, 0 the most; folders after files. None: not at all."""
    stem, ending = _ending(entry.name)
    folder = entry.is_dir()
    if not folder and not (ending and entry.is_file()):  # a pipe would be waited for
        return None
    words = re.findall(r"[a-z]+", stem.lower())
    held = [name for name, known in TABLES.items() if set(words) & set(known)]
    if stem == table:
        rank = 0
    elif "".join(words) in TABLES[table] and re.fullmatch(r"[\w. -]*", stem) and not re.search(r"\d", stem):
        rank = 1
    elif held == [table] and not folder and not entry.name.lower().removesuffix(".gz").endswith(".txt"):
        rank = 2
    else:
        return None
    return None if folder and not part_files(Path(entry.path)) else (rank, folder)


def _ending(name: str) -> tuple[str, str]:
    """The name without the ending of a table, and that ending, of which packed text has two; "": it has none."""
    lower = name.lower()
    packed = next((ending for ending in PACKED_ENDINGS if lower.endswith(ending)), "")
    ending = next((each for each in TABLE_ENDINGS if lower.removesuffix(packed).endswith(each)), "")
    if not ending or (packed and ending in PARQUET_ENDINGS):
        return name, ""
    return name[: -len(ending + packed)], ending + packed


def _exists(name: str) -> bool:
    return os.path.lexists(name) or (name.startswith("~") and os.path.lexists(os.path.expanduser(name)))


def _foreign(folder: Path) -> list[Path]:
    """The files of other programs' folders: OGB's, Geom-GCN's, DGL's, and lists of edges."""
    patterns = ["raw/*.csv.gz", "split/*/*.csv.gz", "out1_*.txt", "*_split_*.npz", "splits/*_split_*.npz"]
    patterns += ["meta.yaml", "*.csv"] if (folder / "meta.yaml").is_file() else []
    patterns += [f"*{ending}" for ending in EDGE_ENDINGS if ending != ".txt"]
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def _looks_like_a_path(name: str) -> bool:
    return os.sep in name or "/" in name or name in (".", "..") or name.endswith(FILE_ENDINGS)


def _is_folder(name: str) -> bool:
    return bool(table_files(os.path.expanduser(name), "nodes"))
