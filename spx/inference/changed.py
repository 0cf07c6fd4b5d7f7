"""A run on its graph as it is now: nodes and edges that came and went, other values and labels.

Nodes are matched by name. The expander keeps the old nodes' neighbours (`spx.graph.grown`), the estimator that the run
keeps scores the graph anew in one pass, and the draws are the run's own on it.
"""

import logging

import torch

from spx.data import GraphData, ResampledGraphData
from spx.data.known_nodes import KnownNodes, Match, load_known_nodes, match_nodes
from spx.errors import ArtifactError
from spx.graph.scores import AttentionScores
from spx.inference.run_files import RunFiles
from spx.run_folder import ESTIMATOR_FOLDER, NODES_FILE
from spx.training.kept_estimator import load_estimator

logger = logging.getLogger(__name__)


def follow_changes(files: RunFiles, data: GraphData) -> tuple[KnownNodes, Match]:
    """Make the data's graph and scores those of a run on the graph as it is now.

    Args:
        files: of the run.
        data: with the changed dataset.

    Returns:
        The nodes that the run was trained on, and where they are now.

    Raises:
        ArtifactError: the run doesn't keep what that needs, or the features are others than the network's.
    """
    known = load_known_nodes(files.folder / NODES_FILE)
    match = match_nodes(known, data.dataset)
    if isinstance(data, ResampledGraphData) and data.sampler != "uniform":
        _score_anew(files, data, match)
    else:
        data.follow(match.places)
    return known, match


def _score_anew(files: RunFiles, data: ResampledGraphData, match: Match) -> None:
    estimator = load_estimator(files.folder / ESTIMATOR_FOLDER)
    if estimator.network.num_features != data.num_features:
        raise ArtifactError(
            f"The graph has {data.num_features} features; the estimator of the run {files.folder} was trained on "
            f"{estimator.network.num_features}. Give the same columns."
        )
    for name, value in estimator.augmentation.items():
        setattr(data, name, value)
    data.follow(match.places)
    scores_LM = estimator.network.attention_scores(data.dataset.x, data.graph)
    if not bool(torch.stack([row.isfinite().all() for row in scores_LM]).all()):
        raise ArtifactError(
            "The estimator's scores of the changed graph aren't finite: its features are far from those that it was "
            "trained on."
        )
    data.use_scores(AttentionScores(data.graph, scores_LM))
