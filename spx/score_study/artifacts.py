"""Score files brought together by the graph that they are over, and the dataset that they were made for."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from spx.analysis.row_ranges import with_choice
from spx.data import AugmentedGraphData
from spx.datasets.fingerprint import changed_parts, is_older, what_changed
from spx.errors import ArtifactError
from spx.graph.csr import AttentionGraph, EdgeType
from spx.graph.scores import ArtifactHeader, load_scores
from spx.run_folder import SCORES_FILE

NAMES = {
    frozenset({EdgeType.GRAPH}): "graph",
    frozenset({EdgeType.GRAPH, EdgeType.SELF_LOOP}): "graph and self-loops",
    frozenset({EdgeType.GRAPH, EdgeType.EXPANDER}): "graph and expander",
}

SAME_IN_ALL = ("dataset", "protocol", "split")


@dataclass(frozen=True, eq=False)
class Network:
    """One network's scores.

    Args:
        path: of its score file.
        header: what they were made from.
        scores_LM: [L, M].
    """

    path: Path
    header: ArtifactHeader
    scores_LM: Tensor

    @property
    def width(self) -> int:
        return self.header.width

    @property
    def seed(self) -> int:
        return self.header.seed


@dataclass
class Group:
    """Networks over one attention graph.

    Args:
        name: "graph" (graph edges alone), "augmented", or which edge types there are.
        graph: the attention graph.
        fingerprint: of it.
        networks: by width, then seed.
        failed: networks whose fit learned nothing (`spx.score_study.networks.without_failed`).
        chance: their metric's value for one answer for all nodes; nan: not looked at.
    """

    name: str
    graph: AttentionGraph
    fingerprint: str
    networks: list[Network] = field(default_factory=list)
    failed: list[Network] = field(default_factory=list)
    chance: float = math.nan

    @property
    def num_layers(self) -> int:
        return self.networks[0].scores_LM.shape[0]


def load_groups(paths: list[Path] | list[str]) -> list[Group]:
    """Read score files (or run folders that hold one) and group them by graph; "augmented" comes last.

    Raises:
        ArtifactError: no file, an unfinished run, files of different datasets, graphs, splits or numbers of layers, two
            of the same width and seed, or a graph on which nothing has a choice.
    """
    if not paths:
        raise ArtifactError("There is no score file to analyse. Give --scores FILE..., or leave it out to train.")
    groups: dict[str, Group] = {}
    first: tuple[Path, ArtifactHeader] | None = None
    for path in map(_score_file, paths):
        scores, header = load_scores(path)
        first = first or (path, header)
        _check_same_data(*first, path, header)
        _add(groups, Network(path, header, scores.scores_LM), scores.graph)
    for group in groups.values():
        group.networks.sort(key=lambda network: (network.width, network.seed))
        if not with_choice(group.graph).any():
            raise ArtifactError(
                f"{group.networks[0].path}: no node has two attention edges (nodes: {group.graph.num_nodes:,}), so "
                "there is no attention to measure. Give the scores of a graph with more edges."
            )
    return sorted(groups.values(), key=lambda group: group.name == "augmented")


def check_data(groups: list[Group], data: AugmentedGraphData) -> None:
    """Refuse a dataset that the scores weren't made for.

    Raises:
        ArtifactError: it changed.
    """
    for network in (network for group in groups for network in group.networks):
        if changed := changed_parts(network.header.data_fingerprint, data.data_fingerprint, data.dataset):
            raise ArtifactError(
                f"{network.path} was made for other data than {data.dataset_name}, protocol {data.protocol}, split "
                f"{data.split}, holds now: {what_changed(changed)}. Give those that it was made for, or train it again."
            )


def _score_file(path: Path | str) -> Path:
    path = Path(path)
    if not os.path.isdir(path):  # other than pathlib's, never raises
        return path
    if not (path / SCORES_FILE).is_file():
        raise ArtifactError(
            f"The run folder {path} holds no {SCORES_FILE}: the run hasn't finished, or it was no estimator's. Go on "
            f"with it (spx resume {path}), or give the folder of a finished estimator run."
        )
    return path / SCORES_FILE


def _check_same_data(first: Path, wanted: ArtifactHeader, path: Path, header: ArtifactHeader) -> None:
    told = {each: f"{each} {getattr(header, each)}, not {getattr(wanted, each)}" for each in SAME_IN_ALL}
    if is_older(wanted.data_fingerprint) == is_older(header.data_fingerprint):  # else each is compared with the data
        told["data_fingerprint"] = "graph or labels"
    for name, what in told.items():
        if getattr(wanted, name) != getattr(header, name):
            raise ArtifactError(
                f"{path} was made for other data than {first}: {what}. Analyse score files of one dataset and split."
            )


def _add(groups: dict[str, Group], network: Network, graph: AttentionGraph) -> None:
    types = frozenset(EdgeType(value) for value in torch.unique(graph.edge_type).tolist())
    name, fingerprint = NAMES.get(types, "augmented"), graph.fingerprint()
    group = groups.setdefault(name, Group(name, graph, fingerprint))
    if group.fingerprint != fingerprint:
        raise ArtifactError(
            f"{network.path} is over another attention graph than {group.networks[0].path}: the same edge types "
            f"({name}), but other edges. Fit all with the same --data.expander_seed and --data.expander_degree, or "
            "analyse them one at a time."
        )
    for other in group.networks:
        if other.scores_LM.shape != network.scores_LM.shape:
            raise ArtifactError(
                f"{network.path} holds the scores of {network.scores_LM.shape[0]} layers, {other.path} of "
                f"{other.scores_LM.shape[0]}: some layers are missing. Analyse networks of as many layers together."
            )
        if (other.width, other.seed) == (network.width, network.seed):
            raise ArtifactError(
                f"{other.path} and {network.path} are both of width {network.width} and seed {network.seed} on the "
                "same graph. Give one of them."
            )
    group.networks.append(network)
