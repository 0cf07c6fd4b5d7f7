"""The benchmark that asks whether stage 1 pays: its derived scores, its figures, and what a stop leaves of its rows."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import choice, common
from spx.experiments.runs import RECORD_FILE, SCORES_FILE
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.scores import AttentionScores, load_scores, save_scores
from spx.nn.network import GraphTransformer
from spx.nn.settings import TransformerSettings

from .conftest import write_artifact

NUM_NODES = 40


@pytest.fixture
def scores() -> AttentionScores:
    """Of two layers over a random augmented graph; rows sum to one."""
    generator = torch.Generator().manual_seed(2)
    edges = torch.randint(NUM_NODES, (2, 200), generator=generator)
    edges = edges[:, edges[1] != 3]  # a row without edges of its own
    graph = augment(edges, NUM_NODES, build_expander(NUM_NODES, 3, 0))
    mass_LM = torch.rand(2, graph.num_edges, generator=generator) ** 3 + 0.01
    sums = torch.zeros(2, NUM_NODES).index_add_(1, graph.rows(), mass_LM)
    return AttentionScores(graph, mass_LM / sums[:, graph.rows()])


def test_scores_are_averaged_within_each_row_and_edge_type(scores: AttentionScores) -> None:
    found = choice.by_type(scores)
    rows, types = scores.graph.rows().tolist(), scores.graph.edge_type.tolist()
    for layer in range(2):
        alike: dict[tuple[int, int], list[float]] = {}
        for row, kind, score in zip(rows, types, scores.scores_LM[layer].tolist(), strict=True):
            alike.setdefault((row, kind), []).append(score)
        wanted = [sum(alike[place]) / len(alike[place]) for place in zip(rows, types, strict=True)]
        assert found.scores_LM[layer].tolist() == pytest.approx(wanted)
    sums = torch.zeros(2, NUM_NODES).index_add_(1, scores.graph.rows(), found.scores_LM)
    torch.testing.assert_close(sums, torch.ones(2, NUM_NODES))
    assert found.graph is scores.graph
    assert not torch.allclose(found.scores_LM, scores.scores_LM)


def test_edges_of_a_type_need_not_lie_beside_each_other() -> None:
    graph = AttentionGraph(torch.tensor([0, 3, 4]), torch.tensor([1, 0, 1, 0]).int(), torch.tensor([0, 2, 0, 1]).byte())
    found = choice.by_type(AttentionScores(graph, torch.tensor([[0.1, 0.6, 0.3, 1.0]])))
    torch.testing.assert_close(found.scores_LM, torch.tensor([[0.2, 0.6, 0.2, 1.0]]))


def test_averaged_scores_lie_in_a_file_of_their_own(scores: AttentionScores, tmp_path: Path) -> None:
    _, header = load_scores(write_artifact(tmp_path / "any.safetensors"))
    path = save_scores(tmp_path / SCORES_FILE, scores, header)
    made = choice.averaged(path, tmp_path / "by-type")
    found, kept = load_scores(made)
    torch.testing.assert_close(found.scores_LM, choice.by_type(scores).scores_LM)
    assert replace(kept, fingerprint="") == replace(header, fingerprint="")
    assert choice.averaged(path, tmp_path / "by-type") == made
    save_scores(path, scores, replace(header, seed=1))
    assert choice.averaged(path, tmp_path / "by-type") != made


def test_an_exphormer_lends_its_attention(scores: AttentionScores, tmp_path: Path, monkeypatch) -> None:
    _, header = load_scores(write_artifact(tmp_path / "any.safetensors"))
    x, network = (
        torch.rand(NUM_NODES, 3),
        GraphTransformer(3, 2, TransformerSettings(width=8, num_layers=2, num_heads=2)),
    )
    data = SimpleNamespace(graph=scores.graph, x=x)
    model = torch.nn.Module()
    model.network = network
    monkeypatch.setattr(choice, "load", lambda run, device: SimpleNamespace(data=data, model=model))
    path = save_scores(tmp_path / SCORES_FILE, scores, header)
    lent, kept = load_scores(choice.exphormer_scores(tmp_path / "run", path, tmp_path / "lent"))
    torch.testing.assert_close(lent.scores_LM, network.eval().attention_scores(x, scores.graph))
    assert kept.data_fingerprint == header.data_fingerprint
    assert not torch.allclose(lent.scores_LM, scores.scores_LM)


class MadeUp:
    """Stands in for fits: writes what they would leave; the run of the number `stop_at`, from 0, is stopped by hand."""

    def __init__(self, record: dict[str, Any], stop_at: int | None = None):
        self.record, self.stop_at, self.names = record, stop_at, []

    def __call__(self, command: list[str], folder: Path) -> int:
        if len(self.names) == self.stop_at:
            raise KeyboardInterrupt
        options = dict(zip(command[1::2], command[2::2], strict=True))
        self.names.append(options["--name"])
        test = 0.4 + len(self.names) / 100
        (folder / RECORD_FILE).write_text(json.dumps(self.record | {"folder": str(folder), "test": test}))
        write_artifact(folder / SCORES_FILE)
        write_artifact(folder / "other.safetensors")
        return 0


@pytest.fixture
def benchmark(configs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[MadeUp], list[dict]]:
    """Runs the benchmark on the made-up set with made-up fits, and gives the rows of its result file."""
    (configs_dir / "base").mkdir()  # or the program's own are taken
    (configs_dir / "toy" / "exphormer.yaml").write_text((configs_dir / "toy" / "gcn.yaml").read_text())
    for name in ("graph-first", "top"):
        (configs_dir / "overlays" / f"{name}.wide.yaml").write_text("data: {init_args: {graph_first: true}}\n")
    (configs_dir / "overlays" / "graph-first.wide.yaml").write_text("data: {init_args: {sampler: uniform}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(choice, "exphormer_scores", lambda _, made, folder: made.with_name("other.safetensors"))
    monkeypatch.setattr(choice, "CASES", {"a-set": choice.Case("toy", runs=((0, 0), (0, 1)))})

    def run(fits: MadeUp, *words: str) -> list[dict]:
        monkeypatch.setattr(choice, "start_forked", fits)
        monkeypatch.setattr(sys, "argv", ["choice", "--k", "2", "1", *words])
        try:
            choice.main()
        except KeyboardInterrupt:
            assert fits.stop_at is not None
        return json.loads((tmp_path / "results" / "choice.json").read_text())["rows"]

    return run


def test_a_stop_leaves_the_rows_that_are_there_and_the_next_call_makes_the_others(benchmark, make_record) -> None:
    first, second = MadeUp(make_record(), stop_at=5), MadeUp(make_record())
    left = benchmark(first)
    assert [(row["sampler"], row["k"]) for row in left] == [
        ("scores", 2), ("scores by type", 2), ("uniform", 2), ("graph first", 2)
    ]  # fmt: skip
    assert first.names == ["estimator", "wide", "wide", "wide-uniform", "wide-graph-first"]
    rows = benchmark(second)
    assert rows[:4] == left
    assert second.names[:3] == ["wide-top", "exphormer", "wide"], "the Exphormer lends its scores"
    assert second.names[3:9] == ["wide", "wide", "wide-uniform", "wide-graph-first", "wide-top", "wide"]
    assert second.names[9:11] == ["gcn", "estimator"], "one estimator a seed, of which the first is kept"
    assert len(rows) == 2 * (2 * 6 + 2)
    assert {(row["split"], row["seed"]) for row in rows} == {(0, 0), (0, 1)}
    third = MadeUp(make_record())
    assert benchmark(third, "--runs", "1") == rows
    assert third.names == []


def test_rows_of_a_run_are_replaced_and_others_kept() -> None:
    row = {"set": "a", "split": 0, "seed": 0, "sampler": "top", "k": 2, "test %": 1.0}
    rows = [row, row | {"k": choice.ALL}, row | {"seed": 1}]
    assert choice.merged(rows, row | {"test %": 3.0}) == [row | {"test %": 3.0}, *rows[1:]]
    assert choice.merged(rows, row | {"split": 1}) == [*rows, row | {"split": 1}]


def made_rows(name: str, seed: int, k: int, validation: dict[str, float], test: dict[str, float]) -> list[dict]:
    run = {"set": name, "split": 0, "seed": seed, "k": k}
    return [
        run | {"sampler": sampler, "validation %": validation[sampler], "test %": test[sampler]}
        for sampler in choice.OVERLAYS
    ]


def of_each(*values: float) -> dict[str, float]:
    return dict(zip(choice.OVERLAYS, values, strict=True))


def test_what_scores_are_ahead_by_is_paired_by_run_and_judged_by_validation() -> None:
    rows = made_rows("a", 0, 5, of_each(80, 79, 70, 77, 60, 78), of_each(81, 80, 99, 78, 61, 80))
    without_the_last = made_rows("a", 1, 5, of_each(82, 83, 72, 77, 60, 0), of_each(85, 85, 99, 80, 61, 0))[:4]
    rows += without_the_last
    rows += made_rows("a", 0, 2, of_each(50, 50, 50, 49, 50, 53), of_each(52, 51, 50, 53, 50, 50))
    incomplete = made_rows("a", 1, 2, of_each(50, 50, 50, 49, 50, 53), of_each(52, 51, 50, 53, 50, 50))[:3]
    rows += incomplete
    rows += [rows[0] | {"sampler": "GCN", "k": choice.ALL, "test %": 75.0}]
    found = choice.headline(rows)
    ahead = found["a: scores - the best without"]
    # graph first by its validation, though uniform draws test better; differences 3 and 5 at both
    assert ahead["k = 5:"] == "validation +4.00 +- 1.00 test +4.00 +- 1.00 (graph first)"
    assert ahead["k = 2:"] == "validation +0.00 test +2.00 (uniform)"
    assert list(ahead) == ["k = 2:", "k = 5:"]
    assert found["a: scores - scores by type"]["k = 5:"] == "validation +0.00 +- 1.00 test +0.50 +- 0.50"
    ceiling = found["a: Exphormer's scores - the best without"]
    assert ceiling == {
        "k = 2:": "validation +3.00 test +0.00 (uniform)",
        "k = 5:": "validation +1.00 test +2.00 (graph first)",
    }
    assert found["GCN"] == {"a": "75.00 (1)"}
    table = choice.compared(rows)
    assert [(row["set"], row["k"], row["runs"]) for row in table] == [("a", 2, 1), ("a", 5, 2)]
    assert table[0]["uniform"] == "50.00"
    assert table[1]["scores"] == "83.00 +- 2.83"
    assert table[0]["top"] == "50.00"
    assert table[1]["top"] == "61.00 (1)"


def test_each_run_is_a_line_of_the_picture_of_its_set() -> None:
    from matplotlib.figure import Figure

    from benchmarks.pictures import choice as draw

    values = of_each(5, 4, 3, 2, 1, 6)
    rows = [row for k in (2, 5) for row in made_rows("a", 0, k, values, values)]
    rows += made_rows("a", 1, 2, values, values)[:4]  # the last were left out
    rows += made_rows("b", 0, 2, values, values)
    rows += [rows[0] | {"sampler": "GCN", "k": choice.ALL}]
    figure = Figure(layout="constrained")
    draw(rows, figure)
    assert [axis.get_title() for axis in figure.axes] == ["a", "b"]
    drawn = [[len(line.get_xdata()) for line in axis.lines if len(line.get_xdata())] for axis in figure.axes]
    assert drawn == [[2, 1] * 4 + [2, 2] + [2], [1] * 6]  # the last of a is the GCN's
