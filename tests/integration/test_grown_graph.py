"""A run on its graph as it has become: nodes, edges, values and labels that came, went and changed."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch

from spx.__main__ import main
from spx.data.known_nodes import load_known_nodes
from spx.inference.run import load

from .test_changed_data import ESTIMATOR, NUM_NODES, WIDE, Rows, edges, folder, nodes, trained, write

__all__ = ["folder", "trained"]  # fixtures


def newer(folder: Path, table: Rows, pairs: Rows) -> str:
    (folder / "newer").mkdir()
    write(folder / "newer" / "nodes.csv", table)
    write(folder / "newer" / "edges.csv", pairs)
    return str(folder / "newer")


def grown(folder: Path) -> str:
    """Two nodes more, one less, one older, and the rows in another order."""
    new = [nodes()[0] | {"id": f"n{number}", "label": "", "split": ""} for number in (60, 61)]
    rows = [row | ({"age": "60"} if row["id"] == "n8" else {}) for row in nodes() if row["id"] != "n5"]
    pairs = [pair for pair in edges() if "n5" not in pair.values()]
    pairs += [{"source": one, "target": other} for one, other in (("n60", "n1"), ("n2", "n60"), ("n61", "n60"))]
    return newer(folder, [*new, *reversed(rows)], pairs)


@pytest.mark.full
def test_a_run_keeps_what_a_changed_graph_needs(folder: Path) -> None:
    known = load_known_nodes(WIDE + "/nodes.parquet")
    assert known.names.to_list() == [row["id"] for row in nodes()]
    assert known.part.tolist() == [["none", "train", "val", "test"].index(row["split"]) for row in nodes()]
    assert {path.name for path in Path(WIDE, "estimator").iterdir()} == {"model.json", "model.safetensors"}


@pytest.mark.parametrize("kind", ["wide", pytest.param("estimator", marks=pytest.mark.full)])
def test_what_changed_is_said_and_all_nodes_are_predicted(
    kind: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = grown(folder)
    if kind == "wide":
        (folder / ESTIMATOR / "scores.safetensors").unlink()  # the graph is scored anew
    with caplog.at_level(logging.WARNING):
        main(["predict", f"runs/mine/{kind}/version_0", "--dataset", place, "--output", "p.csv"])
    [message] = [record.message for record in caplog.records]
    assert "2 nodes are new, 1 node is gone" in message
    assert "1 that stayed has other features" in message
    assert "4 that stayed have other neighbours" in message  # three lost n5, n1 gained n60
    table = pl.read_csv("p.csv")
    assert table["node"].to_list() == pl.read_csv("newer/nodes.csv")["id"].to_list()
    assert set(table["prediction"]) <= set("abc")


def test_scores_of_the_graph_as_it_was_are_those_of_stage_1(folder: Path) -> None:
    """Labels alone changed: the estimator gives the scores that lie in its file, and so the same predictions."""
    before = load(WIDE, dataset="./mine", device="cpu")
    same = newer(folder, [row | ({"label": "a"} if row["id"] == "n1" else {}) for row in nodes()], edges())
    after = load(WIDE, dataset=same, device="cpu")
    assert after.match is not None
    assert torch.equal(before.data.scores.graph.source, after.data.scores.graph.source)
    torch.testing.assert_close(before.data.scores.scores_LM, after.data.scores.scores_LM, rtol=0, atol=1e-6)
    torch.testing.assert_close(before.predict().probabilities, after.predict().probabilities, rtol=0, atol=1e-5)


def test_predictions_far_from_a_change_move_no_more_than_between_draws(folder: Path) -> None:
    """Mean total variation over the nodes that stayed, against that of two seeds' draws on the unchanged graph."""
    run = load(WIDE, dataset="./mine", device="cpu")
    before = run.predict(draws=20).probabilities
    run = load(WIDE, dataset="./mine", device="cpu")
    run.data.seed = 1
    between_draws = float((run.predict(draws=20).probabilities - before).abs().sum(1).mean() / 2)
    pairs = [*edges(), {"source": "n60", "target": "n1"}, {"source": "n2", "target": "n60"}]
    after = load(WIDE, dataset=newer(folder, [*nodes(), nodes()[0] | {"id": "n60"}], pairs), device="cpu")
    moved = (after.predict(draws=20).probabilities[:NUM_NODES] - before).abs().sum(1) / 2
    assert float(moved.mean()) < 2 * between_draws


def test_nodes_that_are_new_are_explained_and_one_that_is_gone_is_named(
    folder: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    place = grown(folder)
    (folder / ESTIMATOR / "scores.safetensors").unlink()
    for output in ("why.html", "why.csv", "why.parquet"):
        main(["explain", WIDE, "--nodes", "n60", "n2", "--dataset", place, "--draws", "2", "--output", output])
    assert capsys.readouterr().out.count("Explanations of 2 nodes in ") == 3
    page, table = (folder / "why.html").read_text(), pl.read_parquet("why.parquet")
    assert "2 nodes are new, 1 node is gone" in page
    assert "<bdi>n60</bdi>" in page
    assert table["node"].unique(maintain_order=True).to_list() == ["n60", "n2"]
    attended = table.filter(node="n60", what="attention", edge="graph")["neighbor"].unique().to_list()
    assert set(attended) <= {"n2", "n61"}, "whom it attends to in the newer edges.csv"
    assert attended
    assert "n5" not in table["neighbor"]
    assert pl.read_csv("why.csv", infer_schema_length=None)["what"].equals(table["what"])
    message = refused("explain", WIDE, "--nodes", "n60", "n5", "--dataset", place, "--output", "gone.html")
    assert message.count("\n") == 1
    assert "1 of 2 nodes are gone from the graph since the run was trained, such as 'n5'" in message
    assert not (folder / "gone.html").exists()


def test_what_keeps_a_newer_graph_from_being_read_is_named(folder: Path, refused: Callable[..., str]) -> None:
    """An edge of a node that is gone, in a graph without labels, of which predictions have no need."""
    bare = [{name: row[name] for name in ("id", "age", "city", "amount")} for row in nodes() if row["id"] != "n5"]
    message = refused("predict", WIDE, "--dataset", newer(folder, bare, edges()), "--output", "p.csv")
    assert message.count("\n") == 1
    assert "edges.csv: column 'source' names ids that no node has, 3 times of 180, such as 'n5'" in message


@pytest.mark.parametrize(
    "file", ["nodes.parquet", "estimator/model.json", "estimator/model.safetensors", "estimator"], ids=str
)
def test_what_is_damaged_or_missing_is_named(file: str, folder: Path, refused: Callable[..., str]) -> None:
    place = grown(folder)
    path = folder / WIDE / file
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(path.read_bytes()[:50])
    message = refused("predict", WIDE, "--dataset", place, "--output", "p.csv")
    assert message.count("\n") == 1
    assert file.split("/")[-1] in message


@pytest.mark.full
def test_hidden_nodes_are_new_to_the_run(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = ["--data.dataset", "./mine", "--data.hidden", "0.2", "--runs_dir", "hidden"]
    for stage in ("estimator", "wide"):
        main(["fit", "--config", f"{stage}.yaml", *settings])
    run = "hidden/mine/wide/version_0"
    assert load(run, device="cpu").data.dataset.num_nodes == 48
    with caplog.at_level(logging.WARNING):
        whole = load(run, dataset="./mine", device="cpu")
    assert "12 nodes are new" in caplog.text
    assert whole.predict().probabilities.shape == (NUM_NODES, 3)
    names = whole.data.dataset.node_ids.to_list()
    hidden = {names[number] for number in (whole.match.numbers < 0).nonzero().flatten().tolist()}
    assert hidden == set(names) - set(load_known_nodes(f"{run}/nodes.parquet").names.to_list())


def test_a_fit_starts_from_a_runs_weights(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On the changed graph, with a class more; a learning rate near zero leaves the weights as they were given."""
    rows = [row | ({"label": "new"} if row["id"] in ("n0", "n60", "n61", "n7") else {}) for row in nodes()]
    place = newer(folder, [{name: cell for name, cell in row.items() if name != "split"} for row in rows], edges())
    fit = ["--data.dataset", place, "--init_from", WIDE, "--trainer.max_epochs", "1", "--model.lr", "1e-30"]
    with caplog.at_level(logging.INFO, "lightning.fabric.utilities.rank_zero"):
        main(["fit", "--config", "estimator.yaml", *fit, "--runs_dir", "later"])
        main(["fit", "--config", "wide.yaml", *fit, "--runs_dir", "later"])
    assert caplog.text.count("new classes: new") == 2
    before, after = (load(run, device="cpu") for run in (WIDE, "later/newer/wide/version_0"))
    assert after.class_names == ("a", "b", "c", "new")
    for (name, one), other in zip(before.model.state_dict().items(), after.model.state_dict().values(), strict=True):
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(other[: one.shape[0]] if one.dim() else other, one, msg=name)
    assert [column["mean"] for column in after.data.dataset.schema["columns"] if "mean" in column] == [
        column["mean"] for column in before.data.dataset.schema["columns"] if "mean" in column
    ]


@pytest.mark.full
def test_other_networks_weights_are_refused(folder: Path, refused: Callable[..., str]) -> None:
    fit = ["fit", "--config", "wide.yaml", "--data.dataset", "./mine", "--runs_dir", "runs"]
    message = refused(*fit, "--init_from", WIDE, "--model.width", "16")
    assert "width is 8 there and 16 here" in message
    assert "this is a fit of stage 2" in refused(*fit, "--init_from", ESTIMATOR)
    assert "There is no folder" in refused(*fit, "--init_from", "nowhere")
