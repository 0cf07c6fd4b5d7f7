"""A fit that starts from another run's weights: what it takes of them."""

from pathlib import Path

import torch

from spx.data import AugmentedGraphData
from spx.inference.initial import InitialWeights, start_from
from spx.nn.export import network_arguments
from spx.training import AttentionEstimator

from .conftest import network


def test_the_network_is_the_other_run_s_at_its_temperature(whole: AugmentedGraphData) -> None:
    """Weights that were learned at a temperature say something else at another."""
    before, after = (network(whole, AttentionEstimator) for _ in range(2))
    with torch.no_grad():
        for parameter in before.parameters():
            parameter.normal_()
    before.network.temperature.fill_(0.25)
    arguments = network_arguments(before.network)
    start_from(after, InitialWeights(Path("run"), before.state_dict(), ("0", "1", "2"), arguments), None)
    assert after.temperature == 0.25
    with torch.no_grad():
        logits = [model.network(whole.dataset.x, (whole.graph,)) for model in (before, after)]
    assert torch.equal(*logits)
