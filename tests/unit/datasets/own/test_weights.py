"""Weights of edges in every format: what is kept on request, what is refused, and what is said without it."""

from collections.abc import Callable
from pathlib import Path

import networkx
import numpy as np
import polars
import pytest
import torch
from daily import every_day
from scipy import io, sparse
from torch_geometric.data import Data

from spx.datasets import NodeDataset

from .conftest import read
from .foreign import EDGES, IDS, networkx_graph
from .samples import NUM_NODES, arrays, columns, ring, write_csv, write_folder, write_npz

NUM_EDGES = len(EDGES)
WEIGHTS = [round(0.25 * (1 + number % 7), 2) for number in range(NUM_EDGES)]
LINES = [f"{IDS[source]} {IDS[target]}" for source, target in EDGES.tolist()]
ROWS = [str(weight) for weight in WEIGHTS[:NUM_NODES]] + ["1.5"] * max(0, NUM_NODES - NUM_EDGES)


def weighted(dataset: NodeDataset) -> dict[tuple[int, int], float]:
    """(source, target) -> weight."""
    assert dataset.edge_weight.dtype == torch.float32
    ends = map(tuple, dataset.edge_index.t().tolist())
    return dict(zip(ends, dataset.edge_weight.tolist(), strict=True))


WANTED = {(source, target): weight for (source, target), weight in zip(EDGES.tolist(), WEIGHTS, strict=True)}


def table(folder: Path, cells: list[str] = ROWS, name: str = "weight") -> str:
    return write_folder(folder, {**ring(columns()["id"]), name: cells})


def listed(folder: Path, name: str, text: str) -> str:
    write_folder(folder)
    (folder / "edges.csv").unlink()
    (folder / name).write_text(text)
    return str(folder / name)


def matrix(values: list[float] = WEIGHTS) -> sparse.csr_array:
    return sparse.coo_array((values, (EDGES[:, 0], EDGES[:, 1])), shape=(NUM_NODES, NUM_NODES)).tocsr()


def mtx(folder: Path) -> str:
    path = listed(folder, "graph.mtx", "")
    io.mmwrite(path, matrix())
    return path


def networkx_list(folder: Path) -> str:
    return listed(
        folder, "a.edgelist", "\n".join(f"{e} {{'weight': {w}}}" for e, w in zip(LINES, WEIGHTS, strict=True))
    )


def third_column(folder: Path, between: str = " ") -> str:
    lines = [f"{line}{between}{weight}" for line, weight in zip(LINES, WEIGHTS, strict=True)]
    return listed(folder, "a.edgelist", "\n".join(line.replace(" ", between) for line in lines))


def written(folder: Path, write: Callable, ending: str) -> str:
    graph = networkx_graph()
    for (source, target), weight in WANTED.items():
        graph.edges[IDS[source], IDS[target]]["weight"] = weight
    write(graph, folder / f"graph.{ending}")
    return str(folder / f"graph.{ending}")


def saved(folder: Path, **fields: object) -> str:
    good = {"edge_index": torch.from_numpy(EDGES.T.copy()), "y": torch.arange(NUM_NODES) % 3}
    torch.save({**good, **fields}, folder / "graph.pt")
    return str(folder / "graph.pt")


def saved_adj_t(folder: Path) -> str:
    turned = matrix().T.tocsr()
    parts = [torch.from_numpy(part).clone() for part in (turned.indptr, turned.indices, turned.data)]
    torch.save(
        {
            "adj_t": torch.sparse_csr_tensor(*(part.long() for part in parts[:2]), parts[2]),
            "y": torch.arange(NUM_NODES) % 3,
        },
        folder / "graph.pt",
    )
    return str(folder / "graph.pt")


def adjacency(folder: Path) -> str:
    parts = {f"adj_{part}": getattr(matrix(), part) for part in ("data", "indices", "indptr")}
    np.savez(folder / "a.npz", y=np.arange(NUM_NODES) % 3, adj_shape=np.array([NUM_NODES] * 2), **parts)
    return str(folder / "a.npz")


def dgl(folder: Path) -> str:
    write_csv(folder / "nodes.csv", {"node_id": IDS, "label": columns()["label"]})
    ends = {"src_id": [IDS[s] for s in EDGES[:, 0]], "dst_id": [IDS[t] for t in EDGES[:, 1]]}
    write_csv(folder / "edges.csv", {**ends, "weight": [str(weight) for weight in WEIGHTS]})
    (folder / "meta.yaml").write_text(
        "dataset_name: a\nnode_data:\n- file_name: nodes.csv\nedge_data:\n- file_name: edges.csv\n"
    )
    return str(folder)


FORMATS: dict[str, Callable[[Path], str]] = {
    "npz": lambda folder: write_npz(folder, edge_index=EDGES.T, weight=np.array(WEIGHTS)),
    "npz [E, 1]": lambda folder: write_npz(folder, edge_index=EDGES.T, weight=np.array(WEIGHTS, np.float32)[:, None]),
    "adjacency": adjacency,
    "pt": lambda folder: saved(folder, weight=torch.tensor(WEIGHTS)),
    "adj_t": saved_adj_t,
    "mtx": mtx,
    "networkx' list": networkx_list,
    "list": third_column,
    "list with commas": lambda folder: third_column(folder, ","),
    "graphml": lambda folder: written(folder, networkx.write_graphml, "graphml"),
    "gexf": lambda folder: written(folder, networkx.write_gexf, "gexf"),
    "dgl": dgl,
}


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_keeps_them(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = FORMATS[kind](tmp_path)
    assert weighted(read(path, edge_weight="weight")) == pytest.approx(WANTED)
    assert "weight" not in caplog.text, "what is used isn't said to be left out"
    assert read(path).edge_weight is None


def test_without_the_setting_a_line_names_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for kind in FORMATS:
        caplog.clear()
        (tmp_path / kind).mkdir()
        read(FORMATS[kind](tmp_path / kind))
        assert "--data.edge_weight" in caplog.text, kind
    read(saved(tmp_path, edge_attr=torch.tensor(WEIGHTS)))
    assert "'edge_attr' are not used" in caplog.text.splitlines()[-1]
    assert "--data.edge_weight NAME" in caplog.text.splitlines()[-1]


def test_the_weights_of_a_data_of_pyg(tmp_path: Path) -> None:
    data = Data(edge_index=torch.from_numpy(EDGES.T.copy()), y=torch.arange(NUM_NODES) % 3)
    data.edge_attr = torch.tensor(WEIGHTS)[:, None]
    torch.save(data, tmp_path / "graph.pt")
    assert weighted(read(str(tmp_path / "graph.pt"), edge_weight="edge_attr")) == pytest.approx(WANTED)


@every_day("ending", ["csv", "parquet"], 1)
def test_a_column_of_the_table(tmp_path: Path, ending: str) -> None:
    path = table(tmp_path, name="Amount")
    if ending == "parquet":
        frame = polars.read_csv(tmp_path / "edges.csv")
        (tmp_path / "edges.csv").unlink()
        frame.write_parquet(tmp_path / "edges.parquet")
    dataset = read(path, edge_weight="amount")
    assert dataset.edge_weight.tolist() == [float(cell) for cell in ROWS]
    assert dataset.edge_index.equal(read(path).edge_index)


def test_a_decimal_comma(tmp_path: Path) -> None:
    write_folder(tmp_path)
    lines = [f"{s};{t};{w.replace('.', ',')}" for s, t, w in zip(*ring(columns()["id"]).values(), ROWS, strict=True)]
    (tmp_path / "edges.csv").write_text("\n".join(["source;target;w", *lines]))
    assert read(str(tmp_path), edge_weight="w").edge_weight.tolist() == [float(cell) for cell in ROWS]
    lines = [f"{line};{str(weight).replace('.', ',')}" for line, weight in zip(LINES, WEIGHTS, strict=True)]
    path = listed(tmp_path / "list", "a.edgelist", "\n".join(line.replace(" ", ";") for line in lines))
    assert weighted(read(path, edge_weight="weight")) == pytest.approx(WANTED)


def test_gephis_undirected_edges_have_it_both_ways(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {**ring(columns()["id"]), "Type": ["Undirected"] * NUM_NODES, "Weight": ROWS})
    found = weighted(read(path, edge_weight="Weight"))
    assert len(found) == 2 * NUM_NODES
    assert all(found[target, source] == weight for (source, target), weight in found.items())


def test_an_undirected_graphml_has_it_both_ways(tmp_path: Path) -> None:
    graph = networkx_graph(directed=False)
    for place, edge in enumerate(graph.edges):
        graph.edges[edge]["w"] = place + 1
    graph.add_edge("n0", "n0", w=99)
    networkx.write_graphml(graph, tmp_path / "a.graphml")
    found = weighted(read(str(tmp_path / "a.graphml"), edge_weight="w"))
    assert all(found[target, source] == weight for (source, target), weight in found.items())
    assert set(found.values()) == {*range(1, graph.number_of_edges()), 99}


def test_a_symmetric_matrix_has_it_both_ways(tmp_path: Path) -> None:
    text = "%%MatrixMarket matrix coordinate real symmetric\n30 30 3\n2 1 0.5\n3 3 7\n4 2 0\n"
    dataset = read(listed(tmp_path, "a.mtx", text), edge_weight="weight")
    assert weighted(dataset) == {(1, 0): 0.5, (0, 1): 0.5, (2, 2): 7}


def test_gexf_has_one_where_none_is_written(tmp_path: Path) -> None:
    path = Path(written(tmp_path, networkx.write_gexf, "gexf"))
    first = next(iter(WANTED))
    assert f'weight="{WANTED[first]}"' in path.read_text()
    path.write_text(path.read_text().replace(f' weight="{WANTED[first]}"', "", 1))
    assert 1.0 in weighted(read(str(path), edge_weight="weight")).values()


def test_an_edge_of_weight_zero_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = read(table(tmp_path, ["0", *ROWS[1:-1], "0.0"]), edge_weight="weight")
    without = {name: cells[1:-1] for name, cells in ring(columns()["id"]).items()}
    assert dataset.edge_index.equal(read(write_folder(tmp_path / "less", without)).edge_index)
    assert dataset.edge_weight.tolist() == [float(cell) for cell in ROWS[1:-1]]
    assert dataset.zero_weights == 2
    assert f"2 of {NUM_NODES} edges have weight 0 and are left out" in caplog.text


def test_rows_between_two_nodes_add_up_where_the_reverse_is_added(tmp_path: Path) -> None:
    edges = {"source": ["n0", "n1", "n0", "n5"], "target": ["n1", "n0", "n1", "n6"], "w": ["1", "2", "4", "8"]}
    dataset = read(write_folder(tmp_path, edges), edge_weight="w", undirected=True)
    assert weighted(dataset) == {(0, 1): 7, (1, 0): 7, (5, 6): 8, (6, 5): 8}
    assert dataset.edge_index.equal(read(write_folder(tmp_path, edges), undirected=True).edge_index)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("-0.5", "row 3 is -0.5"),
        ("", "row 3 has no weight"),
        ("NA", "row 3 has no weight"),
        ("nan", "row 3 has no weight"),
        ('"1,234"', "such as '1,234', where it can't be told"),
        ("1.5.2", "row 3 is '1.5.2'"),
        ('"1,2,3"', "such as '1,2,3', where it can't be told"),
        ("heavy", "row 3 is 'heavy'"),
        ("inf", "row 3 is 'inf'"),
        ("1e-40", "row 3 is 1e-40"),
        ("1e35", "multiply all by one number"),
    ],
)
def test_cells_that_are_no_weights(tmp_path: Path, refused: Callable, cell: str, words: str) -> None:
    path = table(tmp_path, [*ROWS[:2], cell, *ROWS[3:]])
    message = refused(path, "edges.csv: column 'weight'", words, edge_weight="weight")
    assert "--data.categorical" not in message, "the mend of a feature"
    assert "leave" in message or "multiply" in message or "write a point" in message


@every_day(("value", "words"), [(-1.0, "is -1"), (float("nan"), "has no weight"), (float("inf"), "is inf")], 1)
def test_values_that_are_no_weights(tmp_path: Path, refused: Callable, value: float, words: str) -> None:
    wrong = [*WEIGHTS[:4], value, *WEIGHTS[5:]]
    (tmp_path / "arrays").mkdir()
    refused(
        write_npz(tmp_path / "arrays", edge_index=EDGES.T, w=np.array(wrong)), f"w: edge 4 {words}", edge_weight="w"
    )
    refused(saved(tmp_path / "arrays", w=torch.tensor(wrong)), f"w: edge 4 {words}", edge_weight="w")
    refused(table(tmp_path, [*ROWS[:4], "-1", *ROWS[5:]]), "row 5 is -1", edge_weight="weight")
    frame = polars.DataFrame({**ring(columns()["id"]), "w": [*map(float, ROWS[:4]), value, *map(float, ROWS[5:])]})
    (tmp_path / "edges.csv").unlink()
    frame.write_parquet(tmp_path / "edges.parquet")
    refused(str(tmp_path), f"edges.parquet: column 'w': row 5 {words}", edge_weight="w")
    source, target = EDGES[4].tolist()
    graph = networkx_graph()
    for place, (start, end) in enumerate(EDGES.tolist()):
        graph.edges[IDS[start], IDS[end]]["w"] = wrong[place]
    networkx.write_graphml(graph, tmp_path / "a.graphml")
    refused(str(tmp_path / "a.graphml"), f"the edge '{IDS[source]}' - '{IDS[target]}' {words}", edge_weight="w")


def test_a_negative_entry_is_named_by_its_place(tmp_path: Path, refused: Callable) -> None:
    dense = np.zeros((NUM_NODES, NUM_NODES))
    dense[3, 5] = -2
    np.savez(tmp_path / "a.npz", adj=dense, y=np.arange(NUM_NODES) % 3)
    refused(str(tmp_path / "a.npz"), "the adjacency matrix: place (3, 5) is -2", edge_weight="weight")
    text = "%%MatrixMarket matrix coordinate real general\n30 30 2\n2 1 0.5\n3 4 -7\n"
    refused(listed(tmp_path / "m", "a.mtx", text), "a.mtx: the entry (3, 4) is -7", edge_weight="weight")
    skew = text.replace("general", "skew-symmetric")
    refused(listed(tmp_path / "s", "a.mtx", skew), "a.mtx is skew-symmetric", edge_weight="weight")
    pattern = "%%MatrixMarket matrix coordinate pattern general\n30 30 1\n2 1\n"
    refused(listed(tmp_path / "p", "a.mtx", pattern), "the entry (2, 1) has no weight", edge_weight="weight")


def test_names_that_nothing_has(tmp_path: Path, refused: Callable) -> None:
    refused(table(tmp_path), "no such column", "did you mean 'weight'?", edge_weight="weigth")
    refused(table(tmp_path), "no such column", edge_weight="source")
    refused(write_npz(tmp_path, edge_weight=np.ones(80)), "did you mean 'edge_weight'?", edge_weight="edge_weights")
    refused(saved(tmp_path, w=torch.ones(NUM_EDGES)), "no such array", edge_weight="v")
    refused(written(tmp_path, networkx.write_graphml, "graphml"), "'weight'", edge_weight="mass")
    refused(third_column(tmp_path / "list"), "give --data.edge_weight weight", edge_weight="w")


@pytest.mark.parametrize("shape", [(79,), (80, 2), (80, 1, 1), ()])
def test_arrays_of_another_shape(tmp_path: Path, refused: Callable, shape: tuple) -> None:
    refused(write_npz(tmp_path, w=np.ones(shape)), "it must be [E] or [E, 1] numbers", "80 edges", edge_weight="w")


def test_a_list_without_weights(tmp_path: Path, refused: Callable) -> None:
    path = listed(tmp_path, "a.edgelist", "\n".join([*LINES[:3], *(f"{line} 2" for line in LINES[3:])]))
    refused(path, "a.edgelist: column 'weight': row 1 has no weight", "3 such of", edge_weight="weight")


def test_formats_that_have_none(tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "out1_graph_edges.txt").write_text("a\tb\n0\t1\n")
    refused(str(tmp_path), "--data.edge_weight doesn't hold for a folder of OGB or Geom-GCN", edge_weight="w")


def test_only_predicted_nodes_keep_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays(w=np.arange(1.0, 81)))
    dataset = read(str(tmp_path / "a.npz"), edge_weight="w", classes=("a", "b"), task="multilabel")
    assert dataset.edge_weight.tolist() == list(range(1, 81))


def test_the_user_says_what_the_decimal_mark_of_weights_is(tmp_path: Path) -> None:
    folder = table(tmp_path, [f'"{1 + number}.{500 + number}"' for number in range(NUM_NODES)])
    assert read(folder, edge_weight="weight").edge_weight[0] == 1.5
    assert read(folder, edge_weight="weight", decimal="comma").edge_weight[0] == 1500
