"""A graph of one's own that is edited after a fit: what goes on, what is refused, and what is said."""

import csv
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from daily import every_day

from spx.__main__ import main
from spx.inference.export import export_run
from spx.inference.run import load
from spx.nn.export import read_config

from .conftest import write_configs

NUM_NODES = 60
Rows = list[dict[str, str]]
ESTIMATOR, WIDE = "runs/mine/estimator/version_0", "runs/mine/wide/version_0"


def nodes() -> Rows:
    parts = ["train"] * 30 + ["val"] * 15 + ["test"] * 15
    return [
        {
            "id": f"n{i}",
            "label": "abc"[i % 3],
            "split": parts[7 * i % NUM_NODES],
            "age": str(20 + 5 * i % 31),
            "city": ("Rome", "Oslo")[i * i % 5 % 2],
            "amount": str(i % 7 / 2),
        }
        for i in range(NUM_NODES)
    ]


def edges() -> Rows:
    return [{"source": f"n{i}", "target": f"n{(i + step) % NUM_NODES}"} for i in range(NUM_NODES) for step in (1, 4, 9)]


def write(file: Path, rows: Rows) -> None:
    with file.open("w", newline="") as place:
        table = csv.DictWriter(place, rows[0])
        table.writeheader()
        table.writerows(rows)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the graph `mine`, and both stages' runs on it."""
    folder = tmp_path_factory.mktemp("changed")
    (folder / "mine").mkdir()
    write(folder / "mine" / "nodes.csv", nodes())
    write(folder / "mine" / "edges.csv", edges())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["spx"])
        write_configs(folder)
        for stage in ("estimator", "wide"):
            main(["fit", "--config", f"{stage}.yaml", "--data.dataset", "./mine", "--runs_dir", "runs"])
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, where the test runs."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["spx"])
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, str]], dict[str, str]], file: str = "nodes") -> None:
    write(folder / "mine" / f"{file}.csv", list(map(change, (nodes if file == "nodes" else edges)())))


def swapped(row: dict[str, str]) -> dict[str, str]:
    return row | {"split": {"train": "test", "test": "train"}.get(row["split"], row["split"])}


def relabelled(row: dict[str, str]) -> dict[str, str]:
    return row | {"label": {"n3": "b", "n4": "a"}.get(row["id"], row["label"])}


def older(row: dict[str, str]) -> dict[str, str]:
    return row | {"age": "99" if row["id"] == "n8" else row["age"]}


def rewired(row: dict[str, str]) -> dict[str, str]:
    return row | {"target": "n0" if row["source"] == "n30" else row["target"]}


def turned(row: dict[str, str]) -> dict[str, str]:
    return dict(reversed(row.items()))


def renamed(row: dict[str, str]) -> dict[str, str]:
    return {"years" if name == "age" else name: cell for name, cell in row.items()}


def moved_away(row: dict[str, str]) -> dict[str, str]:
    return row | {"city": row["city"].replace("Oslo", "Bergen")}


COLUMNS = {
    turned: "its feature columns changed (another order: 'amount' where 'age' was)",
    renamed: "its feature columns changed (missing 'age'; new 'years')",
    moved_away: "its feature columns changed (missing 'city=Oslo'; new 'city=Bergen')",
}
LACKING = "nodes.csv lacks feature columns (missing 'age'; new 'years')"
GRAPH = {swapped: "its split changed", relabelled: "its labels changed", rewired: "its edges changed"}


def each(*changes: Callable) -> pytest.MarkDecorator:
    """A test takes `change`: every day one of the labels and one of the columns, all in full."""
    return every_day("change", changes, (relabelled, turned))


def apply(folder: Path, change: Callable) -> None:
    edit(folder, change, "edges" if change is rewired else "nodes")


@each(*GRAPH, older, *COLUMNS)
@every_day("run", [ESTIMATOR, WIDE], 1)
def test_a_run_does_not_go_on_with_other_data(
    run: str, change: Callable, folder: Path, refused: Callable[..., str]
) -> None:
    apply(folder, change)
    scores = (folder / ESTIMATOR / "scores.safetensors").read_bytes()
    message = refused("resume", run, "--trainer.max_epochs", "4")
    assert message.count("\n") == 1
    words = {**GRAPH, **COLUMNS, older: "its features' values changed"}[change]
    assert (words if run == ESTIMATOR else words.split(" (")[0]) in message
    assert (folder / ESTIMATOR / "scores.safetensors").read_bytes() == scores


def test_a_run_goes_on_with_the_same_data(folder: Path) -> None:
    apply(folder, dict)
    main(["resume", ESTIMATOR, "--trainer.max_epochs", "3"])
    assert json.loads((folder / ESTIMATOR / "run.json").read_text())["epochs"] == 3


@pytest.mark.full
def test_a_run_goes_on_with_its_seed(folder: Path, refused: Callable[..., str]) -> None:
    for run in (ESTIMATOR, WIDE):
        more = ["--data.scores", f"{ESTIMATOR}/scores.safetensors"] if run == WIDE else []
        message = refused("resume", run, "--seed_everything", "5", *more)
        assert "seed is 5 here and 0 there" in message
        config = folder / run / "config.yaml"
        config.write_text(config.read_text().replace("seed: 0", "seed: 7").replace("everything: 0", "everything: 7"))
        assert "seed is 7 here and 0 there" in refused("resume", run, *more)


@each(*GRAPH, older, *COLUMNS)
def test_stage_2_says_what_changed_since_stage_1(change: Callable, folder: Path, refused: Callable[..., str]) -> None:
    apply(folder, change)
    message = refused("fit", "--config", "wide.yaml", "--data.dataset", "./mine", "--runs_dir", "runs")
    words = {**GRAPH, **COLUMNS, older: "its features' values changed"}[change].split(" (")[0]
    assert "No score file" in message
    assert words in message
    message = refused(
        *("fit", "--config", "wide.yaml", "--data.dataset", "./mine", "--runs_dir", "runs"),
        *("--data.scores", f"{ESTIMATOR}/scores.safetensors"),
    )
    assert f"was made for other data: {words}" in message


def test_predictions_without_a_column_are_refused(folder: Path, refused: Callable[..., str]) -> None:
    apply(folder, renamed)
    for run in (ESTIMATOR, WIDE):
        message = refused("predict", run, "--dataset", "./mine", "--output", "p.csv")
        assert message.count("\n") == 1
        assert LACKING in message
    assert not (folder / "p.csv").exists()


@each(*GRAPH)
def test_a_run_without_its_nodes_refuses_another_graph(
    change: Callable, folder: Path, refused: Callable[..., str]
) -> None:
    apply(folder, change)
    (folder / WIDE / "nodes.parquet").unlink()
    message = refused("predict", WIDE, "--dataset", "./mine", "--output", "p.csv")
    assert f"changed since: {GRAPH[change]}. The run has no nodes.parquet" in message


def predictions(folder: Path, run: str) -> str:
    main(["predict", run, "--dataset", "./mine", "--output", "p.csv"])
    return (folder / "p.csv").read_text()


@pytest.mark.parametrize("run", [ESTIMATOR, WIDE])
def test_predictions_take_columns_by_their_names(run: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    wanted = predictions(folder, run)
    apply(folder, turned)
    with caplog.at_level(logging.WARNING):
        assert predictions(folder, run) == wanted
    assert not caplog.records


def test_predictions_read_the_same_table_in_another_form(folder: Path) -> None:
    wanted = predictions(folder, ESTIMATOR)
    text = (folder / "mine" / "nodes.csv").read_text().replace(",", ";").replace(".", ",")
    text = text.replace("id;label;split", "Node ID;Label;SPLIT")
    (folder / "mine" / "nodes.csv").unlink()
    (folder / "mine" / "Vertices.csv").write_bytes(text.encode("utf-16"))
    text = (folder / "mine" / "edges.csv").read_text().replace("source,target", "from,to")
    (folder / "mine" / "edges.csv").rename(folder / "mine" / "links.csv")
    (folder / "mine" / "links.csv").write_text(text)
    assert predictions(folder, ESTIMATOR) == wanted


@pytest.mark.full
def test_a_run_knows_the_columns_that_were_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = "{id: acc, label: risk, source: a, target: b, split: part}"
    (folder / "named").mkdir()
    known = {"id": "acc:ID(Account)", "label": "risk:string", "split": "part", "age": "age:int"}
    write(folder / "named" / "nodes.csv", [{known.get(name, name): row[name] for name in row} for row in nodes()])
    write(folder / "named" / "edges.csv", [{"a": row["source"], "b": row["target"]} for row in edges()])
    (folder / "configs").mkdir()
    main(["check", "named", "--facts", "--json", "facts.json", f"--extra=--data.columns '{names}'"])
    taken = {line["name"]: line["taken_as"] for line in json.loads((folder / "facts.json").read_text())["columns"]}
    assert taken == {
        **{"acc": "id", "risk": "label", "part": "split", "a": "source", "b": "target"},
        **{"age": "number", "city": "category of 2 values", "amount": "number"},
    }
    main(
        ["fit", "--config", "estimator.yaml", "--data.dataset", "named", "--data.columns", names, "--runs_dir", "runs"]
    )
    run = "runs/named/estimator/version_0"
    others = json.loads((folder / run / "run.json").read_text())["schema"]["others"]
    assert {column["name"]: column["kind"] for column in others} == {
        name: kind for name, kind in taken.items() if kind in ("id", "label", "split", "source", "target")
    }
    main(["predict", run, "--output", "p.csv"])
    table = list(csv.DictReader((folder / "p.csv").open()))
    assert [row["node"] for row in table] == [f"n{i}" for i in range(NUM_NODES)]
    found = load(run, device="cpu").data.dataset
    assert (found.feature_names, found.class_names) == (("age", "city=Oslo", "city=Rome", "amount"), ("a", "b", "c"))
    capsys.readouterr()


def test_predictions_keep_the_scales_and_categories_of_training(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Values of a node that no other is near change the predictions of that one alone, not everyone's scale."""
    dataset = load(ESTIMATOR, dataset="./mine", device="cpu").data.dataset
    edit(folder, lambda row: row | ({"age": "999", "city": "Bergen"} if row["id"] == "n8" else {}))
    with caplog.at_level(logging.WARNING):
        changed = load(ESTIMATOR, dataset="./mine", device="cpu").data.dataset
    others = [node for node in range(NUM_NODES) if node != 8]
    assert changed.x[others].equal(dataset.x[others])
    assert changed.x[8, changed.feature_names.index("age")] > 10
    assert changed.feature_names == dataset.feature_names
    assert "column 'city' holds 'Bergen', which training didn't have: these 1 nodes are in no category" in caplog.text


def test_features_of_ones_own_are_said_to_be_taken_as_scaled(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = load(ESTIMATOR, dataset="./mine", device="cpu")
    with caplog.at_level(logging.WARNING):
        run.predict(run.data.dataset)
        assert not caplog.records
        run.predict(x=run.data.dataset.x)
    assert "the features given are taken as already scaled" in caplog.text


def test_the_schema_lies_in_the_run_and_the_export(folder: Path) -> None:
    record = json.loads((folder / ESTIMATOR / "run.json").read_text())
    assert [(column["name"], column["kind"]) for column in record["schema"]["columns"]] == [
        ("age", "number"),
        ("city", "category"),
        ("amount", "number"),
    ]
    export_run(ESTIMATOR, "exported")
    assert read_config("exported").schema == record["schema"]


@each(swapped, relabelled, renamed)
def test_a_test_of_other_data_is_refused(change: Callable, folder: Path, refused: Callable[..., str]) -> None:
    apply(folder, change)
    best = f"{ESTIMATOR}/checkpoints/best.ckpt"
    test = ["--config", "estimator.yaml", "--data.dataset", "./mine", "--runs_dir", "runs", "--ckpt_path", best]
    for command in ("test", "validate"):
        message = refused(command, *test)
        assert (LACKING if change is renamed else GRAPH[change]) in message
        assert message.count("\n") == 1


@each(turned, moved_away)
def test_a_test_takes_columns_by_their_names(
    change: Callable, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = f"{ESTIMATOR}/checkpoints/best.ckpt"
    test = ["test", "--config", "estimator.yaml", "--data.dataset", "./mine", "--runs_dir", "runs", "--ckpt_path", best]
    main(test)
    wanted = figure(capsys.readouterr().out)
    apply(folder, change)
    main(test)
    assert (figure(capsys.readouterr().out) == wanted) or change is moved_away


def figure(printed: str) -> str:
    return next(line for line in printed.splitlines() if "test/accuracy" in line)


def test_a_run_goes_on_with_its_scales(folder: Path, refused: Callable[..., str]) -> None:
    message = refused("resume", ESTIMATOR, "--trainer.max_epochs", "4", "--data.scaling", "log")
    assert "other scales of the table's numbers. Give --data.scaling standard" in message


def test_a_checkpoint_alone_is_its_run(folder: Path) -> None:
    for run in (ESTIMATOR, WIDE):
        shutil.copy(folder / run / "checkpoints" / "best.ckpt", folder / "alone.ckpt")
        for place, output in ((run, "run.csv"), ("alone.ckpt", "alone.csv")):
            main(["predict", place, "--output", output, "--draws", "2"])
        assert (folder / "alone.csv").read_text() == (folder / "run.csv").read_text()
