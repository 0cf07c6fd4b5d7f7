"""Settings that are not searched reach every trial, and none goes against the search."""

import inspect

import pytest

from spx.data import ResampledGraphData
from spx.data.graph_data import GraphData
from spx.errors import ConfigError
from spx.tuning.arguments import SET_BY_TUNE, STAGE_2, check_settings, of_estimator, split_arguments


def test_they_are_told_apart_wherever_they_stand() -> None:
    words = "--data.undirected true graph.npz --minutes 3 --data.columns={id: a} --trainer.precision bf16-mixed"
    own, of_fit = split_arguments([*words.replace("{id: a}", "{id:a}").split(), "--model.mlp_ratio"])
    assert own == ["graph.npz", "--minutes", "3"]
    assert of_fit == (
        "--data.undirected",
        "true",
        "--data.columns={id:a}",
        "--trainer.precision",
        "bf16-mixed",
        "--model.mlp_ratio",
    )


def test_the_estimator_gets_what_it_knows() -> None:
    given = ("--data.undirected", "true", "--data.batch_size", "100", "--model.lr=1", "--trainer.precision", "32")
    assert of_estimator(given) == ("--data.undirected", "true", "--trainer.precision", "32")
    assert of_estimator(()) == ()


def test_what_stage_2_alone_knows() -> None:
    settings = set(inspect.signature(ResampledGraphData).parameters) - {"settings"}
    alone = settings - set(inspect.signature(GraphData).parameters)
    assert alone == {*STAGE_2} | {"k", "scores", "runs_dir"}
    assert {"data.k", "data.scores", "data.runs_dir"} <= {*SET_BY_TUNE}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--model.lr", "1"), "--model.lr can't be given: it is searched"),
        (("--model.init_args.lr=1",), "--model.lr can't be given: it is searched"),
        (("--data.undirected", "true", "--trainer.max_epochs", "3"), "--trainer.max_epochs can't be given: spx tune"),
        (("--data.hide_test", "false"), "--data.hide_test can't be given: spx tune sets data.hide_test itself"),
    ],
)
def test_what_goes_against_the_search_is_refused(given: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_settings(given, ["model.lr"])


def test_others_are_not() -> None:
    check_settings(("--data.undirected", "true", "--model.lrs", "1"), ["model.lr"])
