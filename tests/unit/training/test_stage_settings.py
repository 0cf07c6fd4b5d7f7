"""A stage's module spells out its network's settings for the command line: the same ones, with the defaults that stand
in `spx.nn.settings`, and each reaches the network."""

import inspect
import re
from dataclasses import asdict, fields, replace

import pytest

from spx.nn.export import network_arguments
from spx.nn.settings import BASELINE, ESTIMATOR, WIDE, BaselineSettings, TransformerSettings
from spx.training import AttentionEstimator, Baseline, NodeTask, Spexphormer

STAGES = [(AttentionEstimator, ESTIMATOR), (Spexphormer, WIDE), (Baseline, BASELINE)]
LEFT_OUT = {AttentionEstimator: {"layer", "drop_features"}, Spexphormer: {"normalize_values"}, Baseline: set()}
OTHERS = {
    "num_layers": 3, "width": 12, "num_heads": 3, "num_pre_layers": 2, "num_post_layers": 3, "norm": "none",
    "dropout": 0.7, "normalize_values": False, "unit_rows": False, "layer": "concat", "drop_features": True,
    "residual": True, "kind": "sage", "skip": True, "global_layers": 2, "feature_dropout": 0.1, "unit_sums": True,
}  # fmt: skip
FROM_DATA = {"num_features": 5, "num_outputs": 3, "task": "multiclass", "metric": "accuracy"}

stages = pytest.mark.parametrize(("stage", "usual"), STAGES)


def offered(stage: type[NodeTask], usual: TransformerSettings | BaselineSettings) -> set[str]:
    return {each.name for each in fields(usual)} - LEFT_OUT[stage]


@stages
def test_a_stage_begins_with_its_settings(stage: type[NodeTask], usual: TransformerSettings | BaselineSettings) -> None:
    parameters = inspect.signature(stage).parameters
    assert offered(stage, usual) == parameters.keys() & {each.name for each in fields(usual)}
    for name in offered(stage, usual):
        assert parameters[name].default == getattr(usual, name), name
    assert stage(**FROM_DATA).network.settings == usual


@stages
def test_each_setting_reaches_the_network(stage: type[NodeTask], usual: TransformerSettings | BaselineSettings) -> None:
    for name in offered(stage, usual):
        given = {name: OTHERS[name]} | ({"width": 12} if name == "num_heads" else {})
        assert given[name] != getattr(usual, name), "another than the default"
        model = stage(**given, **FROM_DATA)
        assert model.network.settings == replace(usual, **given), name
        assert model.hparams[name] == given[name], "a checkpoint holds it by its name"


@stages
def test_an_export_holds_what_the_network_was_made_by(
    stage: type[NodeTask], usual: TransformerSettings | BaselineSettings
) -> None:
    sizes = {"num_features": 5, "num_outputs": 3}
    assert network_arguments(stage(**FROM_DATA).network) == sizes | asdict(usual)


@stages
def test_every_option_is_explained(stage: type[NodeTask], usual: TransformerSettings | BaselineSettings) -> None:
    """jsonargparse takes the help of `--model.width` from here."""
    for kind in (stage, type(usual)):
        for name in inspect.signature(kind).parameters:
            assert re.search(rf"^        {name}: \S", kind.__doc__, re.MULTILINE), name
