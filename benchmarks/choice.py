"""Does stage 1 pay? The metric of stage 2 against k, the same in each layer, for several ways to choose the edges.

- scores: drawn by the estimator's scores, as in the papers; top: the k largest of them;
- scores by type: drawn by their means over each node's edges of one type, which leave the preference for a type alone;
- Exphormer's scores: drawn by the attention of the trained wide network with all edges, which an estimator is to guess;
- uniform: drawn without scores; graph first: likewise, but a node's graph edges before all others.

The estimator of a set, split and seed is fitted once and serves all k. Beside them stand the GCN and the Exphormer with
all edges. Hours; runs that ended before are taken again, and rows of other sets and runs stay in the result file.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import common
from spx.data.stored_features import all_rows
from spx.experiments.parallel import LOG_FILE
from spx.experiments.plan import ESTIMATOR, WIDE, Study, make_plan
from spx.experiments.processes import ForkedProcess, end_process
from spx.experiments.study import run_study
from spx.graph.scores import AttentionScores, load_scores, read_header, save_scores
from spx.inference.run import load
from spx.kernels.formula import NUM_EDGE_TYPES
from spx.run_folder import SCORES_FILE

RUNS = Path("lightning_logs", "choice")
QUIET = ("--trainer.enable_progress_bar", "false")
KS = (1, 2, 3, 5, 8, 12)
SCORES, BY_TYPE, UNIFORM, GRAPH_FIRST, TOP = "scores", "scores by type", "uniform", "graph first", "top"
EXPHORMER, GUESSED = "Exphormer", "Exphormer's scores"
OVERLAYS = {SCORES: None, BY_TYPE: None, UNIFORM: "uniform", GRAPH_FIRST: "graph-first", TOP: "top", GUESSED: None}
REFERENCES = {"GCN": "gcn", EXPHORMER: "exphormer"}
ALL = "all"
"""In the place of their k."""
NEEDED = (SCORES, BY_TYPE, UNIFORM, GRAPH_FIRST)
"""Of a run that is compared."""
WITHOUT = (UNIFORM, GRAPH_FIRST)
"""What needs no stage 1."""

Row = dict[str, Any]
Start = Callable[[list[str], Path], int]


@dataclass(frozen=True)
class Case:
    """A dataset, and what its runs differ in: the split, or the seed."""

    dataset: str
    protocol: str = "public"
    runs: tuple[tuple[int, int], ...] = ((0, 0), (0, 1), (0, 2))
    """Split and seed of each."""
    extra: tuple[str, ...] = ()
    """Further arguments of all fits."""


CASES = {
    "squirrel_filtered": Case(
        "data/npz/squirrel_filtered.npz", runs=((0, 0), (1, 0), (2, 0)), extra=("--data.undirected", "true")
    ),
    "photo": Case("photo", "paper"),
    "blogcatalog": Case("data/npz/blogcatalog.npz"),
    "minesweeper": Case("minesweeper", "paper"),
}
SMALL = {"minesweeper-sim": Case("minesweeper-sim", runs=((0, 0),))}


def main() -> None:
    given = _arguments()
    cases = SMALL if given.small else CASES
    ks, extra = ((2,), (*QUIET, "--trainer.max_epochs", "3")) if given.small else (tuple(given.k), QUIET)
    rows = common.kept_rows("choice", given.small)
    for number in given.runs:
        for name in cases if given.small else given.sets or cases:
            case = cases[name]
            if number >= len(case.runs):
                continue
            try:
                for row in measure(name, case, *case.runs[number], ks, given.ways, given.references, extra):
                    rows = merged(rows, row)
                    print(row, flush=True)
            finally:  # stopped by hand, too
                common.report("choice", rows, headline(rows), given.small, "python -m benchmarks.choice")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", choices=[[], *CASES], help=f"default: {', '.join(CASES)}")
    parser.add_argument("--k", type=int, nargs="*", default=KS, help="sampled degrees, each that of all layers")
    parser.add_argument("--runs", type=int, nargs="+", default=(0, 1, 2), help="numbers of seeds, or of splits")
    parser.add_argument("--ways", nargs="+", choices=tuple(OVERLAYS), default=tuple(OVERLAYS), help="to choose edges")
    parser.add_argument("--references", action=argparse.BooleanOptionalAction, default=True, help="the networks beside")
    parser.add_argument("--small", action="store_true", help="a version of less than a minute")
    return parser.parse_args()


def merged(rows: Iterable[Row], new: Row) -> list[Row]:
    """The rows with the new one, in the place of one of the same run."""

    def run_of(row: Row) -> tuple:
        return tuple(row[name] for name in ("set", "split", "seed", "sampler", "k"))

    return list(({run_of(row): row for row in rows} | {run_of(new): new}).values())


def measure(
    name: str,
    case: Case,
    split: int,
    seed: int,
    ks: Sequence[int],
    ways: Sequence[str] = tuple(OVERLAYS),
    references: bool = True,
    extra: tuple[str, ...] = QUIET,
    start: Start | None = None,
    **folders: str,
) -> Iterator[Row]:
    """A row for each k and way to choose, then one for each network to compare with.

    Args:
        name: of the set, for the rows.
        case, split, seed: what is run.
        ks: sampled degrees.
        ways: to choose edges.
        references: whether the networks to compare with are among it.
        extra: further arguments of all fits.
        start: as `run_study` takes it; default: `start_forked`.
        **folders: `runs_dir` and others of `Study`.
    """
    one = {"seeds": (seed,), "splits": (split,), "protocol": case.protocol, "extra": (*case.extra, *extra)}
    one |= {"runs_dir": str(RUNS), **folders}

    def row(sampler: str, k: int | str, **changes: Any) -> tuple[Row, list[str]]:
        study = Study(case.dataset, **one, **changes)
        found = run_study(study, console=Console(quiet=True), start=start or start_forked)
        figures = {"validation %": round(found["val_mean"], 2), "test %": round(found["test_mean"], 2)}
        seconds = {kind: round(found["stages"].get(kind, {}).get("seconds", 0.0), 1) for kind in (WIDE, ESTIMATOR)}
        run = {"set": name, "split": split, "seed": seed, "sampler": sampler, "k": k, **figures}
        run |= {"edges a layer": found["attention_edges"], "seconds": seconds[WIDE], "stage 1 s": seconds[ESTIMATOR]}
        return run, found["folders"]

    num_layers = len(make_plan(Study(case.dataset, **one)).stages[-1].settings["data"]["init_args"]["k"])
    for k in ks:
        of_k = ("--data.k", json.dumps([k] * num_layers))
        for way in [way for way in OVERLAYS if way in ways]:
            if way not in (BY_TYPE, GUESSED):
                yield row(way, k, overlay=OVERLAYS[way], extra_wide=of_k)[0]
                continue
            first, (estimator, _) = row(SCORES, k, extra_wide=of_k)
            made, folder = Path(estimator, SCORES_FILE), Path(one["runs_dir"], way.replace(" ", "-"))
            if way == BY_TYPE:
                seconds, scores = first["stage 1 s"], averaged(made, folder)
            else:
                first, (exphormer,) = row(EXPHORMER, ALL, config=REFERENCES[EXPHORMER])
                seconds, scores = first["seconds"], exphormer_scores(Path(exphormer), made, folder)
            yield row(way, k, extra_wide=(*of_k, "--data.scores", str(scores)))[0] | {"stage 1 s": seconds}
    for network, config in REFERENCES.items() if references else ():
        yield row(network, ALL, config=config)[0]


def start_forked(command: list[str], folder: Path) -> int:
    """Run `spx` in a process forked from one that has imported all: a third of the time of a short run."""
    process = ForkedProcess(command, os.environ, folder / LOG_FILE)
    try:
        return process.wait()
    except BaseException as stop:
        end_process(process, told=isinstance(stop, KeyboardInterrupt))
        raise


def averaged(path: Path, folder: Path) -> Path:
    """The file of `by_type` of the scores at `path`, named by their content: others are another file."""
    made = folder / f"{read_header(path).fingerprint[:16]}.safetensors"
    if not made.is_file():
        scores, header = load_scores(path)
        folder.mkdir(parents=True, exist_ok=True)
        save_scores(made, by_type(scores), header)
    return made


def exphormer_scores(run: Path, estimated: Path, folder: Path) -> Path:
    """The file of a trained Exphormer's attention, mean over its heads, in the place of an estimator's scores."""
    header = read_header(estimated)
    made = folder / f"{header.fingerprint[:16]}.safetensors"
    if not made.is_file():
        trained = load(run, device="cpu")
        graph, model = trained.data.graph, trained.model.eval()
        scores = model.network.attention_scores(all_rows(trained.data.x), graph)
        folder.mkdir(parents=True, exist_ok=True)
        save_scores(made, AttentionScores(graph, scores), header)
    return made


def by_type(scores: AttentionScores) -> AttentionScores:
    """Each score replaced by the mean of its row's scores of the same edge type, so that rows keep their sums."""
    graph = scores.graph
    segment = graph.rows() * NUM_EDGE_TYPES + graph.edge_type  # [M]
    counts = torch.bincount(segment).clamp(min=1)
    means = [(torch.bincount(segment, layer.double()) / counts)[segment] for layer in scores.scores_LM]
    return scores._replace(scores_LM=torch.stack(means).to(scores.scores_LM.dtype))


def complete(rows: Sequence[Row]) -> dict[tuple[str, int], list[dict[str, Row]]]:
    """For each set and k the runs that have the ways to choose that are compared, each with its rows by their names."""
    found: dict[tuple[str, int], dict[tuple[int, int], dict[str, Row]]] = {}
    for row in rows:
        if row["k"] != ALL:
            of_k = found.setdefault((row["set"], row["k"]), {})
            of_k.setdefault((row["split"], row["seed"]), {})[row["sampler"]] = row
    whole = {key: [run for run in runs.values() if run.keys() >= set(NEEDED)] for key, runs in found.items()}
    sets = list(dict.fromkeys(row["set"] for row in rows))
    return {key: whole[key] for key in sorted(whole, key=lambda key: (sets.index(key[0]), key[1])) if whole[key]}


def compared(rows: Sequence[Row]) -> list[Row]:
    """A row for each set and k: test metrics, mean +- sample standard deviation over the runs."""
    found = []
    for (name, k), runs in complete(rows).items():
        tests = {way: [run[way]["test %"] for run in runs if way in run] for way in measured(rows)}
        cells = {way: spread(values) if values else "-" for way, values in tests.items()}
        for way, values in tests.items():
            cells[way] += f" ({len(values)})" if len(values) not in (0, len(runs)) else ""
        found.append({"set": name, "k": k, "runs": len(runs), **cells})
    return found


def measured(rows: Sequence[Row]) -> list[str]:
    """The ways to choose that have rows, in their order."""
    found = {row["sampler"] for row in rows}
    return [way for way in OVERLAYS if way in found]


def headline(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """Of each set and k what scores are ahead by, mean +- standard error over the runs that have them; which of those
    without a stage 1 is the best is told by validation. Then the other networks' test metrics."""
    found: dict[str, dict[str, str]] = {}
    for (name, k), runs in complete(rows).items():
        best = best_without(runs)
        for way, other in ((SCORES, best), (SCORES, BY_TYPE), (GUESSED, best)):
            having = [run for run in runs if way in run]
            differences = {
                part: [run[way][f"{part} %"] - run[other][f"{part} %"] for run in having]
                for part in ("validation", "test")
            }
            texts = [f"{part} {spread(values, error=True)}" for part, values in differences.items() if values]
            texts += [f"({other})"] if texts and other in WITHOUT else []
            text = "the best without" if other in WITHOUT else other
            if texts:
                found.setdefault(f"{name}: {way} - {text}", {})[f"k = {k}:"] = " ".join(texts)
    for network in REFERENCES:
        values: dict[str, list[float]] = {}
        for row in rows:
            if row["sampler"] == network:
                values.setdefault(row["set"], []).append(row["test %"])
        if values:
            found[network] = {name: f"{spread(each)} ({len(each)})" for name, each in values.items()}
    return found


def best_without(runs: Sequence[dict[str, Row]]) -> str:
    """Which way to choose without a stage 1 has the best mean validation metric."""
    return max(WITHOUT, key=lambda sampler: statistics.fmean(run[sampler]["validation %"] for run in runs))


def spread(values: Sequence[float], error: bool = False) -> str:
    """Mean +- sample standard deviation; `error`: signed, +- its standard error."""
    mean = f"{statistics.fmean(values):{'+' if error else ''}.2f}"
    if len(values) < 2:
        return mean
    deviation = statistics.stdev(values) / (len(values) ** 0.5 if error else 1)
    return f"{mean} +- {deviation:.2f}"


if __name__ == "__main__":
    main()
