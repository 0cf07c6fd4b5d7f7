"""`spx predict RUN_FOLDER` and `spx export` through the command line, and what docs/predictions.md shows."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from daily import every_day
from torch import Tensor

import spx
from spx.__main__ import main
from spx.data import graph_data
from spx.datasets import NodeDataset
from spx.nn.export import load_network, read_config
from spx.training import Spexphormer

from .conftest import Stages

Refused = Callable[..., str]
PAGE = (Path(__file__).parents[2] / "docs" / "predictions.md").read_text()


@pytest.fixture
def named(toy: NodeDataset, monkeypatch: pytest.MonkeyPatch) -> NodeDataset:
    """The toy graph is now a user's own, with names for its nodes and classes."""
    names = pl.Series([f"node {89 - number}" for number in range(90)])
    named = toy._replace(node_ids=names, class_names=("red", "green, dark", 'the "blue"'))
    monkeypatch.setattr(graph_data, "load_dataset", lambda *_: named)
    return named


def predict(folder: Path, output: str = "p.parquet", *arguments: object) -> pl.DataFrame:
    main(["predict", str(folder), "--output", output, *map(str, arguments)])
    return pl.read_parquet(output)


def probabilities(table: pl.DataFrame, start: str = "p:") -> Tensor:
    columns = [name for name in table.columns if name.startswith(start)]
    return torch.from_numpy(table.select(columns).to_numpy().copy())


def test_all_nodes_and_one_line_at_the_end(stages: Stages, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = predict(stages.wide)
    assert re.fullmatch(r"Predictions of 90 nodes in \d+\.\d s: p\.parquet\n", capsys.readouterr().out)
    spread = [f"spread:{number}" for number in range(3)]
    assert table.columns == ["node", "prediction", "probability", "label", "part", "p:0", "p:1", "p:2", *spread]
    assert table["node"].to_list() == list(range(90))
    assert probabilities(table).sum(1).allclose(torch.ones(90))
    assert table["prediction"].cast(pl.Int64).to_list() == probabilities(table).argmax(1).tolist()
    assert sorted(path.name for path in home.iterdir()) == sorted(
        ["p.parquet", *(path.name for path in home.glob("*.yaml"))]
    )


def test_with_the_run_s_draws_they_are_what_the_test_judged(stages: Stages, toy: NodeDataset, home: Path) -> None:
    p, nodes = probabilities(predict(stages.wide, "p.parquet", "--draws", 1)), toy.split.test
    accuracy = float((p[nodes].argmax(1) == toy.y[nodes]).float().mean())
    assert accuracy == pytest.approx(json.loads((stages.wide / "run.json").read_text())["test"])


def test_lightning_s_predict_gives_the_same(stages: Stages, home: Path) -> None:
    checkpoint = stages.wide / "checkpoints" / "best.ckpt"
    main(
        [
            *("predict", "--config", "wide.yaml", "--ckpt_path", str(checkpoint), "--name", "by-lightning"),
            *("--runs_dir", str(stages.home / "runs"), "--data.eval_batch_size", "40", "--data.eval_samples", "3"),
        ]
    )
    (path,) = (stages.home / "runs" / "toy" / "by-lightning").glob("version_*/predictions.npz")
    theirs = np.load(path)
    ours = spx.load(stages.wide).predict(draws=3)
    torch.testing.assert_close(ours.probabilities, torch.from_numpy(theirs["probabilities"]), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.spread, torch.from_numpy(theirs["spread"]), rtol=0, atol=1e-6)
    shutil.rmtree(path.parents[1])


@every_day("batch_size", [7, 90], 1)
def test_the_batch_size_changes_nothing(stages: Stages, home: Path, batch_size: int) -> None:
    whole = predict(stages.wide)
    table = predict(stages.wide, "other.parquet", "--batch_size", batch_size)
    for start in ("p:", "spread:"):
        torch.testing.assert_close(probabilities(table, start), probabilities(whole, start), rtol=0, atol=1e-6)


def test_names_of_the_user(stages: Stages, home: Path, named: NodeDataset) -> None:
    whole = predict(stages.wide)
    assert whole["node"].equals(named.node_ids)
    assert whole.columns[5:8] == ["p:red", "p:green, dark", 'p:the "blue"']
    assert set(whole["prediction"]) <= set(named.class_names)
    some = predict(stages.wide, "some.parquet", "--nodes", "node 3,node 80, node 41")
    assert some["node"].to_list() == ["node 3", "node 80", "node 41"]
    (home / "list.txt").write_text("node 3\r\nnode 80\n\nnode 41\n")
    assert predict(stages.wide, "list.parquet", "--nodes", "list.txt").equals(some)
    expected = probabilities(whole)[[86, 9, 48]]
    torch.testing.assert_close(probabilities(some), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("stage", ["estimator", "wide"])
@every_day("ending", ["csv", "npz"], 1)
def test_other_formats_and_stage_1(stages: Stages, home: Path, stage: str, ending: str) -> None:
    folder = getattr(stages, stage)
    table = predict(folder)
    main(["predict", str(folder), "--output", f"deeper/p.{ending}"])
    path = home / "deeper" / f"p.{ending}"
    if ending == "csv":
        assert pl.read_csv(path, schema_overrides=table.schema).equals(table)
    else:
        assert np.load(path)["probabilities"].tolist() == probabilities(table).tolist()
    assert any("spread" in name for name in table.columns) == (stage == "wide")


@every_day("file", ["x.npy", "x.npz"], 1)
def test_new_features(stages: Stages, home: Path, file: str) -> None:
    x = torch.randn(90, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).numpy()
    np.save("x.npy", x)
    np.savez("x.npz", x=x)
    table = predict(stages.wide, "p.parquet", "--features", file)
    expected = spx.load(stages.wide).predict(x=x).probabilities
    torch.testing.assert_close(probabilities(table), expected, rtol=0, atol=1e-6)
    assert not expected.allclose(spx.load(stages.wide).predict().probabilities, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nodes", "3,x"], ["1 of 2 nodes aren't in the graph, such as 'x'"]),
        (["--nodes", "none.txt"], ["There is no file none.txt"]),
        (["--nodes", ","], ["No node is given"]),
        (["--draws", "0"], ["draws is 0"]),
        (["--features", "none.npy"], ["none.npy can't be read", ".npy file"]),
        (["--features", "wide.yaml"], ["wide.yaml can't be read"]),
        (["--output", "p.xls"], ["p.xls; its name must end in .csv, .parquet, .npz"]),
        (["--device", "tpu5"], ["'tpu5' is unknown"]),
        (["--checkpoint", "none.ckpt"], ["no checkpoint none.ckpt"]),
        (["--scores", "none"], ["no score file none", "spx.load("]),
    ],
    ids=lambda value: value[0] if value[0].startswith("--") else "",
)
def test_what_can_not_be(stages: Stages, home: Path, refused: Refused, arguments: list, words: list) -> None:
    message = refused("predict", stages.wide, *([] if "--output" in arguments else ["--output", "p.csv"]), *arguments)
    assert message.startswith("spx: error: ")
    assert message.count("\n") == 1
    for word in words:
        assert word in message
    assert not (home / "p.csv").exists()


def test_what_is_no_finished_run(stages: Stages, home: Path, refused: Refused) -> None:
    assert "There is no folder nowhere" in refused("predict", "nowhere", "--output", "p.csv")
    shutil.copytree(stages.wide, home / "version_0")
    (home / "version_0" / "run.json").unlink()
    message = refused("predict", "version_0", "--output", "p.csv")
    assert "isn't finished" in message
    assert "spx resume version_0" in message
    assert "isn't finished" in refused("export", "version_0", "--output", "exported")


def test_a_failure_in_the_middle_leaves_the_old_table(
    stages: Stages, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(stages.wide)
    before, steps = (home / "p.parquet").read_bytes(), []
    predict_step = Spexphormer.predict_step

    def fail(self: Spexphormer, *arguments: object) -> dict[str, Tensor]:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return predict_step(self, *arguments)

    monkeypatch.setattr(Spexphormer, "predict_step", fail)
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        predict(stages.wide, "p.parquet", "--batch_size", 20)
    assert len(steps) == 3
    assert (home / "p.parquet").read_bytes() == before
    assert [path.name for path in home.iterdir() if path.suffix != ".yaml"] == ["p.parquet"]


def test_runs_that_were_moved(stages: Stages, home: Path) -> None:
    before = predict(stages.wide)
    shutil.copytree(stages.home / "runs", home / "elsewhere")
    shutil.copytree(stages.wide, home / "alone")
    assert predict(home / "elsewhere" / "toy" / "wide" / "version_0", "p.parquet").equals(before)
    scores = stages.estimator / "scores.safetensors"
    assert predict(home / "alone", "p.parquet", "--scores", scores).equals(before)


def test_an_exported_network_gives_the_same_logits(
    stages: Stages, home: Path, toy: NodeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (stages.wide, stages.estimator):
        main(["export", str(folder), "--output", "exported"])
        assert capsys.readouterr().out == "GraphTransformer of 3 outputs: exported\n"
        run, network = spx.load(folder), load_network("exported")
        neighborhoods = run.data.draw(-1) if folder == stages.wide else (run.data.graph,)
        with torch.no_grad():
            assert network(toy.x, neighborhoods).equal(run.model.network(toy.x, neighborhoods))
        config = read_config("exported")
        assert config.class_names == ("0", "1", "2")
        assert config.made_from["run"] == f"toy/{folder.parent.name}/version_0"
        assert config.made_from["dataset"] == "toy"
        assert config.made_from["metric"] == "accuracy"


@pytest.mark.full
def test_the_gcn_predicts_and_is_exported(home: Path, toy: NodeDataset) -> None:
    main(["fit", "--config", "estimator.yaml", "--config", "gcn.yaml", "--runs_dir", "runs"])
    folder = home / "runs" / "toy" / "gcn" / "version_0"
    table = predict(folder)
    main(["export", str(folder), "--output", "exported"])
    with torch.no_grad():
        logits = load_network("exported")(toy.x, (spx.load(folder).data.graph,))
    torch.testing.assert_close(logits.softmax(-1), probabilities(table), rtol=0, atol=1e-6)


@pytest.mark.full
def test_what_the_page_shows_runs(stages: Stages, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.replace("lightning_logs/minesweeper-sim/wide/version_0", str(stages.wide))
    commands = re.findall(r"^    spx ((?:predict|explain|export) (?!.*accounts).*)$", page, flags=re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        main(shlex.split(command))
    examples = [code for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "accounts" not in code]
    assert len(examples) == 3
    for example in examples:
        exec(compile(example, "predictions.md", "exec"), {})
    assert "('0', '1', '2')" in capsys.readouterr().out


def test_the_page_names_every_option_of_the_commands() -> None:
    from spx.inference.command import make_predict_parser
    from spx.inference.explain_command import make_explain_parser

    actions = [*make_predict_parser()._actions, *make_explain_parser()._actions]
    options = {name for action in actions for name in action.option_strings if len(name) > 2}
    of_fit = {"--config", "--data", "--model", "--init_from", "--calibrate"}
    assert options - {"--help"} == set(re.findall(r"--\w+", PAGE)) - of_fit
