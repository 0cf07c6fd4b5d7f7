import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest
import torch

from spx.datasets import OwnSettings, data_fingerprint
from spx.datasets.own import read_own

from .conftest import read
from .samples import NUM_NODES, columns, ring, write_csv, write_folder

IDS = [f"n{i}" for i in range(NUM_NODES)]
NUMBERS = [str(10 * i) for i in range(NUM_NODES)]
SEVERAL = {
    "label": None,
    "label:funny": [str(i % 2) for i in range(NUM_NODES)],
    "label:sad": ["true" if i % 3 else "false" for i in range(NUM_NODES)],
}


def cells(*first: str, rest: str = "a") -> list[str]:
    return [*first, *[rest] * (NUM_NODES - len(first))]


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


def to_parquet(folder: Path, stem: str, **types: object) -> None:
    polars.read_csv(folder / f"{stem}.csv").cast(types).write_parquet(folder / f"{stem}.parquet")
    (folder / f"{stem}.csv").unlink()


@pytest.mark.parametrize("ids", [IDS, NUMBERS])
@pytest.mark.parametrize("stems", [("nodes",), ("edges",), ("nodes", "edges")])
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


@pytest.mark.parametrize("dtype", [polars.Float64, polars.UInt8, polars.String])
def test_labels_of_parquet(tmp_path: Path, dtype: polars.DataType) -> None:
    path = write_folder(tmp_path, label=["10", "9", ""] * 10)
    to_parquet(tmp_path, "nodes", label=dtype)
    dataset = read(path)
    assert dataset.class_names == ("9", "10")
    assert dataset.y[:3].tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("id", polars.Float64, "ids must be integers or text"),
        ("label", polars.Date, "classes must be integers or text"),
    ],
)
def test_types_of_parquet_that_are_no_ids_or_labels(
    tmp_path: Path, refused: Callable, name: str, dtype: polars.DataType, message: str
) -> None:
    path = write_folder(tmp_path, id=NUMBERS, label=NUMBERS)
    to_parquet(tmp_path, "nodes", **{name: dtype})
    refused(path, f"column '{name}' holds {dtype} values", message)


def test_several_labels(tmp_path: Path) -> None:
    gap = {**SEVERAL, "label:sad": ["1", "", *["0", "1"] * 14], "label:funny": ["0", "", *["1", "0"] * 14]}
    dataset = read(write_folder(tmp_path, **gap))
    assert (dataset.task, dataset.metric, dataset.class_names) == ("multilabel", "roc_auc", ("funny", "sad"))
    assert dataset.y[:3].tolist() == [[0, 1], [0, 0], [1, 0]]
    assert not (torch.cat(dataset.split) == 1).any(), "a node without labels is in no part"


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
        ({"split": cells("train", "val", rest="dev")}, ["column 'split' holds 'dev': write train, val or test"]),
        ({"split": cells("train", "val", rest="")}, ["no node is in the test part", "leave the split out"]),
        (
            {"split": cells("test", "val", "val", rest="train"), "label": cells("", "", "", "b")},
            ["2 of the 2 nodes in the val part have no label: leave them out of all parts"],
        ),
        ({"label": None}, ["no column 'label'"]),
        ({"label": cells()}, ["column 'label' holds only 'a', but two classes are needed"]),
        ({"id": cells("x", rest="")}, ["column 'id' is empty in 29 of 30 rows: give each node an id"]),
        ({"id": cells("y", *IDS[1:-1], "y")}, ["must differ for each node, but 'y' is there more than once"]),
        ({"size": cells(rest="")}, ["column 'size' is empty throughout: leave it out"]),
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
            ["edges.csv: column 'source' names ids that no node has, 2 times of 3, such as 'x': add these nodes"],
        ),
        ({"source": ["n1", "n2"], "target": ["n2", ""]}, ["column 'target' is empty in 1 of 2 rows"]),
        ({"from": ["n1"], "to": ["n2"]}, ["edges.csv has no column 'source', 'target'", "It has 'from', 'to'"]),
        ({"source": ["n1"], "targets": ["n2"]}, ["no column 'target'; did you mean 'targets'?"]),
    ],
)
def test_edges_that_can_not_be_used(
    tmp_path: Path, refused: Callable, edges: dict[str, list], parts: list[str]
) -> None:
    refused(write_folder(tmp_path, edges), *parts)


def test_an_edge_to_a_word_among_whole_ids(tmp_path: Path, refused: Callable) -> None:
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
    refused(path, "nodes.csv can't be read as CSV (columns separated by commas, text in UTF-8)")


def write_lines(
    folder: Path, nodes: str, edges: str = "source,target\na,b\nb,c\nc,d\nd,e\ne,f\nf,g\ng,h\nh,a\n"
) -> str:
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text(edges)
    return str(folder)


def table(*rows: str) -> str:
    return "\n".join(rows) + "\n"


EIGHT = "abcdefgh"


def test_the_word_na_is_no_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ["x", "x", "NA", "n/a", "y", "y", "null", "?"]
    path = write_lines(tmp_path, table("id,label", *map(",".join, zip(EIGHT, words, strict=True))))
    with caplog.at_level(logging.WARNING):
        dataset = read(path, shares=(0.5, 0.25, 0.25))
    assert dataset.class_names == ("x", "y")
    assert dataset.y.tolist() == [0, 0, -1, -1, 1, 1, -1, -1]
    assert "taken as missing (--data.missing sets the words): 'label': 'NA' (1 cell)" in caplog.text
    kept = read(path, missing=("null", "?"), stratify=False, shares=(0.5, 0.25, 0.25))
    assert kept.class_names == ("NA", "n/a", "x", "y")


def test_missing_words_are_the_same_in_csv_and_parquet(tmp_path: Path) -> None:
    gaps = {
        "label": [" red ", "red", "None", "blue", "blue", "-"] * 5,
        "split": ["train", "val", "NA", "test", "train", " NaN "] * 5,
        "city": ["Rome", "null", "Oslo", "ROME", "-", "?"] * 5,
        "size": ["1", "2", "N/A", "4.5", "", "nan"] * 5,
    }
    path = write_folder(tmp_path, **gaps)
    csv = read(path)
    polars.read_csv(f"{path}/nodes.csv", infer_schema=False).write_parquet(f"{path}/nodes.parquet")
    (tmp_path / "nodes.csv").unlink()
    parquet = read(path)
    assert csv.class_names == parquet.class_names == ("blue", "red")
    assert csv.feature_names == ("size", "size=missing", "city=Oslo", "city=ROME", "city=Rome")
    assert torch.equal(csv.x, parquet.x)
    assert csv.x[:6, 1].tolist() == [0, 0, 1, 0, 1, 1]
    assert [part[:2].tolist() for part in csv.split] == [part[:2].tolist() for part in parquet.split]
    assert csv.split.train[:2].tolist() == [0, 4]
    table = polars.read_parquet(f"{path}/nodes.parquet").with_columns(
        size=polars.Series([1.0, 2.0, None, 4.5, float("nan"), None] * 5)
    )
    table.write_parquet(f"{path}/nodes.parquet")
    assert torch.equal(read(path).x, csv.x), "typed, with NaN and null"


def test_a_node_may_be_called_na(tmp_path: Path) -> None:
    ids = ["NA", "-", *IDS[2:]]
    assert read(write_folder(tmp_path, id=ids)).node_ids.to_list() == ids


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_true_and_spaces_are_alike_in_both_kinds(tmp_path: Path, ending: str) -> None:
    path = write_folder(tmp_path, label=["fraud", "fraud ", " legit"] * 10, on=["True", "true", "FALSE"] * 10)
    if ending == "parquet":
        to_parquet(tmp_path, "nodes")
    dataset = read(path)
    assert dataset.class_names == ("fraud", "legit")
    assert dataset.x[:3, dataset.feature_names.index("on")].tolist() == [1, 1, 0]


@pytest.mark.parametrize("names", ["train_mask,val_mask,test_mask", "Train_Mask,VALID_MASK,Test_mask"])
@pytest.mark.parametrize("words", [("True", "False"), ("1", "0"), ("true", "")])
def test_mask_columns_are_the_split(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: str, words: tuple[str, str]
) -> None:
    parts = [0, 0, 1, 2, 0, 0, 1, 2]
    rows = [",".join([name, "xxxxyyyy"[place], *(words[part != own] for own in range(3))])
            for place, (name, part) in enumerate(zip(EIGHT, parts, strict=True))]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        dataset = read(write_lines(tmp_path, table(f"id,label,{names}", *rows)))
    assert [part.tolist() for part in dataset.split] == [[0, 1, 4, 5], [2, 6], [3, 7]]
    assert dataset.feature_names is None
    assert "are taken as the split" in caplog.text


def test_masks_of_train_and_test_leave_validation_to_be_drawn(tmp_path: Path) -> None:
    masks = {"train_mask": ["1", "1", "0"] * 10, "test_mask": ["0", "0", "1"] * 10}
    dataset = read(write_folder(tmp_path, **masks))
    assert [part.numel() for part in dataset.split] == [15, 5, 10]
    assert dataset.split.test.tolist() == list(range(2, 30, 3))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"train_mask": "1", "test_mask": "0", "split": "train"},
            "has the column 'split' and 'train_mask', 'test_mask'",
        ),
        ({"train_mask": "1", "val_mask": "0"}, "has 'train_mask', 'val_mask': it needs train_mask and test_mask"),
        ({"train_mask": "1", "test_mask": "0", "val_mask": "0", "valid_mask": "0"}, "once each"),
        ({"train_mask": "1", "test_mask": "0.5"}, "column 'test_mask' holds '0.5': write true or false"),
        ({"split": "dev"}, "column 'split' holds 'dev': write train, val or test"),
        ({"split": "1"}, "column 'split' holds '1' alone, and it can't be told which parts"),
    ],
)
def test_splits_that_can_not_be_used(tmp_path: Path, refused: Callable, columns: dict[str, str], message: str) -> None:
    refused(write_folder(tmp_path, **{name: cells(rest=word) for name, word in columns.items()}), message)


@pytest.mark.parametrize("numbers", [("0", "1", "2"), ("0.0", "1.0", "2.0")])
def test_numbers_as_a_split(tmp_path: Path, caplog: pytest.LogCaptureFixture, numbers: tuple[str, ...]) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = read(write_folder(tmp_path, split=[*numbers] * 10))
    assert [part[0].item() for part in dataset.split] == [0, 1, 2]
    assert "0, 1, 2 are taken as train, val, test" in caplog.text
    to_parquet(tmp_path, "nodes")
    assert all(map(torch.equal, read(str(tmp_path)).split, dataset.split))


def test_row_counters_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_folder(tmp_path, **{"__index_level_0__": NUMBERS[::-1], "Unnamed: 0": NUMBERS})
    to_parquet(tmp_path, "nodes")
    with caplog.at_level(logging.WARNING):
        assert read(path).feature_names == ("size",)
    assert "the columns '__index_level_0__', 'Unnamed: 0' number rows (pandas' index) and are left out" in caplog.text


@pytest.mark.parametrize("first", [0, 1])
def test_a_first_column_without_a_name_that_counts_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: int
) -> None:
    counter = [str(first + number) for number in reversed(range(NUM_NODES))]
    write_folder(tmp_path)
    write_csv(tmp_path / "nodes.csv", {"": counter, **columns()})
    write_csv(tmp_path / "edges.csv", {"": counter, **ring(IDS)})
    with caplog.at_level(logging.WARNING):
        assert read(str(tmp_path)).feature_names == ("size",)
    assert "'(the first, without a name)' number rows" in caplog.text


@pytest.mark.parametrize("counter", [NUMBERS, IDS, ["0"] * NUM_NODES])
def test_a_first_column_without_a_name_that_counts_nothing(
    tmp_path: Path, refused: Callable, counter: list[str]
) -> None:
    write_folder(tmp_path)
    write_csv(tmp_path / "nodes.csv", {"": counter, **columns()})
    refused(str(tmp_path), "nodes.csv: column 1 has no name", "index=False")


@pytest.mark.parametrize(("names", "mend"), [
    (["embeddings.npy"], "rename it to features.npy"),
    (["x.npz"], "rename it to features.npy"),
    (["features.npy", "Features.NPY"], "join its columns to those of features.npy"),
])  # fmt: skip
def test_other_arrays_in_the_folder_are_not_passed_over(
    tmp_path: Path, refused: Callable, names: list[str], mend: str
) -> None:
    path = write_folder(tmp_path, size=None)
    for name in names:
        (tmp_path / name).write_bytes(b"")
    refused(path, f"the folder holds '{names[-1]}' beside its tables", mend, "or move it elsewhere")
    if len(names) == 1 and names[0].endswith(".npy"):
        np.save(tmp_path / names[0], np.ones((NUM_NODES, 4), np.float32))
        (tmp_path / names[0]).rename(tmp_path / "features.npy")
        assert read(path).num_features == 4, "the mend works"


def test_each_label_once_is_a_name(tmp_path: Path, refused: Callable) -> None:
    rows = [f"{name},{name},{'xxxxyyyy'[place]}" for place, name in enumerate(EIGHT)]
    refused(write_lines(tmp_path, table("id,label,kind", *rows)), "each of its 8 values is there once, so it is a name")


def test_a_number_column_that_is_mostly_missing(tmp_path: Path) -> None:
    scores = ["NA", "NA", "302", "NA", "304", "NA", "306", "NA"]
    rows = [f"{name},{'xxxxyyyy'[place]},{scores[place]}" for place, name in enumerate(EIGHT)]
    dataset = read(write_lines(tmp_path, table("id,label,score", *rows)), scaling="none", shares=(0.5, 0.25, 0.25))
    assert dataset.feature_names == ("score", "score=missing")
    held = [float(scores[node]) for node in dataset.split.train.tolist() if scores[node] != "NA"]
    fill = float(np.median(held)) if held else 302.0
    assert dataset.x.tolist() == [[fill, 1] if score == "NA" else [float(score), 0] for score in scores]


def test_decimal_commas_are_no_categories(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f'{name},{"xxxxyyyy"[place]},"0,{place}"' for place, name in enumerate(EIGHT)]
    path = write_lines(tmp_path, table("id,label,rate", *rows))
    with caplog.at_level(logging.WARNING):
        dataset = read(path, scaling="none", shares=(0.5, 0.25, 0.25))
    assert dataset.x.flatten().tolist() == pytest.approx([place / 10 for place in range(8)])
    assert "decimal comma" in caplog.text


def test_a_list_column_of_parquet_is_an_embedding(tmp_path: Path) -> None:
    path = write_folder(tmp_path, size=None)
    values = np.random.default_rng(0).random((NUM_NODES, 3)).round(3)
    nodes = polars.read_csv(f"{path}/nodes.csv").with_columns(emb=polars.Series(values.tolist()))
    nodes.write_parquet(f"{path}/nodes.parquet")
    (tmp_path / "nodes.csv").unlink()
    dataset = read(path)
    assert dataset.feature_names == ("emb[0]", "emb[1]", "emb[2]")
    assert np.array_equal(dataset.x.numpy(), values.astype(np.float32))


def test_the_schema_of_training_is_applied_to_other_values(tmp_path: Path) -> None:
    path = write_folder(tmp_path, kind=["u", "v", "w"] * 10)
    trained = read(path)
    sizes = [str(100 + i) for i in range(NUM_NODES)]
    write_folder(tmp_path, kind=["u", "v", "z"] * 10, size=sizes)
    applied = read_own(path, "public", 0, OwnSettings(), trained.schema)
    size = trained.schema["columns"][0]
    wanted = [(100 + i - size["mean"]) / size["deviation"] for i in range(NUM_NODES)]
    assert applied.x[:, 0].tolist() == pytest.approx(wanted, rel=1e-5)
    assert applied.x[:3, 1:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert applied.feature_names == trained.feature_names
    assert applied.schema == trained.schema


def test_the_fingerprint_is_of_the_values_before_they_are_scaled(tmp_path: Path) -> None:
    path = write_folder(tmp_path, size=[*map(str, range(1, NUM_NODES)), ""])
    prints = {data_fingerprint(read(path, scaling=scaling)) for scaling in ("none", "standard", "log")}
    assert len(prints) == 1
    write_folder(tmp_path, size=[*map(str, range(1, NUM_NODES)), "7"])
    assert data_fingerprint(read(path)) not in prints
