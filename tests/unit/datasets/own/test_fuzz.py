"""Whatever the bytes: a dataset that keeps its promises, or a DatasetError of one line. Seeded: it can be repeated."""

import gzip
import logging
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mutation import budget, damage

from spx.datasets import OwnSettings, check_dataset
from spx.datasets.own import read_own
from spx.errors import DatasetError

from . import foreign
from .samples import NUM_NODES, arrays, masks, ring, write_folder
from .test_weights import FORMATS as WEIGHTED

IDS = [str(number) for number in range(NUM_NODES)]
CELLS = [("train", "val", "test", "")[number % 4] for number in range(NUM_NODES)]
SEVERAL = {f"label:{name}": [str(number // 4 % 2) for number in range(NUM_NODES)] for name in "ab"}


def folder_of_names(folder: Path) -> list[Path]:
    write_folder(folder, kind=["cat", "dog", ""] * 10, flag=["true", "false"] * 15)
    return [folder / "nodes.csv", folder / "edges.csv"]


def folder_of_numbers(folder: Path) -> list[Path]:
    write_folder(folder, {**ring(IDS), "weight": ["1"] * NUM_NODES}, id=IDS, label=None, split=CELLS, **SEVERAL)
    return [folder / "nodes.csv", folder / "edges.csv"]


def folder_with_features(folder: Path) -> list[Path]:
    write_folder(folder, size=None)
    np.save(folder / "features.npy", np.arange(4 * NUM_NODES, dtype=np.float32).reshape(NUM_NODES, 4))
    return [folder / "features.npy", folder / "nodes.csv"]


def folder_in_dialect(folder: Path, separator: str, above: str, encode: Callable[[str], bytes]) -> list[Path]:
    """Names, separators, comments and packing of other programs; with decimal commas and whole floats as ids."""
    folder.mkdir()
    sizes = [f"{number / 4:.2f}".replace(".", ",") for number in range(NUM_NODES)]
    classes = [("red", "green", "blue")[number % 3] for number in range(NUM_NODES)]
    nodes = {"Id": IDS, "Label": [f"Node {name}" for name in IDS], "class": classes, "size": sizes}
    edges = {"Source": [f"{name}.0" for name in IDS], "Target": IDS[1:] + IDS[:1], "Type": ["Undirected"] * NUM_NODES}
    for stem, table in (("Nodes", nodes), ("edge_list", edges)):
        rows = [table, *zip(*table.values(), strict=True)]
        text = "".join(separator.join(f'"{cell}"' if place % 7 == 3 else cell for cell in row) + "\n"
                       for place, row in enumerate(rows))  # fmt: skip
        (folder / f"{stem}.csv").write_bytes(encode(above + text))
    return [folder / "Nodes.csv", folder / "edge_list.csv"]


def folder_of_gephi(folder: Path) -> list[Path]:
    return folder_in_dialect(folder, ";", "sep=;\n# by hand\n", str.encode)


def folder_in_utf_16(folder: Path) -> list[Path]:
    return folder_in_dialect(folder, "\t", "", lambda text: text.replace("\n", "\r\n").encode("utf-16"))


def folder_with_carriage_returns(folder: Path) -> list[Path]:
    return folder_in_dialect(folder, "|", "# by hand\n", lambda text: text.replace("\n", "\r").encode())


def folder_in_gzip(folder: Path) -> list[Path]:
    return folder_in_dialect(folder, "\t", "", lambda text: gzip.compress(text.encode()))


def folder_of_neo4j(folder: Path) -> list[Path]:
    write_folder(folder)
    for file, names in (("nodes", "key:ID(A),y:string,size:double[]"), ("edges", ":START_ID,:END_ID(A)")):
        _, *rows = (folder / f"{file}.csv").read_text().split("\n")
        (folder / f"{file}.csv").write_text("\n".join([names, *rows]))
    return [folder / "nodes.csv", folder / "edges.csv"]


def folder_with_features_beside_columns(folder: Path) -> list[Path]:
    write_folder(folder)
    np.save(folder / "features.npy", np.arange(2 * NUM_NODES, dtype=np.float16).reshape(NUM_NODES, 2))
    return [folder / "features.npy", folder / "nodes.csv"]


def npz(folder: Path) -> list[Path]:
    folder.mkdir()
    np.savez(folder / "graph.npz", **arrays(**masks(), node_ids=np.array(IDS), class_names=np.array(["a", "b", "c"])))
    return [folder / "graph.npz"]


def npz_packed(folder: Path) -> list[Path]:
    folder.mkdir()
    y = np.where(np.arange(NUM_NODES)[:, None] < 3, np.nan, np.arange(3 * NUM_NODES).reshape(-1, 3) % 2)
    np.savez_compressed(folder / "graph.npz", **arrays(y=y, num_nodes=np.array(NUM_NODES)))
    return [folder / "graph.npz"]


def saved(folder: Path) -> list[Path]:
    from torch_geometric.data import Data

    folder.mkdir()
    tensors = {key: torch.from_numpy(value) for key, value in arrays().items()}
    torch.save(Data(**tensors, num_nodes=NUM_NODES, node_ids=IDS), folder / "graph.pt")
    return [folder / "graph.pt"]


@budget(13, 500)
@pytest.mark.parametrize(
    "make",
    [
        *(folder_of_names, folder_of_numbers, folder_with_features, folder_of_gephi, folder_in_utf_16),
        *(folder_with_carriage_returns, folder_of_neo4j, folder_with_features_beside_columns),
    ],
)
def test_damaged_files(count: int, make: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    files = make(tmp_path / "graph")
    read_damaged(count, make.__name__, files, str(files[0] if len(files) == 1 else files[0].parent))


@budget(13, 2000)
@pytest.mark.parametrize("make", [folder_in_gzip, npz, npz_packed, saved])
def test_damaged_files_that_are_read_quickly(count: int, make: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    test_damaged_files(count, make, tmp_path)


@budget(20, 2000)
@pytest.mark.parametrize("make", [*foreign.SINGLE, *foreign.FOLDERS])
def test_damaged_files_of_other_programs(count: int, make: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    if make is foreign.annotated:
        pytest.importorskip("anndata")
        count = 4 if count == 20 else count  # each starts a process
    files = make(tmp_path / "graph")
    read_damaged(count, make.__name__, files, str(files[0] if make in foreign.SINGLE else tmp_path / "graph"))


@budget(13, 500)
@pytest.mark.parametrize("kind", WEIGHTED)
def test_damaged_weights(count: int, kind: str, tmp_path: Path) -> None:
    path = WEIGHTED[kind](tmp_path)
    files = [tmp_path / "edges.csv"] if kind == "dgl" else [Path(path)]
    read_damaged(count, kind, files, path, edge_weight="weight")


def read_damaged(count: int, seed: str, files: list[Path], path: str, **settings: str) -> None:
    """Damage one of the files, read the path, and restore it: `count` times."""
    logging.disable()  # warnings of columns whose names were hit
    check_dataset(read_own(path, "public", 0, OwnSettings(**settings)))
    whole = {file: file.read_bytes() for file in files}
    rng = random.Random(seed)
    outcomes = Counter()
    try:
        for _ in range(count):
            file = rng.choice(files)
            damage(file, rng)
            outcomes[outcome(path, OwnSettings(undirected=rng.random() < 0.3, **settings))] += 1
            file.write_bytes(whole[file])
    finally:
        logging.disable(logging.NOTSET)
    assert outcomes["refused"] > count / 10
    assert outcomes["read"] > 0 or count < 60, "the fuzz never gets past the door"


def outcome(path: str, settings: OwnSettings) -> str:
    try:
        dataset = read_own(path, "public", 0, settings)
    except DatasetError as error:
        message = str(error)
        assert message.startswith(f"graph {path}: ")
        assert "\n" not in message
        assert len(message) < len(path) + 700
        return "refused"
    check_dataset(dataset)
    assert len(dataset.class_names) == dataset.num_classes
    assert dataset.node_ids is None or dataset.node_ids.n_unique() == dataset.num_nodes
    return "read"
