"""A graph of one's own, from two CSV files to predictions, as docs/own-data.md tells it."""

import csv
import random
import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from spx.__main__ import main

from .processes import run_spx

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own-data.md").read_text()
NUM_NODES = 120


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`mygraph/` with names, classes of text, a category, and nodes without a label; links to the configurations."""
    rng = random.Random(0)
    (tmp_path / "mygraph").mkdir()
    with open(tmp_path / "mygraph" / "nodes.csv", "w", newline="") as file:
        write = csv.writer(file).writerow
        write(["id", "label", "age", "city"])
        for number in range(NUM_NODES):
            label = "" if number % 10 == 1 else rng.choice(["red", "blue, dark"])
            age = 20 + 30 * (label == "red") + rng.random()
            write([f"person {number}", label, age, rng.choice(["Rome", "Oslo"])])
    with open(tmp_path / "mygraph" / "edges.csv", "w", newline="") as file:
        write = csv.writer(file).writerow
        write(["source", "target"])
        for _ in range(4 * NUM_NODES):
            write([f"person {rng.randrange(NUM_NODES)}", f"person {rng.randrange(NUM_NODES)}"])
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["spx"])
    return tmp_path


def assert_predicted(path: Path) -> None:
    table = pl.read_csv(path)
    assert table["node"].to_list() == [f"person {number}" for number in range(NUM_NODES)]
    assert set(table["prediction"]) <= {"red", "blue, dark"}
    assert {"p:red", "p:blue, dark", "spread:red"} <= set(table.columns)
    assert (table["p:red"] + table["p:blue, dark"]).is_between(0.9999, 1.0001).all()
    labels = pl.read_csv(path.parent / "mygraph" / "nodes.csv")["label"].to_list()
    given = [(label, found) for label, found in zip(labels, table["prediction"], strict=True) if label]
    assert sum(label == found for label, found in given) > 0.8 * len(given), "age tells the classes apart"


@pytest.mark.full
def test_the_pages_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For another graph than the page's, and with few epochs."""
    (block,) = re.findall(r"In the project's folder:\n\n((?:    .*\n)+)", PAGE)
    block = block.replace("examples/accounts", "mygraph").replace("lightning_logs/accounts", "lightning_logs/mygraph")
    commands = [shlex.split(line)[1:] for line in block.splitlines()]
    assert [command[0] for command in commands] == ["check", "fit", "fit", "predict"]
    for command in commands:
        short = ["--trainer.max_epochs", "30"] if command[0] == "fit" else []
        main([*command, *short])
    assert_predicted(folder / "predictions.csv")
    assert "blue, dark: " in capsys.readouterr().out


@pytest.mark.full
def test_both_stages_and_predictions_in_one_command(folder: Path) -> None:
    study = ["study", "mygraph", "--predictions", "--extra=--trainer.max_epochs 20"]
    first = run_spx(*study, cwd=folder)
    assert first.returncode == 0, first.stderr
    target = folder / "lightning_logs" / "mygraph" / "predictions.csv"
    assert f"Predictions: {target.relative_to(folder)}" in first.stdout
    assert pl.read_csv(target).height == NUM_NODES
    assert (folder / "lightning_logs" / "mygraph" / "summary.json").is_file()

    with open(folder / "mygraph" / "edges.csv", "a") as file:
        file.write("person 0,person 1\n")
    changed = run_spx(*study, cwd=folder)
    assert changed.returncode == 0, changed.stderr
    assert "Done before" not in changed.stdout, "the files have changed"
    assert run_spx(*study, cwd=folder).stdout.count("Done before with the same settings") == 2


@pytest.mark.full
def test_check_names_the_recipe_where_it_is_another_than_the_file_s(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = ["check", "mygraph", "--facts"]
    main(check)
    shown = capsys.readouterr().out
    (words,) = re.findall(r"CONFIG=plus EXTRA_WIDE='(.*)'", shown)
    assert f"--data.k [{','.join(['4'] * 10)}]" in words, "the mean degree is 4"
    main(
        [
            "fit",
            "--config",
            "configs/mine/plus.yaml",
            "--data.dataset",
            "mygraph",
            *shlex.split(words),
            "--trainer.max_epochs",
            "2",
        ]
    )
    with monkeypatch.context() as patch:
        patch.setattr("spx.graph_check.command.MOST_TRAINING_NODES", 1)
        main(check)
    assert "CONFIG=plus" not in capsys.readouterr().out, "ten layers are not for a large graph"
    eight_edges = [*check, "--extra=--data.undirected true"]
    main(eight_edges)
    assert "--model.layer concat --model.dropout 0.2 --data.k [8," in capsys.readouterr().out, "few features"
    monkeypatch.setattr("spx.graph_check.plus_rule.MANY_FEATURES", 0.0)
    main(eight_edges)
    assert "CONFIG=plus" not in capsys.readouterr().out, "8 edges a node, many features: as the file has it"


@pytest.mark.full
def test_check_reports_and_estimates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "mygraph", "--extra=--data.undirected true --trainer.max_epochs 3"])
    out = capsys.readouterr().out
    for words in ("nodes", "120", "undirected", "2 classes", "12 without a", "homophily", "train", "attention edges"):
        assert words in out
    peaks = [float(peak) for peak in re.findall(r"│\s+([\d.]+) GB", out)]
    assert len(peaks) == 2
    assert all(0.2 < peak < 2 for peak in peaks)
    assert "all in one batch (--data.batch_size null)" in out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["check", "nowhere/"], ["graph nowhere/: there is no file or folder", "nodes.csv"]),
        (["check", "mygraph", "--configs_dir", "none"], ["neither in none/mine nor in none/base", "--facts"]),
        (["check", "mygraph", "--facts", "--extra=--data.undirectd true"], ["--extra can't be used", "undirectd"]),
        (["fit", "--config", "configs/actor/estimator.yaml", "--data.undirected", "true"], ["undirected only holds"]),
        (["study", "mine"], ["make mine DATASET=path"]),
        (["predict", "lightning_logs", "--output", "predictions.csv"], ["lightning_logs"]),
    ],
)
def test_what_can_not_be_is_told(
    folder: Path, command: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command)
    message = capsys.readouterr().err
    assert caught.value.code == 2
    for word in words:
        assert word in message
    assert message.count("\n") == 1


@pytest.mark.full
def test_a_graph_that_changed_is_predicted_as_it_is_now(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    import spx

    fit = ["fit", "--data.dataset", "mygraph", "--trainer.max_epochs", "1", "--config"]
    main([*fit, "configs/mine/estimator.yaml"])
    main([*fit, "configs/mine/wide.yaml"])
    run = spx.load("lightning_logs/mygraph/wide/version_0")
    assert run.predict(nodes=["person 3", "person 1"]).table()["node"].to_list() == ["person 3", "person 1"]
    with open("mygraph/edges.csv", "a") as file:
        file.write("person 5,person 6\n")
    changed = spx.load("lightning_logs/mygraph/wide/version_0")
    assert "1 that stayed has other neighbours" in caplog.text
    known = pl.read_parquet("lightning_logs/mygraph/wide/version_0/nodes.parquet")
    trained = known.filter(pl.col("part") == 1)["node"].to_list()
    parts = changed.predict().table().filter(pl.col("node").is_in(trained))["part"]
    assert trained
    assert set(parts) == {"train"}, "what was trained on is said, also on the graph as it is now"
