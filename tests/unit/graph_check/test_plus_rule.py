import shlex

import pytest

from spx.experiments.plan import option
from spx.graph_check.plus_rule import recipe_for


@pytest.mark.parametrize(
    ("num_features", "layer", "dropout"),
    [(49, "concat", 0.2), (50, "residual", 0.7)],
)
def test_features_for_a_training_node_choose_layer_and_dropout(num_features: int, layer: str, dropout: float) -> None:
    assert recipe_for(num_features, 1000, 4, 8)[:2] == (layer, dropout)


@pytest.mark.parametrize(("mean_degree", "k"), [(0.0, 1), (0.4, 1), (3.0, 3), (3.1, 4), (8.5, 8), (500.0, 8)])
def test_k_is_the_mean_degree_within_the_papers(mean_degree: float, k: int) -> None:
    assert recipe_for(5, 1000, mean_degree, most_k=8).k == k


def test_the_arguments_are_those_of_a_fit() -> None:
    words = tuple(shlex.split(recipe_for(5, 10, 3, 8).arguments(num_layers=4)))
    assert option(words, "--model.layer") == "residual"
    assert option(words, "--data.k") == "[3,3,3,3]"
