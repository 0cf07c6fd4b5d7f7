import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from daily import every_day

from .conftest import read
from .samples import IDS, NUM_NODES, NUMBERS, cells, columns, ring, to_parquet, write_csv, write_folder

SEVERAL = {
    "label": None,
    "label:funny": [str(i % 2) for i in range(NUM_NODES)],
    "label:sad": ["true" if i % 3 else "false" for i in range(NUM_NODES)],
}


def test_names_and_classes_are_kept(tmp_path: Path) -> None:
    dataset = read(write_folder(tmp_path / "my graph"), scaling="none")
    assert dataset.name == "my-graph"
    assert (dataset.node_ids.to_list(), dataset.class_names) == (IDS, ("blue", "green", "red"))
    assert dataset.y.tolist() == [2, 1, 0] * (NUM_NODES // 3)
    assert dataset.x.tolist() == [[i / 4] for i in range(NUM_NODES)]
    ends = torch.arange(NUM_NODES)
    assert torch.equal(dataset.edge_index, torch.stack([ends, ends.roll(-1)]))
    assert (dataset.task, dataset.metric, dataset.protocol, dataset.split_index) == (
        "multiclass",
        "accuracy",
        "public",
        0,
    )


def test_whole_ids_are_integers(tmp_path: Path) -> None:
    dataset = read(write_folder(tmp_path, id=NUMBERS))
    assert dataset.node_ids.to_list() == [10 * i for i in range(NUM_NODES)]
    assert dataset.edge_index[:, -1].tolist() == [NUM_NODES - 1, 0]


def test_ids_with_leading_zeros_are_text(tmp_path: Path) -> None:
    ids = [f"{i:03}" for i in range(NUM_NODES)]
    assert read(write_folder(tmp_path, id=ids)).node_ids.to_list() == ids


@every_day("ids", [IDS, NUMBERS], [IDS])
@every_day("stems", [("nodes",), ("edges",), ("nodes", "edges")], [("nodes",), ("nodes", "edges")])
def test_parquet_equals_csv(tmp_path: Path, ids: list[str], stems: tuple[str, ...]) -> None:
    path = write_folder(tmp_path, id=ids, kind=["u", "v", "w"] * 10)
    wanted = read(path)
    for stem in stems:
        to_parquet(tmp_path, stem, **({"kind": polars.Categorical} if stem == "nodes" else {}))
    found = read(path)
    assert torch.equal(found.x, wanted.x)
    assert torch.equal(found.edge_index, wanted.edge_index)
    assert torch.equal(found.y, wanted.y)
    assert found.node_ids.equals(wanted.node_ids)


@every_day("dtype", [polars.Float64, polars.UInt8, polars.String], 1)
def test_labels_of_parquet(tmp_path: Path, dtype: polars.DataType) -> None:
    path = write_folder(tmp_path, label=["10", "9", ""] * 10)
    to_parquet(tmp_path, "nodes", label=dtype)
    dataset = read(path)
    assert dataset.class_names == ("9", "10")
    assert dataset.y[:3].tolist() == [1, 0, -1]


@every_day(
    ("name", "dtype", "message"),
    [
        ("id", polars.Date, "ids must be integers or text"),
        ("label", polars.Date, "classes must be integers or text"),
    ],
    1,
)
def test_types_of_parquet_that_are_no_ids_or_labels(
    tmp_path: Path, refused: Callable, name: str, dtype: polars.DataType, message: str
) -> None:
    path = write_folder(tmp_path, id=NUMBERS, label=NUMBERS)
    to_parquet(tmp_path, "nodes", **{name: dtype})
    refused(path, f"column '{name}' holds {dtype} values", message)


def test_several_labels(tmp_path: Path) -> None:
    gap = {**SEVERAL, "label:sad": ["1", "", *["0", "1"] * 14], "label:funny": ["0", "", *["1", "0"] * 14]}
    path = write_folder(tmp_path, **gap)
    dataset = read(path, task="multilabel")
    assert (dataset.task, dataset.metric, dataset.class_names) == ("multilabel", "roc_auc", ("funny", "sad"))
    assert dataset.y[:3].tolist() == [[0, 1], [0, 0], [1, 0]]
    assert not (torch.cat(dataset.split) == 1).any(), "a node without labels is in no part"
    classes = read(path)
    assert (classes.task, classes.class_names) == ("multiclass", ("funny", "sad")), "each node has exactly one"
    assert classes.y[:3].tolist() == [1, -1, 0]


@pytest.mark.parametrize("gap", ["", "NA", "-1"])
def test_a_node_with_some_of_its_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture, gap: str) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = read(write_folder(tmp_path, **{**SEVERAL, "label:funny": cells(gap, gap, rest="1")[:25] + ["0"] * 5}))
    assert dataset.y[:3].tolist() == [[-1, 0], [-1, 1], [1, 1]]
    assert torch.cat(dataset.split).numel() == NUM_NODES
    assert "nodes.csv: the columns 'label:' are known in part for 2 nodes" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label:sad": cells(rest="yes")}, "column 'label:sad' must be 0 or 1, but holds 'yes'"),
        ({"label:sad": cells(rest="2")}, "must be 0 or 1, but 30 are not, such as 2.0"),
        ({"label": cells("b")}, "has both the column 'label' and 'label:funny', 'label:sad': keep one kind"),
        ({"label:": cells(rest="1")}, "must each have a name of their own after 'label:'"),
        ({"label:sad": None, "label:funny": None}, "nodes.csv has no column 'label' (it has 'id', 'size'): add one"),
    ],
)
def test_label_columns_that_do_not_fit(
    tmp_path: Path, refused: Callable, changes: dict[str, list], message: str
) -> None:
    refused(write_folder(tmp_path, **{**SEVERAL, **changes}), message)


def test_one_label_in_a_column_of_its_own(tmp_path: Path) -> None:
    dataset = read(write_folder(tmp_path, label=None, **{"label:a": ["1", "True", "0", "false", "0.0"] * 6}))
    assert (dataset.num_classes, dataset.task) == (1, "multilabel")
    assert dataset.y[:5].tolist() == [[1], [1], [0], [0], [0]]


def test_unlabelled_nodes_are_in_no_part(tmp_path: Path) -> None:
    dataset = read(write_folder(tmp_path, label=["red", "", "green"] * 10))
    assert dataset.y[:3].tolist() == [1, -1, 0]
    assert torch.equal(torch.cat(dataset.split).sort().values, (dataset.y >= 0).nonzero().flatten())


def test_a_class_of_minus_one_is_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = read(write_folder(tmp_path, label=["-1", "1"] * 15))
    assert dataset.class_names == ("-1", "1")
    assert "-1 is taken as a class" in caplog.text


def test_a_given_split(tmp_path: Path) -> None:
    words = ["train", " VAL", "test", "valid", "validation", ""]
    dataset = read(write_folder(tmp_path, split=words * 5))
    place = torch.arange(NUM_NODES) % 6
    assert torch.equal(dataset.split.train, (place == 0).nonzero().flatten())
    assert torch.equal(dataset.split.val, ((place == 1) | (place == 3) | (place == 4)).nonzero().flatten())
    assert torch.equal(dataset.split.test, (place == 2).nonzero().flatten())


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"split": cells("train", "val", rest="held")}, ["column 'split' holds 'held': write train, val or test"]),
        ({"split": cells("train", "val", rest="")}, ["no node is in the test part", "leave the split out"]),
        (
            {"split": cells("test", "val", "val", rest="train"), "label": cells("", "", "", "b")},
            ["2 of the 2 nodes in the val part have no label: leave them out of all parts"],
        ),
        ({"label": None}, ["no column 'label'"]),
        ({"label": cells()}, ["column 'label' holds only 'a', but two classes are needed"]),
        ({"id": cells("x", rest="")}, ["column 'id' is empty in 29 of 30 rows: give each node an id"]),
        ({"id": cells("y", *IDS[1:-1], "y")}, ["must differ for each node, but 'y' is there more than once"]),
    ],
)
def test_nodes_that_can_not_be_used(
    tmp_path: Path, refused: Callable, changes: dict[str, list], parts: list[str]
) -> None:
    refused(write_folder(tmp_path, ring(IDS), **changes), *parts)


def test_a_split_may_not_name_unlabelled_nodes_of_several_labels(tmp_path: Path, refused: Callable) -> None:
    gaps = {name: cells("", *["1"] * 10, rest="0") for name in ("label:a", "label:b")}
    path = write_folder(tmp_path, label=None, split=["train", "val", "test"] * 10, **gaps)
    refused(path, "1 of the 10 nodes in the train part have no label")


def test_there_is_one_given_split(tmp_path: Path, refused: Callable) -> None:
    path = write_folder(tmp_path, split=["train", "val", "test"] * 10)
    refused(path, "split 1: its files hold 1 split, number 0. Set --data.split", split=1)


def test_a_table_without_rows(tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "nodes.csv").write_text("id,label\n")
    (tmp_path / "edges.csv").write_text("source,target\n")
    refused(str(tmp_path), "nodes.csv has no rows")


def test_a_graph_without_edges_or_features(tmp_path: Path) -> None:
    dataset = read(write_folder(tmp_path, {"source": [], "target": []}, size=None))
    assert dataset.edge_index.shape == (2, 0)
    assert dataset.x.tolist() == [[1, 0, 0]] * NUM_NODES


@pytest.mark.parametrize(
    ("edges", "parts"),
    [
        (
            {"source": ["n1", "x", "y"], "target": ["n2"] * 3},
            [
                "edges.csv: column 'source' names ids that no node has, 2 times of 3, such as 'x': add these nodes",
                "called 'n0', 'n1', 'n2', ... (30 in all)",
            ],
        ),
        ({"source": ["n1", "n2"], "target": ["n2", ""]}, ["column 'target' is empty in 1 of 2 rows"]),
        ({"a": ["n1"], "b": ["n2"]}, ["edges.csv has no column 'source', 'target'", "It has 'a', 'b'"]),
        (
            {"source": ["n1"], "targets": ["n2"]},
            ["no column 'target'; did you mean 'targets'?", "--data.columns '{target: targets}'"],
        ),
        (
            {"from_account": ["n1"], "toAccount": ["n2"]},
            ["--data.columns '{source: from_account, target: toAccount}'"],
        ),
    ],
)
def test_edges_that_can_not_be_used(
    tmp_path: Path, refused: Callable, edges: dict[str, list], parts: list[str]
) -> None:
    refused(write_folder(tmp_path, edges), *parts)


def test_an_edge_to_a_word_among_whole_ids(tmp_path: Path, refused: Callable) -> None:
    path = write_folder(tmp_path, {"source": ["n1"], "target": ["N2"]})
    refused(path, "such as 'N2'", "The nodes are called 'n0', 'n1', 'n2', ... (30 in all)")
    path = write_folder(tmp_path, {"source": ["10", "20"], "target": ["20", "n3"]}, id=NUMBERS)
    refused(path, "1 times of 2, such as 'n3'")


def test_further_columns_of_edges_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    edges = {"weight": ["0.5"] * NUM_NODES, **ring(IDS), "year": ["x"] * NUM_NODES}
    with caplog.at_level(logging.WARNING):
        assert read(write_folder(tmp_path, edges)).edge_index.shape == (2, NUM_NODES)
    assert f"{tmp_path / 'edges.csv'}: the columns 'weight', 'year' are not used" in caplog.text


def test_categorical_columns(tmp_path: Path, refused: Callable) -> None:
    path = write_folder(tmp_path, code=["7", "-1", ""] * 10)
    taken = read(path, categorical=("code",), scaling="none")
    assert taken.x[:3].tolist() == [[0, 0, 1], [0.25, 1, 0], [0.5, 0, 0]]
    assert read(path).feature_names == ("size", "code", "code=missing")
    refused(path, "--data.categorical names 'cods'", "did you mean 'code'?", categorical=("cods",))
    refused(path, "--data.categorical names 'label'", categorical=("label",))


@pytest.mark.parametrize("missing", ["nodes.csv", "edges.csv"])
def test_a_missing_table(tmp_path: Path, refused: Callable, missing: str) -> None:
    path = write_folder(tmp_path)
    (tmp_path / missing).unlink()
    refused(path, f"the folder holds no {missing} or {missing[:-4]}.parquet", "add one")


def test_long_and_strange_names_stay_short_in_errors(tmp_path: Path, refused: Callable) -> None:
    table = columns()
    write_csv(tmp_path / "nodes.csv", {"x" * 5000: table["id"], '"a\nb"': table["label"]})
    write_csv(tmp_path / "edges.csv", ring(table["id"]))
    assert len(refused(str(tmp_path), "no column 'id'", r"'a\nb'")) < 400


def test_the_columns_names_are_kept_and_so_is_the_file_of_features(tmp_path: Path) -> None:
    dataset = read(write_folder(tmp_path / "a", kind=["u", "v", "w"] * 10))
    assert dataset.feature_names == ("size", "kind=u", "kind=v", "kind=w")
    assert dataset.features_file is None
    path = write_folder(tmp_path / "b", size=None)
    assert read(path).feature_names is None, "degrees"
    np.save(tmp_path / "b" / "features.npy", np.ones((NUM_NODES, 2), np.float32))
    dataset = read(path)
    assert dataset.feature_names is None
    assert dataset.features_file == str(tmp_path / "b" / "features.npy")


@pytest.mark.parametrize("name", ["id", "label", "kind", "ki\ud83dnd", "label:\ud83d"])
def test_half_a_character_in_a_table(tmp_path: Path, refused: Callable, name: str) -> None:
    """Half a character of UTF-16, as three bytes that are no UTF-8, in a cell or the name of a column."""
    path = write_folder(tmp_path)
    halves = ["0", *["1"] * (NUM_NODES - 1)] if "\ud83d" in name else [f"caf\ud83d{i % 3}" for i in range(NUM_NODES)]
    table = columns(**{"label": None} if name.startswith("label:") else {}) | {name: halves}
    lines = [",".join(table), *(",".join(cells) for cells in zip(*table.values(), strict=True))]
    (tmp_path / "nodes.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    refused(path, "nodes.csv can't be read as CSV, as it is no text in UTF-8: save it as UTF-8")
