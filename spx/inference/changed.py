"""A run on its graph as it is now: nodes and edges that came and went, other values and labels.

Nodes are matched by name. The expander keeps the old nodes' neighbours (`spx.graph.grown`), the estimator that the run
keeps scores the graph anew in one pass, and the draws are the run's own on it.
"""

import logging

import torch

from spx.data import GraphData, ResampledGraphData
from spx.data.known_nodes import PARTS, KnownNodes, Match, load_known_nodes, match_nodes
from spx.datasets import NodeDataset, Split
from spx.errors import ArtifactError
from spx.graph.scores import AttentionScores
from spx.inference.run_files import RunFiles
from spx.run_folder import ESTIMATOR_FOLDER, NODES_FILE
from spx.training.kept_estimator import load_estimator

logger = logging.getLogger(__name__)


def follow_changes(files: RunFiles, data: GraphData, class_names: tuple[str, ...]) -> tuple[KnownNodes, Match]:
    """Make the data's graph and scores those of a run on the graph as it is now.

    Args:
        files: of the run.
        data: with the changed dataset. It then has the run's classes, and as its split the nodes that the run had in
            each part.
        class_names: of the run.

    Returns:
        The nodes that the run was trained on, and where they are now.

    Raises:
        ArtifactError: the run doesn't keep what that needs, or the features are others than the network's.
    """
    known = load_known_nodes(files.folder / NODES_FILE)
    match = match_nodes(known, data.dataset)
    data.use_dataset(_as_judged(data.dataset, known, match, class_names))
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
    if not all(bool(torch.stack(row.aminmax()).isfinite().all()) for row in scores_LM if row.numel()):
        raise ArtifactError(
            "The estimator's scores of the changed graph aren't finite: its features are far from those that it was "
            "trained on."
        )
    data.use_scores(AttentionScores(data.graph, scores_LM))


def _as_judged(dataset: NodeDataset, known: KnownNodes, match: Match, class_names: tuple[str, ...]) -> NodeDataset:
    """With the parts that the nodes had in training, new ones being in none, and the run's numbers of classes."""
    part = torch.zeros(dataset.num_nodes, dtype=torch.uint8)
    stayed = match.numbers >= 0
    part[stayed] = known.part[match.numbers[stayed]]
    split = Split(*((part == PARTS.index(name)).nonzero().flatten() for name in Split._fields))
    names = dataset.class_names or tuple(map(str, range(dataset.num_classes)))
    y = dataset.y
    if dataset.task == "multiclass" and names != class_names:
        places = torch.tensor([class_names.index(name) if name in class_names else -1 for name in names] + [-1])
        y = places[y]  # -1, unlabelled, is the last
    elif names != class_names:
        y = torch.zeros(dataset.num_nodes, len(class_names))
    return dataset._replace(split=split, y=y, num_classes=len(class_names), class_names=class_names)
