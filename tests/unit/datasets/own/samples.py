"""Small graphs of known content, in each format."""

from pathlib import Path

import numpy as np
import polars

NUM_NODES = 30


def arrays(**changes: object) -> dict[str, np.ndarray]:
    """An .npz's arrays: 4 features, 3 classes of equal size. Changed by keyword; None leaves a key out."""
    rng = np.random.default_rng(0)
    good = {
        "edge_index": rng.integers(0, NUM_NODES, (2, 80)),
        "x": rng.random((NUM_NODES, 4)),
        "y": np.arange(NUM_NODES) % 3,
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def masks(num_splits: int = 5) -> dict[str, np.ndarray]:
    """[S, N] masks of three equal parts that differ by split."""
    rank = np.random.default_rng(1).random((num_splits, NUM_NODES)).argsort(1) * 3 // NUM_NODES
    return {f"{part}_mask": rank == number for number, part in enumerate(("train", "val", "test"))}


def write_npz(folder: Path, **changes: object) -> str:
    path = folder / "graph.npz"
    np.savez(path, **arrays(**changes))
    return str(path)


def columns(**changes: object) -> dict[str, list]:
    """A node table's columns, as cells of text. Changed by keyword; None leaves a column out."""
    numbers = range(NUM_NODES)
    good = {
        "id": [f"n{i}" for i in numbers],
        "label": [("red", "green", "blue")[i % 3] for i in numbers],
        "size": [f"{i / 4}" for i in numbers],
    }
    return {name: cells for name, cells in {**good, **changes}.items() if cells is not None}


def ring(ids: list[str]) -> dict[str, list]:
    return {"source": ids, "target": ids[1:] + ids[:1]}


def write_csv(file: Path, table: dict[str, list]) -> None:
    lines = [",".join(table), *(",".join(cells) for cells in zip(*table.values(), strict=True))]
    file.write_text("\n".join(lines) + "\n")


def write_folder(folder: Path, edges: dict[str, list] | None = None, **changes: object) -> str:
    """nodes.csv and edges.csv; the edges are a ring through the nodes."""
    nodes = columns(**changes)
    folder.mkdir(exist_ok=True)
    write_csv(folder / "nodes.csv", nodes)
    write_csv(folder / "edges.csv", edges or ring(nodes.get("id", columns()["id"])))
    return str(folder)


IDS = [f"n{i}" for i in range(NUM_NODES)]
NUMBERS = [str(10 * i) for i in range(NUM_NODES)]


def cells(*first: str, rest: str = "a") -> list[str]:
    return [*first, *[rest] * (NUM_NODES - len(first))]


def to_parquet(folder: Path, stem: str, **types: object) -> None:
    polars.read_csv(folder / f"{stem}.csv").cast(types).write_parquet(folder / f"{stem}.parquet")
    (folder / f"{stem}.csv").unlink()
