"""What is said of stage 1, by the graph's degree and by the trials."""

import shlex

import pytest

from spx.experiments.study import make_parser
from spx.graph_check.stage_one import stage_one_advice, time_of_stage_one
from spx.graph_check.trial import StageEstimate


@pytest.mark.parametrize(
    ("mean_degree", "room"), [(3.9, "at most as many as"), (8.0, "at most as many as"), (8.2, "more than")]
)
def test_it_says_whether_there_is_a_choice(mean_degree: float, room: str) -> None:
    line = stage_one_advice("graph.npz", mean_degree, [8, 5, 5])
    assert f"{mean_degree} edges in the mean, {room} the 8 that a layer draws" in line


def test_its_commands_can_be_pasted() -> None:
    line = stage_one_advice("my graphs/a.npz", 40, [5], ["--data.undirected", "true", "--data.edge_weight", "a b"])
    commands = [shlex.split(part) for part in line.split("`")[1::2]]
    extra = ("--data.undirected", "true", "--data.edge_weight", "a b")
    parsed = [make_parser().parse_args(words[2:]) for words in commands]
    assert [(each.dataset, each.overlay, each.extra) for each in parsed] == [
        ("my graphs/a.npz", "graph-first", extra),
        ("my graphs/a.npz", None, extra),
    ]


def test_the_time_of_stage_1_is_that_of_all_its_epochs() -> None:
    stages = [StageEstimate("estimator", 1, 0.5, 60), StageEstimate("wide", 1, 0.9, 100)]
    assert "takes 25% of the time" in time_of_stage_one(stages)
    assert "takes 0% of the time" in time_of_stage_one(
        [StageEstimate("estimator", 1, 0, 1), StageEstimate("wide", 1, 0, 1)]
    )
