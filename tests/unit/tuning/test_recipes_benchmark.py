"""What the benchmark of recipes says of made-up graphs: a choice is judged where it wasn't made."""

import pytest

from benchmarks.recipes import Found, best_recipe, best_threshold, carried_over, found, headline, in_order

GRAPHS = {
    "few": Found(0.001, {"wide": 80.0, "plus, concat": 90.0, "plus, residual": 85.0}),
    "fewer": Found(0.0001, {"wide": 70.0, "plus, concat": 76.0, "plus, residual": 71.0}),
    "many": Found(0.5, {"wide": 60.0, "plus, concat": 50.0, "plus, residual": 64.0}),
    "more": Found(5.0, {"wide": 61.0, "plus, concat": 40.0, "plus, residual": 66.0}),
}


def test_the_recipe_that_falls_least_behind() -> None:
    assert best_recipe(GRAPHS)(0.3) == "plus, residual"
    assert best_recipe({name: GRAPHS[name] for name in ("few", "fewer")})(0.3) == "plus, concat"


def test_a_threshold_parts_what_two_recipes_suit() -> None:
    rule = best_threshold(GRAPHS)
    assert {ratio: rule(ratio) for ratio in (0.0001, 0.01, 0.03, 5)} == {
        0.0001: "plus, concat",
        0.01: "plus, concat",
        0.03: "plus, residual",
        5: "plus, residual",
    }


def test_each_graph_is_judged_by_a_choice_of_the_others() -> None:
    misleading = GRAPHS | {"more": Found(5.0, {"wide": 70.0, "plus, concat": 40.0, "plus, residual": 66.0})}
    assert carried_over(misleading, best_threshold)["more"] == "plus, residual", "though wide is better there"
    assert carried_over(GRAPHS, best_recipe)["many"] == "plus, residual"


def test_a_recipe_that_a_graph_lacks_is_not_chosen() -> None:
    graphs = GRAPHS | {"odd": Found(0.3, {"wide": 50.0, "plus, concat": 49.0})}
    assert best_recipe(graphs)(0.3) in ("wide", "plus, concat")
    assert set(carried_over(graphs, best_recipe)) == set(graphs)


def test_the_lines_that_are_printed() -> None:
    lines = headline(GRAPHS)
    assert lines["few, recipe of the others"] == "plus, residual: 5.00 behind"
    assert lines["few, threshold of the others"] == "plus, concat: 0.00 behind"
    assert lines["few, rule of plus"] == "plus, concat: 0.00 behind"
    assert lines["more, rule of plus"] == "plus, residual: 0.00 behind"
    assert headline({"few": GRAPHS["few"]}) == {}
    row = {"graph": "a", "features": 30, "training nodes": 10, "wide": 50.0, "graph first": None, "mean degree": 2.0}
    assert found(row) == Found(3.0, {"wide": 50.0})
    assert found(row).behind("wide") == pytest.approx(0)


def test_a_graph_that_is_measured_anew_takes_the_place_of_its_row() -> None:
    graphs = ("minesweeper", "cora", "photo", "cora", "minesweeper-sim")
    rows = [{"graph": graph, "wide": float(number)} for number, graph in enumerate(graphs)]
    assert in_order(rows) == [rows[2], rows[3], rows[0], rows[4]]
