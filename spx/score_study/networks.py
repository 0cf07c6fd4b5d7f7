"""The networks behind the score files: which of them learned nothing, what they attend to before any training, and at
the temperature at which the authors' code saves them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from spx.analysis.measures import normalized_entropy
from spx.datasets import NodeDataset
from spx.errors import ArtifactError
from spx.graph.csr import AttentionGraph
from spx.graph.features import Features
from spx.inference.baselines import chance_value
from spx.nn.export import CONFIG_FILE, load_network, make_network, network_arguments, read_config
from spx.nn.network import GraphTransformer
from spx.run_folder import LAST_CHECKPOINT
from spx.score_study.artifacts import Group, Network
from spx.score_study.tables import Row, Tables, layer_pairs, network_pairs, tables_of
from spx.torch_files import read_checkpoint
from spx.training.kept_estimator import folder_beside

LEAST_ABOVE = 0.005
"""By which a network's validation metric lies above chance, if it learned anything."""


def without_failed(groups: Sequence[Group], dataset: NodeDataset) -> list[Group]:
    """The groups with the networks that learned nothing moved to `failed`; where none learned, all stay.

    Such a network's validation metric isn't above what a prediction alike for all nodes reaches.
    """
    kept = []
    for group in groups:
        chance = chance_value(dataset, group.networks[0].header.metric)
        learned, failed = [], []
        for network in group.networks:
            value = network.header.val_metric
            (failed if value is not None and value <= chance + LEAST_ABOVE else learned).append(network)
        kept.append(replace(group, networks=learned or failed, failed=failed, chance=chance))
    return kept


def untrained_tables(groups: Sequence[Group], x: Features) -> Tables:
    """What networks of the same settings attend to before training, at temperature 1; nothing for score files without
    the network beside them.

    | table | a row is |
    |---|---|
    | untrained | mean normalised entropy of a network in one layer |
    | untrained_distances | as `distances`, of two networks of one width |
    | untrained_layers | as `layers` |

    Args:
        groups: networks by graph.
        x: [N, F] features.
    """
    rows: dict[str, list[Row]] = {"untrained": [], "untrained_distances": [], "untrained_layers": []}
    for group in groups:
        for width, networks in itertools.groupby(group.networks, lambda network: network.width):  # in memory at a time
            fresh = Group(group.name, group.graph, group.fingerprint, list(_untrained(networks, x, group.graph)))
            for network in fresh.networks:
                named = {"graph": group.name, "width": width, "seed": network.seed}
                for layer, scores in enumerate(network.scores_LM, start=1):
                    mean = float(normalized_entropy(group.graph, scores).nanmean())
                    rows["untrained"].append({**named, "layer": layer, "mean": mean})
                rows["untrained_layers"] += [{**named, **row} for row in layer_pairs(group.graph, network)]
            rows["untrained_distances"] += [{"graph": group.name, **row} for row in network_pairs(fresh)]
    return tables_of(rows)


def _untrained(networks: Iterator[Network], x: Features, graph: AttentionGraph) -> Iterator[Network]:
    """Twins with weights drawn anew by the same seeds, in evaluation mode as the score files' networks."""
    for network in networks:
        if (kept := _kept(network)) is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(network.seed)
                twin = make_network(type(kept), network_arguments(kept))
            yield replace(network, scores_LM=_scores(twin, x, graph))


def at_last_temperature(group: Group, x: Features) -> Group:
    """The group's networks at the temperature of their fit's last epoch: what the authors' code saves.

    Theirs goes on with the temperature after the epoch that is best on validation, and then scores by the best epoch's
    weights at the last epoch's temperature: sharper than that network ever was.

    Raises:
        ArtifactError: a network or the last checkpoint isn't beside the scores.
    """
    networks = []
    for network in group.networks:
        if (found := _kept(network)) is None:
            raise ArtifactError(
                f"{network.path} has not its network beside it, in {folder_beside(network.path)}, which would have to "
                "score at another temperature. Analyse it with another --state, or fit the estimator again."
            )
        last = read_checkpoint(network.path.parent / LAST_CHECKPOINT)["state_dict"]["network.temperature"]
        found.temperature.copy_(last)
        header = replace(network.header, temperature=float(last))
        networks.append(replace(network, header=header, scores_LM=_scores(found, x, group.graph)))
    return replace(group, networks=networks)


def _kept(network: Network) -> GraphTransformer | None:
    """The network beside the score file, if it is the one that made it."""
    folder = folder_beside(network.path)
    if not (folder / CONFIG_FILE).is_file():
        return None
    is_same = read_config(folder).made_from.get("scores_fingerprint") == network.header.fingerprint
    found = load_network(folder) if is_same else None
    return found if isinstance(found, GraphTransformer) else None


@torch.no_grad()
def _scores(network: GraphTransformer, x: Features, graph: AttentionGraph) -> torch.Tensor:
    return network.eval().attention_scores(x, graph)
