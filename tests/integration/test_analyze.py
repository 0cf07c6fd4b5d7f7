"""`spx analyze` as a command: a small study of real runs, resumed, and of files; what it refuses."""

import html
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from spx.__main__ import main

from .conftest import Stages
from .processes import run_spx

CONFIGS = Path(__file__).parents[2] / "configs"
Refused = Callable[..., str]


def write_field(data_dir: Path, num_nodes: int = 60) -> None:
    """A little graph in the form of Minesweeper's raw file: a ring with chords, labels by stretch, one lone node."""
    nodes = np.arange(num_nodes)
    ends = np.random.default_rng(0).integers(num_nodes - 1, size=(2 * num_nodes, 2))
    edges = np.concatenate(
        [np.stack([nodes[:-1], (nodes[:-1] + 1) % (num_nodes - 1)], 1), ends[ends[:, 0] != ends[:, 1]]]
    )
    labels = (nodes // 10) % 2
    features = np.random.default_rng(1).normal(size=(num_nodes, 7)).astype(np.float32) + labels[:, None]
    part = nodes % 4
    masks = {"train_masks": part < 2, "val_masks": part == 2, "test_masks": part == 3}
    path = data_dir / "HeterophilousGraphDataset" / "minesweeper" / "raw" / "minesweeper.npz"
    path.parent.mkdir(parents=True)
    both = np.concatenate([edges, edges[:, ::-1]])
    np.savez(
        path,
        node_features=features,
        node_labels=labels,
        edges=both,
        **{n: np.stack([m] * 10) for n, m in masks.items()},
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small study through the command line, each run a process of its own (forked): 2 widths x 2 seeds x 2 graphs,
    and a wide network."""

    def start(_: object, command: list[str], run: Path) -> int:
        ended = run_spx(*command)
        (run / "fit.log").write_text(ended.stdout + ended.stderr)
        return ended.returncode

    folder = tmp_path_factory.mktemp("study")
    write_field(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("spx.experiments.parallel.Processes.start", start)
        for name in ("base", "minesweeper"):
            shutil.copytree(CONFIGS / name, folder / "configs" / name)
        main(arguments())
        yield folder


def arguments(*more: str) -> list[str]:
    few = ["--widths", "[2,4]", "--max_epochs", "8", "--num_layers", "3", "--ks", "[1,2,4]", "--draws", "2"]
    return ["analyze", "--config", "configs/minesweeper/analysis.yaml", "--runs", "small", *few, *more]


def table(folder: Path, name: str, **where: object) -> pl.DataFrame:
    found = pl.read_csv(folder / "tables" / f"{name}.csv")
    return found.filter(*(pl.col(column) == value for column, value in where.items()))


@pytest.fixture
def report(home: Path) -> Path:
    return home / "lightning_logs" / "minesweeper" / "analysis"


@pytest.mark.full
def test_every_run_is_an_ordinary_run_in_a_folder_of_its_own(home: Path) -> None:
    runs = sorted((home / "lightning_logs" / "minesweeper").glob("analysis-*/version_*"))
    assert [str(run.relative_to(run.parents[1])) for run in runs] == [
        *("analysis-augmented-w2/version_0", "analysis-augmented-w2/version_1"),
        *("analysis-augmented-w4/version_0", "analysis-augmented-w4/version_1"),
        *("analysis-graph-w2/version_0", "analysis-graph-w2/version_1"),
        *("analysis-graph-w4/version_0", "analysis-graph-w4/version_1"),
        "analysis-wide/version_0",
    ]
    for run in runs:
        assert {"run.json", "config.yaml", "checkpoints", "fit.log", "study.json"} <= {
            path.name for path in run.iterdir()
        }
    config = yaml.safe_load((runs[4] / "config.yaml").read_text())
    assert config["data"]["init_args"]["expander_degree"] == 0
    assert config["model"]["init_args"]["width"] == 2


@pytest.mark.full
def test_the_report_says_what_the_tables_say(report: Path) -> None:
    """The page's numbers, recomputed from the measures' CSV."""
    page = html.unescape((report / "report.html").read_text())
    pattern = r'<data value="([^"]*)" data-claim="([^"]*)" data-graph="([^"]*)" data-quantity="([^"]*)">([^<]*)<'
    found = {
        (claim, graph, name): (float(value), shown) for value, claim, graph, name, shown in re.findall(pattern, page)
    }
    claims = table(report, "claims").drop_nulls("value")
    assert {row["claim"] for row in claims.iter_rows(named=True)} >= {
        "width",
        "sharpness",
        "edges",
        "topk",
        "types",
        "error",
    }
    assert len(found) == claims.height
    for row in claims.iter_rows(named=True):
        value, shown = found[row["claim"], row["graph"], row["quantity"]]
        assert value == pytest.approx(row["value"], nan_ok=True)
        assert shown == f"{value:.3g}"
    for graph in ("graph", "augmented"):
        pairs = table(report, "distances", graph=graph, other_width=4)
        for name, column in (("agreement", "agreement"), ("distance", "value")):
            means = dict(pairs.group_by("width").agg(pl.col(column).drop_nans().mean()).iter_rows())
            assert found["width", graph, f"{name}, width 2 to 4"][0] == pytest.approx(means[2])
            assert found["width", graph, f"{name}, seed to seed"][0] == pytest.approx(means[4])
        uniform = table(report, "baselines", graph=graph, width=4, baseline="uniform")["value"].mean()
        assert found["width", graph, "distance, uniform"][0] == pytest.approx(uniform)
        entropy = table(report, "entropy", graph=graph, layer=2)["mean"].mean()
        assert found["sharpness", graph, "entropy of layer 2"][0] == pytest.approx(entropy)
        untrained = table(report, "untrained", graph=graph, layer=2)["mean"].mean()
        assert found["sharpness", graph, "entropy of layer 2, untrained"][0] == pytest.approx(untrained)
    shares = table(report, "shares", **{"graph": "augmented", "width": 4, "edge_type": "expander", "class": "all"})
    assert found["types", "augmented", "share of expander edges"][0] == pytest.approx(shares["share"].mean())
    kept = table(report, "mass_kept", sampler="uniform", k=4)["mass"].mean()
    assert found["choice", "augmented", "mass kept, uniform"][0] == pytest.approx(kept)
    slope = table(report, "slopes", against="k", sampler="attention", quantity="error")["slope"].mean()
    assert found["error", "augmented", "slope in K"][0] == pytest.approx(slope)


@pytest.mark.full
def test_tables_stand_as_csv_and_parquet_with_the_same_rows(report: Path) -> None:
    names = {path.stem for path in (report / "tables").glob("*.csv")}
    assert names == {path.stem for path in (report / "tables").glob("*.parquet")}
    assert {"distances", "entropy", "topk", "shares", "same_class", "structure", "output_error"} <= names
    assert {"untrained", "untrained_distances", "untrained_layers"} <= names, "by default, in the small version too"
    for name in names:
        assert pl.read_parquet(report / "tables" / f"{name}.parquet").height == table(report, name).height
    graphs = table(report, "graphs", graph="graph")
    assert graphs["empty_rows"].item() == 1, "the lone node attends to nothing there"


@pytest.mark.full
def test_pictures_and_tensorboard_lie_beside_the_report(report: Path) -> None:
    for ending in ("png", "pdf", "svg"):
        assert len(list((report / "figures").glob(f"*.{ending}"))) >= 12
    assert len(list(report.glob("events.out.tfevents.*"))) == 1


@pytest.mark.full
def test_the_same_command_again_trains_nothing(home: Path, report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pl.read_csv(report / "tables" / "claims.csv")
    main(arguments("--output", "again"))
    shown = capsys.readouterr().out
    assert "9 runs: 9 done before, 0 to do" in shown
    assert "again/report.html" in shown
    assert pl.read_csv(home / "again" / "tables" / "claims.csv").equals(before)


@pytest.mark.full
def test_files_are_analysed_without_training(home: Path, report: Path) -> None:
    runs = home / "lightning_logs" / "minesweeper"
    files = [str(run) for run in sorted(runs.glob("analysis-graph-w*/version_*"))]
    main(["analyze", "--scores", *files, "--output", "files", "--ks", "1", "2"])
    expected = table(report, "entropy", graph="graph")
    assert table(home / "files", "entropy").equals(expected)
    assert not (home / "files" / "tables" / "mass_kept.csv").exists()
    assert "was not measured" in (home / "files" / "report.html").read_text()


@pytest.mark.full
def test_the_authors_temperature_is_a_state_of_the_same_runs(home: Path, report: Path) -> None:
    main(arguments("--state", "authors", "--wide", "null", "--untrained", "false"))
    found = home / "lightning_logs" / "minesweeper" / "analysis-authors"
    temperatures, own = table(found, "runs"), table(report, "runs")
    assert temperatures["file"].equals(own["file"]), "nothing is trained for it"
    assert (temperatures["temperature"] <= own["temperature"]).all()
    assert not (found / "tables" / "untrained.csv").exists()
    assert "at the temperature of the last epoch" in (found / "report.html").read_text()


@pytest.mark.full
def test_a_wide_network_of_ones_own(home: Path, report: Path) -> None:
    runs = home / "lightning_logs" / "minesweeper"
    files = [str(run / "scores.safetensors") for run in sorted(runs.glob("analysis-augmented-w*/version_*"))]
    checkpoint = str(runs / "analysis-wide" / "version_0" / "checkpoints" / "best.ckpt")
    asked = ["--ks", "[1,2,4]", "--draws", "2", "--wide_checkpoint", checkpoint, "--output", "own"]
    main(["analyze", "--scores", *files, *asked])
    assert table(home / "own", "mass_kept").equals(table(report, "mass_kept"))


@pytest.fixture
def refused_in(home: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> Refused:
    monkeypatch.chdir(home)
    return refused


@pytest.mark.full
def test_what_is_refused(home: Path, refused_in: Refused, tmp_path: Path) -> None:
    runs = home / "lightning_logs" / "minesweeper"
    wide = runs / "analysis-wide" / "version_0"
    assert f"The run folder {wide} holds no scores.safetensors" in refused_in("analyze", "--scores", f"[{wide}]")
    half = tmp_path / "version_0"
    half.mkdir()
    assert "the run hasn't finished" in refused_in("analyze", "--scores", f"[{half}]")
    assert "Give --dataset or --config" in refused_in("analyze")
    assert "no dataset 'actr'" in refused_in("analyze", "--dataset", "actr")
    assert "widths is [0]" in refused_in("analyze", "--dataset", "minesweeper", "--widths", "[0]")
    scores = runs / "analysis-graph-w2" / "version_0"
    given = ["analyze", "--scores", f"[{scores}]", "--output", str(tmp_path / "out")]
    checkpoint = wide / "checkpoints" / "best.ckpt"
    assert "no attention edge to sample from" in refused_in(*given, "--wide_checkpoint", checkpoint)
    augmented = runs / "analysis-augmented-w2" / "version_0"
    given = ["analyze", "--scores", f"[{augmented}]", "--output", str(tmp_path / "out")]
    assert "There is no checkpoint nowhere" in refused_in(*given, "--wide_checkpoint", "nowhere")
    estimator = augmented / "checkpoints" / "best.ckpt"
    assert "holds no network of spx.training.Spexphormer" in refused_in(*given, "--wide_checkpoint", estimator)
    other = shutil.copytree(wide, tmp_path / "other")
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["data"]["init_args"]["expander_seed"] = 5
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    message = refused_in(*given, "--wide_checkpoint", other / "checkpoints" / "best.ckpt")
    assert "was trained on another attention graph" in message
    (other / "config.yaml").unlink()
    assert "lies in no run's folder" in refused_in(*given, "--wide_checkpoint", other / "checkpoints" / "best.ckpt")
    assert not (tmp_path / "out").exists(), "nothing is written before all is well"


@pytest.mark.full
def test_files_of_another_dataset_are_refused(stages: Stages, home: Path, refused_in: Refused) -> None:
    ours = home / "lightning_logs" / "minesweeper" / "analysis-graph-w2" / "version_0"
    message = refused_in("analyze", "--scores", f"[{ours},{stages.estimator}]")
    assert "was made for other data than" in message
    assert "dataset toy, not minesweeper" in message
