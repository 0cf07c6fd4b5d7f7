"""Columns under the names that other programs give them."""

import logging
from collections.abc import Callable
from pathlib import Path

import polars
import pytest
import torch
from daily import every_day

from spx.datasets import NodeDataset, OwnSettings
from spx.datasets.own import read_own
from spx.graph_check.columns import column_lines

from .conftest import read
from .samples import IDS, NUM_NODES, cells, columns, ring, to_parquet, write_csv, write_folder

CLASSES = columns()["label"]
SIZES = columns()["size"]
NUMBERS = [str(number % 4) for number in range(NUM_NODES)]


def write(folder: Path, nodes: dict[str, list], edges: dict[str, list] | None = None) -> str:
    folder.mkdir(exist_ok=True)
    write_csv(folder / "nodes.csv", nodes)
    write_csv(folder / "edges.csv", edges or ring(IDS))
    return str(folder)


def assert_usual(dataset: NodeDataset, features: tuple[str, ...] | None = ("size",)) -> None:
    """It is the graph of `write_folder`."""
    assert dataset.node_ids.to_list() == IDS
    assert (dataset.class_names, dataset.y[:3].tolist()) == (("blue", "green", "red"), [2, 1, 0])
    assert dataset.feature_names == features
    ends = torch.arange(NUM_NODES)
    assert torch.equal(dataset.edge_index[:, :NUM_NODES], torch.stack([ends, ends.roll(-1)]))


@every_day("label", ["Label", "LABEL", "y", "Y", "class", "Target"], 2)
@pytest.mark.parametrize(
    "name", ["Id", "ID", "node", "node_id", "nodeId", "Node ID", ":ID", "vertex", "acc:ID(Person)"]
)
def test_usual_names_of_nodes(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, label: str) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = read(write(tmp_path, {label: CLASSES, "size": SIZES, name: IDS}))
    assert_usual(dataset)
    told = name.removesuffix(":ID(Person)")
    assert f"nodes.csv: taken: {told!r} as id, {label!r} as label. --data.columns sets" in caplog.text
    assert [(line.name, line.taken_as) for line in column_lines(dataset.schema)] == [
        *[(label, "label"), (told, "id")],
        *[("source", "source"), ("target", "target"), ("size", "number")],
    ]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *[("Source", "Target"), ("from", "to"), ("SRC", "DST"), ("src", "dest"), ("u", "v"), (":START_ID", ":END_ID")],
        *[("source_id", "target_id"), ("FromNodeId", "ToNodeId"), (":START_ID(a)", ":END_ID(b)"), ("src", "target")],
    ],
)
def test_usual_names_of_edges(tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str, target: str) -> None:
    ends = ring(IDS)
    with caplog.at_level(logging.WARNING):
        dataset = read(write(tmp_path, columns(), {"weight": SIZES, target: ends["target"], source: ends["source"]}))
    assert_usual(dataset)
    assert "edges.csv: taken: " in caplog.text
    others = {other["kind"]: other["name"] for other in dataset.schema["others"]}
    assert (others["source"], others["target"]) == (source, target)


def test_exact_names_are_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(write_folder(tmp_path))
    assert "taken" not in caplog.text


def test_the_user_says_which_columns_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    part = ["train", "val", "test"] * 10
    nodes = {"accountId": IDS, "label": NUMBERS, "size": SIZES, "risk": CLASSES, "part": part, "id": SIZES}
    ends = ring(IDS)
    path = write(tmp_path, nodes, {"a": ends["source"], "b": ends["target"], "source": SIZES, "target": SIZES})
    names = {"id": "accountId", "label": "RISK", "split": "part", "source": "a", "target": "b"}
    with caplog.at_level(logging.WARNING):
        dataset = read(path, columns=names)
    assert_usual(dataset, ("label", "size", "id"))
    assert [part[0].item() for part in dataset.split] == [0, 1, 2]
    assert (
        "taken: 'accountId' as id, 'risk' as label, 'part' as split, 'id' as a feature, 'label' as a feat"
        in caplog.text
    )
    assert "the columns 'source', 'target' are not used" in caplog.text
    to_parquet(tmp_path, "nodes")
    assert torch.equal(read(path, columns=names).x, dataset.x)


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ({"ids": "id"}, ["--data.columns names 'ids'", "did you mean 'id'?", "There are 'id', 'label', 'split'"]),
        ({"id": "ident"}, ["--data.columns takes 'ident' for 'id', but nodes.csv has no such column", "'size'"]),
        ({"label": "siz"}, ["did you mean 'size'?"]),
        ({"source": "sources"}, ["edges.csv has no such column; did you mean 'source'"]),
        ({"id": "label", "label": "label"}, ["takes 'label' twice: name another column for 'label'"]),
        ({"id": 3}, ["names a column 3: write the name in quotes"]),
    ],
)
def test_names_that_no_column_has(tmp_path: Path, refused: Callable, names: dict, parts: list[str]) -> None:
    refused(write_folder(tmp_path), *parts, columns=names)


def test_they_only_hold_for_tables(tmp_path: Path, refused: Callable) -> None:
    from .samples import write_npz

    refused(write_npz(tmp_path), "--data.columns only holds for a folder of tables", columns={"id": "x"})


def test_of_two_the_exact_name_wins_and_the_other_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = read(write(tmp_path, {"y": NUMBERS, "node": NUMBERS, **columns()}))
    assert_usual(dataset, ("y", "node", "size"))
    assert "taken: 'node' as a feature, 'y' as a feature" in caplog.text


@pytest.mark.parametrize(
    ("nodes", "edges", "parts"),
    [
        (
            {"id": IDS, "y": CLASSES, "class": CLASSES},
            None,
            ["nodes.csv: 'y', 'class' may each be the label", "--data.columns '{label: y}'", "leave the others out"],
        ),
        ({"id": IDS, "Label": CLASSES, "y": CLASSES}, None, ["'Label', 'y' may each be the label"]),
        ({"node": IDS, "vertex": IDS, "y": CLASSES}, None, ["'node', 'vertex' may each be the id"]),
        ({"Id": IDS, "ID": IDS, "y": CLASSES}, None, ["'Id', 'ID' may each be the id"]),
        (
            columns(),
            {"from": IDS, "to": IDS, "src": IDS, "dst": IDS},
            ["edges.csv: 'from', 'to', 'src', 'dst' may all be ends", "--data.columns '{source: from, target: to}'"],
        ),
        (
            {"node": cells("a", rest="b"), "label": CLASSES},
            None,
            ["column 'node' must differ for each node, but 'b' is there more", "--data.columns '{id: NAME}'"],
        ),
    ],
)
def test_two_that_may_be_meant(
    tmp_path: Path, refused: Callable, nodes: dict[str, list], edges: dict[str, list] | None, parts: list[str]
) -> None:
    refused(write(tmp_path, nodes, edges), *parts)


def test_of_two_ids_the_one_that_differs(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, {"vertex": NUMBERS, "node": IDS, "label": CLASSES}))
    assert (dataset.node_ids.to_list(), dataset.feature_names) == (IDS, ("vertex",))


def test_a_pair_of_ends_is_kept_together(tmp_path: Path) -> None:
    ends = ring(IDS)
    edges = {"target": NUMBERS, "from": ends["source"], "to": ends["target"]}
    assert_usual(read(write(tmp_path, columns(), edges)))


@pytest.mark.parametrize(
    ("nodes", "parts"),
    [
        ({"account_id": IDS, "label": CLASSES}, ["did you mean 'account_id'?", "'{id: account_id}'"]),
        ({"accountId": IDS, "label": CLASSES}, ["did you mean 'accountId'?"]),
        ({"name": IDS, "label": CLASSES}, ["no column 'id'; did you mean 'name'?", "'{id: name}'"]),
        ({"my id": IDS, "label": CLASSES}, ["""as --data.columns '{id: "my id"}'"""]),
        ({"id": IDS, "lable": CLASSES}, ["no column 'label'; did you mean 'lable'?", "'{label: lable}'"]),
        ({"id": IDS, "LABLE": CLASSES}, ["did you mean 'LABLE'?"]),
        ({"id": IDS, "risk_class": CLASSES}, ["did you mean 'risk_class'?"]),
        ({"id": IDS, "risk": CLASSES, "size": SIZES}, ["(few values have 'risk')", "'{label: risk}'"]),
        (
            {"id": IDS, "age": SIZES, "town": CLASSES, "risk": CLASSES},
            ["few values have 'town', 'risk'", "label: NAME"],
        ),
        ({"id": IDS, "code": ["1", "2"] * 15, "risk": CLASSES}, ["few values have 'risk', 'code'", "{label: risk}"]),
        ({"id": IDS, "rate": ["0.5", "1.5"] * 15, "fold": ["train", "test"] * 15}, ["label: NAME", "'rate', 'fold')"]),
        ({"id": IDS, "clas": CLASSES}, ["did you mean 'clas'?"]),
        ({"rate": SIZES, "account": IDS, "label": CLASSES}, ["no column 'id'; did you mean 'account'?"]),
        ({"id": IDS, "label": IDS, "kind": CLASSES}, ["a name and no class", "(few values have 'kind')"]),
    ],
)
def test_near_misses(tmp_path: Path, refused: Callable, nodes: dict[str, list], parts: list[str]) -> None:
    refused(write(tmp_path, nodes), *parts)


@pytest.mark.parametrize("name", ["age", "table", "mail", "rate", "able", "value", "trans"])
def test_names_that_are_not_near(tmp_path: Path, refused: Callable, name: str) -> None:
    message = refused(write(tmp_path, {"id": IDS, name: SIZES, "colour": CLASSES}), "(few values have 'colour')")
    assert "did you mean" not in message


def test_gephi(tmp_path: Path, refused: Callable, caplog: pytest.LogCaptureFixture) -> None:
    ids = [f"a{number}" for number in range(150)]
    kinds = [("x", "y", "z")[number % 3] for number in range(150)]
    empty = [""] * 150
    sizes = [str(number % 9) for number in range(150)]
    nodes = {"Id": ids, "Label": [f"Name {i}" for i in ids], "timeset": empty, "category": kinds, "size": sizes}
    types = ["Undirected", "Directed", "undirected"] * 50
    edges = {"Source": ids, "Target": ids[1:] + ids[:1], "Type": types, "Id": sizes, "Label": empty, "Weight": sizes}
    path = write(tmp_path, nodes, edges)
    refused(path, "column 'Label': each of its 150 values is there once", "(few values have 'category', 'size')")
    with caplog.at_level(logging.WARNING):
        dataset = read(path, columns={"label": "category"})
    assert (dataset.class_names, dataset.feature_names) == (("x", "y", "z"), ("size",))
    both = [number for number in range(150) if number % 3 != 1]
    wanted = [[i, (i + 1) % 150] for i in range(150)] + [[(i + 1) % 150, i] for i in both]
    assert dataset.edge_index.T.tolist() == wanted
    assert "edges.csv: the 100 of 150 edges of type Undirected are taken both ways" in caplog.text
    assert "'Label' differs for each node, so it names them and is left out" in caplog.text
    assert "the columns 'timeset' are empty throughout and are left out" in caplog.text
    assert "the columns 'Id', 'Label', 'Weight' are not used" in caplog.text
    named = {**nodes, "class": kinds}
    assert read(write(tmp_path, named, edges)).class_names == ("x", "y", "z"), "of two the one that is no name"


def test_a_type_that_is_not_gephi_s_is_a_column_like_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = read(write(tmp_path, columns(), {**ring(IDS), "type": ["Undirected", "PAID"] * 15}))
    assert dataset.edge_index.size(1) == NUM_NODES
    assert "the columns 'type' are not used" in caplog.text


def test_neo4j(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nodes = {
        **{"accountId:ID(Account)": IDS, "size:double": SIZES, "risk:string": CLASSES, ":LABEL": cells(rest="Account")},
        **{"when:datetime": cells("2020-01-03", rest="2020-01-01"), "note:IGNORE": IDS},
        "vector:float[]": [f"{number};0.5" for number in range(NUM_NODES)],
    }
    ends = ring(IDS)
    edges = {
        ":START_ID(Account)": ends["source"],
        "amount:float": SIZES,
        ":END_ID(Account)": ends["target"],
        ":TYPE": IDS,
    }
    path = write(tmp_path, nodes, edges)
    with caplog.at_level(logging.WARNING):
        dataset = read(path, columns={"label": "risk"}, scaling="none")
    assert_usual(dataset, ("size", ":LABEL=Account", "when", "vector[0]", "vector[1]"))
    assert dataset.x[-1].tolist() == [29 / 4, 1, 0, 29, 0.5]
    assert "the columns 'note' are declared to be ignored and are left out" in caplog.text
    assert torch.equal(read(path, columns={"label": "risk:string"}, scaling="none").x, dataset.x), (
        "as the header has it"
    )


def test_several_labels_may_be_called_like_a_type(tmp_path: Path) -> None:
    flags = [str(number % 2) for number in range(NUM_NODES)]
    nodes = {"id": IDS, "label:int": flags, "Label:ID": flags[::-1], "size:int": SIZES}
    dataset = read(write(tmp_path, nodes))
    assert (dataset.class_names, dataset.feature_names) == (("int", "ID"), ("size",))


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__"])
def test_ids_as_the_index_that_pandas_writes(tmp_path: Path, refused: Callable, name: str) -> None:
    nodes = columns()
    assert_usual(read(write(tmp_path, {name: IDS, "label": nodes["label"], "size": nodes["size"]})))
    refused(write(tmp_path, {name: NUMBERS, "label": CLASSES}), "no column 'id'")


def test_a_split_by_another_name_is_no_feature(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fold = ["Train", "VALID", "test", "NA", "", "train"] * 5
    with caplog.at_level(logging.WARNING):
        dataset = read(write(tmp_path, {**columns(), "fold": fold}))
    assert_usual(dataset)
    assert [part.numel() for part in dataset.split] == [10, 5, 5]
    assert "taken: 'fold' as split" in caplog.text
    words = ["train", "test", "other"] * 10
    assert read(write(tmp_path, {**columns(), "fold": words})).feature_names[1:] == tuple(
        f"fold={word}" for word in sorted(set(words))
    )


def test_predictions_read_the_columns_of_the_training(tmp_path: Path) -> None:
    nodes = {"node": IDS, "class": CLASSES, "size": SIZES, "Fold": ["train", "val", "test"] * 10}
    trained = read(write(tmp_path, nodes, {"from": IDS, "to": IDS}))
    more = {"id": NUMBERS, "label": NUMBERS, **nodes}
    path = write(tmp_path, more, {"source": NUMBERS, "target": NUMBERS, "from": IDS, "to": IDS})
    dataset = read_own(path, "public", 0, OwnSettings(), trained.schema)
    assert (dataset.node_ids.to_list(), dataset.class_names) == (IDS, trained.class_names)
    assert torch.equal(dataset.x, trained.x)
    assert torch.equal(dataset.edge_index, trained.edge_index)
    assert all(map(torch.equal, dataset.split, trained.split))
    assert dataset.schema == trained.schema


@pytest.mark.parametrize("form", ["decimal comma", "plain", "thousands"])
def test_predictions_read_numbers_as_they_are_written_now(tmp_path: Path, form: str) -> None:
    numbers = [1000 + number for number in range(NUM_NODES)]
    texts = {
        "plain": [f"{number}.5" for number in numbers],
        "decimal comma": [f'"{number},5"' for number in numbers],
        "thousands": [f'"1,{number:03}.5"' for number in range(NUM_NODES)],
    }
    trained = read(write(tmp_path, columns(size=texts[form])))
    assert trained.schema["columns"][0]["form"] == form
    for text in texts.values():
        path = write(tmp_path, columns(size=text))
        assert torch.equal(read_own(path, "public", 0, OwnSettings(), trained.schema).x, trained.x)


def test_an_empty_column_that_the_network_knows_is_filled(tmp_path: Path) -> None:
    trained = read(write_folder(tmp_path, more=["1", "2", "4"] * 10))
    path = write_folder(tmp_path, more=[""] * NUM_NODES)
    dataset = read_own(path, "public", 0, OwnSettings(), trained.schema)
    fill = trained.schema["columns"][1]
    assert dataset.x[:, 1].tolist() == pytest.approx([(fill["fill"] - fill["mean"]) / fill["deviation"]] * NUM_NODES)
    assert read(path).feature_names == ("size",)


def test_parquet_of_other_names(tmp_path: Path) -> None:
    path = write(
        tmp_path, {"Node": IDS, "Y": CLASSES, "size": SIZES}, {"U": ring(IDS)["source"], "V": ring(IDS)["target"]}
    )
    to_parquet(tmp_path, "nodes", Y=polars.Categorical)
    to_parquet(tmp_path, "edges")
    assert_usual(read(path))
