from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import io, sparse

from spx.dataset_names import file_stamps

from .conftest import read
from .foreign import EDGES, IDS
from .samples import NUM_NODES, write_folder

PAIRS = [(IDS[source], IDS[target]) for source, target in EDGES.tolist()]
TEXT = "\n".join(f"{source} {target}" for source, target in PAIRS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "graph")
    (tmp_path / "graph/edges.csv").unlink()
    return tmp_path / "graph"


def edges_in(path: Path) -> list[list[int]]:
    return sorted(read(str(path)).edge_index.t().tolist())


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace(" ", "\t"),
        TEXT.replace(" ", ", "),
        TEXT.replace("\n", " {}\r\n") + " {}\r\n",
        TEXT.replace("\n", " 1.0\n"),
        f"\ufeff# SNAP\n% KONECT\n\n{TEXT}\n\n",
        f"FromNodeId\tToNodeId\n{TEXT}",
        "\n".join(f'"{source}";"{target}"' for source, target in PAIRS),
    ],
)
@pytest.mark.parametrize("name", ["graph.edgelist", "graph.txt"])
def test_lists_of_edges(folder: Path, text: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (folder / name).write_bytes(text.encode())
    assert edges_in(folder / name) == sorted(EDGES.tolist())
    assert "not used" not in caplog.text
    assert "weights" not in caplog.text


def test_weights_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "a.edges").write_text(TEXT.replace("\n", " 0.5\n"))
    read(str(folder / "a.edges"))
    assert "only its first two columns are used (weights are not)" in caplog.text


def test_a_folder_with_a_list_in_place_of_a_table(folder: Path) -> None:
    (folder / "a.edgelist").write_text(TEXT)
    assert edges_in(folder) == sorted(EDGES.tolist())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT + "\nn0", "1 of its 61 lines are no edge, such as 'n0': write two ids a line"),
        (TEXT + "\nn0 far", "column 'target' names ids that no node has, 1 times of 61, such as 'far'"),
    ],
)
def test_what_is_no_list(folder: Path, refused: Callable, text: str, message: str) -> None:
    (folder / "a.edgelist").write_text(text)
    refused(str(folder / "a.edgelist"), message)


def test_labels_are_needed(tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "a.edgelist").write_text(TEXT)
    refused(f"{tmp_path}/a.edgelist", "holds edges alone, and labels are needed: put a table nodes.csv", "'a.edgelist'")


def matrix(**how: object) -> sparse.coo_matrix:
    return sparse.coo_matrix((np.ones(len(EDGES)), EDGES.T), shape=(NUM_NODES, NUM_NODES), **how)


def with_ids(folder: Path, ids: list[int]) -> None:
    write_folder(folder, id=list(map(str, ids)))
    (folder / "edges.csv").unlink()


@pytest.mark.parametrize("low", [0, 1])
def test_matrix_market_names_nodes_by_number(folder: Path, low: int) -> None:
    """Node number i of the matrix is the row of the table with the id i, wherever that stands."""
    rows = np.random.default_rng(0).permutation(NUM_NODES)
    with_ids(folder, (rows + low).tolist())
    io.mmwrite(folder / "a.mtx", matrix())
    place = np.argsort(rows)
    assert edges_in(folder / "a.mtx") == sorted(place[EDGES].tolist())


def test_matrix_market_in_the_order_of_the_table(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    io.mmwrite(folder / "a.mtx", matrix())
    assert edges_in(folder / "a.mtx") == sorted(EDGES.tolist())
    assert "in the order of the table beside it" in caplog.text


def test_a_symmetric_and_a_dense_matrix(folder: Path, refused: Callable) -> None:
    io.mmwrite(folder / "a.mtx", matrix() + matrix().T, symmetry="symmetric")
    assert edges_in(folder / "a.mtx") == sorted([*EDGES.tolist(), *EDGES[:, ::-1].tolist()])
    io.mmwrite(folder / "a.mtx", matrix().toarray())
    refused(str(folder / "a.mtx"), "a.mtx is a dense matrix: scipy.io.mmwrite(PATH, scipy.sparse.coo_array(")


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("30 30 60", None),
        ("30 30 999999999999", "doesn't hold as many entries as its first line announces"),
        ("31 31 60", "a.mtx is of 31 x 31 nodes, but the table beside it has 30 rows"),
        ("30 31 60", "a.mtx is of 30 x 31 nodes"),
        ("30 30 61", "doesn't hold as many entries"),
        ("30 x 60", "can't be read as MatrixMarket"),
    ],
)
def test_a_matrix_that_does_not_fit(folder: Path, refused: Callable, first: str, message: str | None) -> None:
    lines = [f"{source + 1} {target + 1}" for source, target in EDGES.tolist()]
    (folder / "a.mtx").write_text("\n".join(["%%MatrixMarket matrix coordinate pattern general", first, *lines, ""]))
    if message is None:
        assert edges_in(folder / "a.mtx") == sorted(EDGES.tolist())
    else:
        refused(str(folder / "a.mtx"), message)


def test_a_changed_table_or_list_is_seen(folder: Path) -> None:
    (folder / "a.edgelist").write_text(TEXT)
    for path in (folder, folder / "a.edgelist"):
        before = file_stamps(str(path))
        assert set(before) == {"a.edgelist", "nodes.csv"}
        (folder / "nodes.csv").write_text((folder / "nodes.csv").read_text() + "\n")
        assert file_stamps(str(path)) != before


def test_an_entry_of_zero_is_no_edge(folder: Path, refused: Callable, caplog: pytest.LogCaptureFixture) -> None:
    lines = [f"{source + 1} {target + 1} {place}" for place, (source, target) in enumerate(EDGES.tolist())]
    head = ["%%MatrixMarket matrix coordinate real general", "% by hand", "30 30 60"]
    text = "\n".join([*head, *lines])
    (folder / "a.mtx").write_text(text)
    assert edges_in(folder / "a.mtx") == sorted(EDGES.tolist()[1:])
    assert "the values of its entries (weights) are not used" in caplog.text
    for old, new, message in (
        ("1 2 0", "1 31 0", "names node 31"),
        ("matrix co", "vector co", "its first line must be"),
    ):
        (folder / "a.mtx").write_text(text.replace(old, new))
        refused(str(folder / "a.mtx"), message)
