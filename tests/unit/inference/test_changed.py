"""A run on a graph that changed: what its estimator gives for it is looked at before it is drawn by."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from spx.data.known_nodes import known_nodes, match_nodes
from spx.datasets import NodeDataset
from spx.errors import ArtifactError
from spx.inference import changed
from spx.inference.run_files import RunFiles

from .conftest import resampled


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), float("-inf")])
def test_scores_that_aren_t_finite_are_refused(
    value: float, toy: NodeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = resampled(sampler="attention")

    def scores(_x: object, graph: object) -> torch.Tensor:
        found = torch.full((2, graph.num_edges), 0.25)
        found[1, 3] = value
        return found

    network = SimpleNamespace(num_features=5, attention_scores=scores)
    monkeypatch.setattr(changed, "load_estimator", lambda _: SimpleNamespace(network=network, augmentation={}))
    files, match = RunFiles(tmp_path, {}, {}), match_nodes(known_nodes(toy), toy)
    if value == 0.5:
        changed._score_anew(files, data, match)
        assert float(data.scores.scores_LM[1, 3]) == value
        return
    with pytest.raises(ArtifactError, match="scores of the changed graph aren't finite"):
        changed._score_anew(files, data, match)
