"""A folder of the Open Graph Benchmark's node property prediction, as its zip unpacks. N nodes, E edges, S splits."""

import logging
from pathlib import Path

import numpy as np

from spx.datasets.ogb import read_numbers
from spx.datasets.own.error_words import listed, one_line
from spx.errors import DatasetError

logger = logging.getLogger(__name__)

EDGES = "raw/edge.csv.gz"
_PARTS = {"train": "train_mask", "valid": "val_mask", "test": "test_mask"}


def is_ogb(folder: Path) -> bool:
    return any((folder / "raw" / name).is_file() for name in ("edge.csv.gz", "num-node-list.csv.gz", "relations"))


def read_ogb(folder: Path) -> dict[str, np.ndarray]:
    """Its arrays: edges [E, 2], y [N, C], x [N, F] if there are features, and a mask [S, N] for each part.

    Splits are numbered in the order of their names. Raises DatasetError for a folder that isn't whole, and for graphs
    of several kinds of nodes.
    """
    counts = _numbers(folder, "raw/num-node-list.csv.gz", np.int64).flatten()
    if len(counts) != 1:
        raise DatasetError(f"raw/num-node-list.csv.gz has {len(counts)} graphs, but one is trained on")
    num_nodes = int(counts[0])
    arrays = {
        "edges": _numbers(folder, EDGES, np.int64),
        "y": _numbers(folder, "raw/node-label.csv.gz", np.float32, num_nodes),
    }
    if (folder / "raw/node-feat.csv.gz").is_file():
        arrays["x"] = _numbers(folder, "raw/node-feat.csv.gz", np.float32, num_nodes)
    others = {file.name for file in (folder / "raw").iterdir()} - {
        *("edge.csv.gz", "node-label.csv.gz", "node-feat.csv.gz", "num-node-list.csv.gz", "num-edge-list.csv.gz")
    }
    if others:
        logger.warning("%s: %s are not used", folder, listed(sorted(others)))
    return arrays | _splits(folder, num_nodes)


def _splits(folder: Path, num_nodes: int) -> dict[str, np.ndarray]:
    found = sorted(place for place in folder.glob("split/*") if place.is_dir())
    if len(found) > 1:
        logger.warning("%s: --data.split numbers its splits %s", folder, listed(place.name for place in found))
    masks = {name: np.zeros((len(found), num_nodes), dtype=bool) for name in _PARTS.values()} if found else {}
    for number, place in enumerate(found):
        for part, mask in _PARTS.items():
            name = f"split/{place.name}/{part}.csv.gz"
            nodes = _numbers(folder, name, np.int64).flatten()
            if nodes.size and not 0 <= nodes.min() <= nodes.max() < num_nodes:
                raise DatasetError(f"{name} names nodes up to {nodes.max()}, but the graph has {num_nodes}")
            masks[mask][number, nodes] = True
    return masks


def _numbers(folder: Path, name: str, dtype: type[np.number], rows: int | None = None) -> np.ndarray:
    file = folder / name
    if not file.is_file():
        held = listed(sorted(each.name for each in file.parent.iterdir())) if file.parent.is_dir() else "nothing"
        raise DatasetError(
            f"{name} is missing, which a graph of OGB with one kind of nodes has (there is {held}): unpack it anew"
        )
    try:
        with file.open("rb") as packed:
            table = read_numbers(packed, dtype).numpy()
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file makes gzip or polars raise
        raise DatasetError(f"{name} is no CSV.gz of numbers ({one_line(error, 120)}): unpack it anew") from error
    if rows is not None and len(table) != rows:
        raise DatasetError(f"{name} has {len(table)} rows, but the graph {rows} nodes: unpack it anew")
    return table
