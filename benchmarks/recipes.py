"""Which recipe carries over? The first trials of `spx tune` on several graphs, and what a choice that was made on all
graphs but one is worth on that one. Validation alone; one seed. Rows of graphs that aren't asked for stay.

Two ways to choose: the recipe that falls least behind each graph's best, and a rule with a threshold of features for
each training node, as that of `plus`: one recipe below it, another from it on. An hour and more; trials that ended
before are taken again.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common import kept_rows, report
from spx.data.graph_data import GraphData
from spx.graph_check.plus_rule import MANY_FEATURES
from spx.tuning.command import Tuning, prepare
from spx.tuning.search import RECIPE
from spx.tuning.trials import Outcome

RUNS = Path("lightning_logs", "recipes")
LONG = 1e6
"""Seconds: until the last trial has ended."""
NPZ = "data/npz"
RECIPES = ("wide", "graph first", "plus, four layers", "plus, concat", "plus, residual", "plus, scores")


@dataclass(frozen=True)
class Case:
    """A graph, and whether its edges are listed once."""

    dataset: str
    undirected: bool = False


CASES = {
    "photo": Case("photo"),
    "blogcatalog": Case(f"{NPZ}/blogcatalog.npz"),
    "squirrel_filtered": Case(f"{NPZ}/squirrel_filtered.npz", True),
    "actor": Case("actor"),
    "cora": Case("cora"),
    "minesweeper": Case("minesweeper"),
    "cs": Case("cs"),
}
SMALL = {name: Case(name) for name in ("minesweeper-sim", "minesweeper")}


class Found(NamedTuple):
    """A graph's trials.

    Args:
        ratio: features for each training node.
        validation: of each recipe, in percent.
    """

    ratio: float
    validation: Mapping[str, float]

    def behind(self, recipe: str) -> float:
        """By how much the recipe falls behind the best one."""
        return max(self.validation.values()) - self.validation[recipe]


Choice = Callable[[float], str]
"""The recipe for so many features for each training node."""


def best_recipe(known: Mapping[str, Found]) -> Choice:
    """The one that falls least behind, in the mean over the graphs."""
    recipe = min(_common(known), key=lambda each: _mean_behind(known, lambda _: each))
    return lambda _: recipe


def best_threshold(known: Mapping[str, Found]) -> Choice:
    """Two recipes and a threshold between neighbouring graphs' ratios that fall least behind."""
    ratios = sorted(found.ratio for found in known.values())
    marks = [(low * high) ** 0.5 for low, high in itertools.pairwise(ratios)]
    recipes = _common(known)
    choices = [_split_at(*each) for each in itertools.product(recipes, recipes, marks)]
    return min(choices, key=lambda choice: _mean_behind(known, choice), default=best_recipe(known))


def _split_at(few: str, many: str, mark: float) -> Choice:
    return lambda ratio: few if ratio < mark else many


def _common(known: Mapping[str, Found]) -> list[str]:
    """Recipes that all the graphs have, in their order."""
    first, *others = (found.validation for found in known.values())
    return [recipe for recipe in first if all(recipe in other for other in others)]


def _mean_behind(known: Mapping[str, Found], choice: Choice) -> float:
    return statistics.fmean(found.behind(choice(found.ratio)) for found in known.values())


def carried_over(graphs: Mapping[str, Found], choose: Callable[[Mapping[str, Found]], Choice]) -> dict[str, str]:
    """For each graph what the others chose."""
    return {
        name: choose({other: each for other, each in graphs.items() if other != name})(found.ratio)
        for name, found in graphs.items()
    }


def trials_of(case: Case, small: bool) -> dict[str, float]:
    """Validation of each recipe, in percent; a trial that failed is left out."""
    extra = ("--data.undirected", "true") if case.undirected else ()
    asked = Tuning(case.dataset, runs_dir=str(RUNS), side_by_side=1, epochs=3 if small else None, extra=extra)
    with closing(prepare(asked)) as search:
        waiting = len(search.study.get_trials(deepcopy=False))  # of a search that has ended: all that it had
        search.run(1, waiting, lambda: LONG, _say)
        trials = [each for each in search.complete() if RECIPE in each.user_attrs]
        layers = {each.user_attrs[RECIPE]: each.params["model.layer"] for each in trials}
        return {
            f"plus, {layers[name]}" if name == "plus" else name: 100 * each.value
            for each in sorted(trials, key=lambda each: each.number)
            for name in [each.user_attrs[RECIPE]]
        }


def _say(trial: Any, found: Outcome) -> None:
    print(f"{trial.user_attrs.get(RECIPE)}: {found.problem or found.best}", flush=True)


def row(name: str, case: Case, small: bool) -> dict[str, Any]:
    """Facts of a graph, and its trials."""
    dataset = GraphData(case.dataset, undirected=case.undirected).dataset
    facts = {
        "nodes": dataset.num_nodes,
        "training nodes": dataset.split.train.numel(),
        "features": dataset.num_features,
    }
    facts["mean degree"] = dataset.edge_index.shape[1] / dataset.num_nodes
    return {"graph": name, **facts, **trials_of(case, small)}


def main() -> None:
    given = _arguments()
    cases = SMALL if given.small else {name: CASES[name] for name in given.graphs or CASES}
    for name, case in cases.items():
        new = row(name, case, given.small)  # an hour, in which others may write theirs
        rows = in_order([*kept_rows("recipes", given.small), new])
        graphs = {each["graph"]: found(each) for each in rows}
        report("recipes", rows, headline(graphs), given.small, "python -m benchmarks.recipes")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="*", metavar="GRAPH", choices=[[], *CASES], help=f"default: {', '.join(CASES)}")
    parser.add_argument("--small", action="store_true", help="a version of less than a minute")
    return parser.parse_args()


def in_order(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One row a graph, the last of each, as the graphs are listed."""
    by_graph = {row["graph"]: row for row in rows}
    return [by_graph[name] for name in CASES | SMALL if name in by_graph]


def found(row: Mapping[str, Any]) -> Found:
    """Of a row of the table."""
    ratio = row["features"] / row["training nodes"]
    return Found(ratio, {name: value for name, value in row.items() if name in RECIPES and value is not None})


def headline(graphs: Mapping[str, Found]) -> dict[str, str]:
    """What was chosen on the other graphs, and by how much it falls behind the graph's best recipe; then the choice of
    the rule of `plus`, which was made on Minesweeper, Actor and Cora."""
    if len(graphs) < 3:
        return {}
    told = {}
    for way, choose in {"recipe": best_recipe, "threshold": best_threshold}.items():
        for name, recipe in carried_over(graphs, choose).items():
            told[f"{name}, {way} of the others"] = f"{recipe}: {graphs[name].behind(recipe):.2f} behind"
    for name, graph in graphs.items():
        recipe = "plus, concat" if graph.ratio < MANY_FEATURES else "plus, residual"
        if recipe in graph.validation:
            told[f"{name}, rule of plus"] = f"{recipe}: {graph.behind(recipe):.2f} behind"
    return told


if __name__ == "__main__":
    main()
