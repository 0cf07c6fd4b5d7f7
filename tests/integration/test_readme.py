"""What the README shows runs."""

import json
import re
from pathlib import Path

import pytest
import torch

import spx
from spx.configurations import config_layers
from spx.training import AttentionEstimator, Spexphormer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.full
def test_the_example_with_tables_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n([^`]*spx\.fit.*?)```", README, flags=re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert (tmp_path / "lightning_logs" / "accounts" / "wide" / "version_0" / "run.json").is_file()


def test_the_python_example_runs_and_its_runs_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (example,) = (block for block in blocks if "Trainer" in block)
    short, replaced = re.subn(r"max_epochs=\d+", "max_epochs=1", example)
    assert replaced == 2
    monkeypatch.chdir(tmp_path)
    exec(compile(short, "README.md", "exec"), {})
    assert (tmp_path / "scores.safetensors").is_file()
    monkeypatch.chdir(tmp_path.parent)
    estimator, wide = (spx.load(tmp_path / "lightning_logs" / f"version_{number}") for number in range(2))
    assert (type(estimator.model), type(wide.model)) == (AttentionEstimator, Spexphormer)
    assert wide.data.k == [12, 5, 5, 5]
    assert wide.data.scores_path == str(tmp_path / "scores.safetensors")
    predictions = wide.predict(torch.arange(100), draws=2)
    assert predictions.table().height == 100
    checkpoint = tmp_path / "lightning_logs" / "version_1" / "checkpoints" / "best.ckpt"
    again = spx.load(checkpoint).predict(torch.arange(100), draws=2)
    assert again.probabilities.equal(predictions.probabilities)


def test_every_path_and_target_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
    datasets = {path.name for path in (ROOT / "configs").iterdir()}
    (benchmarks,) = re.findall(r"^BENCHMARKS := (.*)$", makefile, flags=re.MULTILINE)
    targets = {f"bench-{name}" for name in benchmarks.split()}
    for target in set(re.findall(r"^    make ([a-z-]+)", README, flags=re.MULTILINE)) - targets:
        known = target.removeprefix("analyze-").removeprefix("tune-") in datasets
        assert known or re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for config in re.findall(r"configs/[a-z-]+/[a-z-]+\.yaml", README):
        assert config_layers(ROOT / Path(config).parent, Path(config).stem), config


def figures(text: str) -> list[str]:
    return re.findall(r"\d+\.\d\d(?: (?:±|\+-) \d+\.\d\d)?", text)


def table(text: str, first: str) -> list[list[str]]:
    """The rows below the header of a table of Markdown, whose first cell is known."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if "|" in line]
    start = next(place for place, row in enumerate(rows) if row[0] == first)
    width = len(rows[start])
    after = rows[start + 2 :]
    end = next((place for place, row in enumerate(after) if len(row) != width), len(after))
    return [dict(zip(rows[start], row, strict=True)) for row in after[:end]]


MEASURED = {"Spexphormer": "wide", "Exphormer, all edges": "exphormer", "GCN": "gcn", "`plus`": "plus"}


def test_the_results_are_those_of_the_results_page() -> None:
    page = {
        (row["dataset"], row["protocol"], row["configuration"]): row
        for row in table((ROOT / "docs" / "results.md").read_text(), "dataset")
        if "configuration" in row
    }
    for row in table(README, "dataset"):
        runs = int(row["runs"].split()[0])
        for column, configuration in MEASURED.items():
            if row[column] == "-":
                continue
            measured = page[row["dataset"].lower(), row["protocol"], configuration]
            assert figures(row[column].replace("±", "+-")) == figures(measured["test"]), (row["dataset"], column)
            (other,) = re.findall(r"\((\d+) runs?\)", row[column]) or [str(runs)]
            assert measured["runs"] == other, (row["dataset"], column)
        if row["edges"] != "-":
            wide = page[row["dataset"].lower(), row["protocol"], "wide"]
            assert (row["edges"], row["published"].replace("±", "+-")) == (wide["share"], wide["published"])


def test_the_speed_is_that_of_the_benchmark() -> None:
    measured = {
        (row["graph"], row["model"]): row
        for row in json.loads((ROOT / "benchmarks" / "results" / "training.json").read_text())["rows"]
    }
    names = {"Spexphormer": "spexphormer", "GCN (edge_index)": "gcn", "GCN (sparse matrix)": "gcn-sparse"}
    names |= {"GAT": "gat", "Exphormer": "exphormer"}
    rows = table(README, "mean degree")
    assert len(rows) == 3
    for row in rows:
        for column, model in names.items():
            found = measured[f"degree {row['mean degree']}", model]
            seconds, memory = re.fullmatch(r"([\d.]+) s, ([\d,]+) MB", row[column]).groups()
            assert float(seconds) == pytest.approx(found["seconds"], rel=0.05), (row["mean degree"], column)
            assert float(memory.replace(",", "")) == pytest.approx(found["MB"], rel=0.01), (row["mean degree"], column)
    (claim,) = re.findall(r"mean degree 250 an epoch takes (.*?) \(2 CPU cores", README, flags=re.DOTALL)
    claimed = re.findall(r"([\d.]+) s", claim)
    for seconds, model in zip(claimed, ("spexphormer", "gcn", "gat"), strict=True):
        assert float(seconds) == pytest.approx(measured["degree 250", model]["seconds"], rel=0.05)
