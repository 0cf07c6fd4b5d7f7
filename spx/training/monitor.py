"""A look at the attention during any fit: what is cheap of the measures of `spx.analysis`.

Logged for each layer l, from 1, on the first validation batch (the mean of the heads' scores):
`which_edges/entropy_layer_l` (mean over nodes, 1 is uniform), `which_edges/share_{graph,expander,self_loop}_layer_l`,
`which_edges/top_k_layer_l` (share of a node's attention that its k largest scores hold, for each k, mean over nodes),
and once `which_edges/seconds`, what the look took.
"""

import time

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from spx.analysis.measures import edge_type_mass, normalized_entropy, top_k_mass
from spx.analysis.row_ranges import select_rows
from spx.data.batch import Draws
from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph, EdgeType
from spx.graph.sharding import GraphShard
from spx.nn.collectives import sum_over_ranks
from spx.nn.functional import as_rows
from spx.nn.network import GraphTransformer

TOP_K = (1, 2, 4, 8)


class AttentionMonitor(Callback):
    """Logs entropy, edge-type shares and top-k mass of the attention every few epochs, after a validation batch: never
    in a training step. Does nothing for networks without attention.

    Over a sampled graph (stage 2) the measures are over its K slots a node. With several devices they are the mean over
    the nodes of all. A measure that no node has, as the entropy of a single slot, is left out.

    Args:
        every: epochs between two looks, each for one more forward pass over the first validation batch; 0: never.
        top_k: numbers of edges whose mass is logged.
        max_nodes: at most so many nodes, evenly spaced, are sorted for the top-k mass.
    """

    def __init__(self, every: int = 10, top_k: tuple[int, ...] = TOP_K, max_nodes: int = 1_000):
        if every < 0 or max_nodes < 1 or any(k < 1 for k in top_k):
            raise ConfigError(
                f"attention.every is {every}, top_k {list(top_k)}, max_nodes {max_nodes}: every is at least 0 (never), "
                "the others at least 1."
            )
        self.every, self.top_k, self.max_nodes = every, tuple(top_k), max_nodes

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs, batch: Draws, batch_idx: int, dataloader_idx=0
    ) -> None:
        due = self.every and trainer.state.fn == TrainerFn.FITTING and trainer.current_epoch % self.every == 0
        if batch_idx or not due or not isinstance(pl_module.network, GraphTransformer):
            return
        started = time.perf_counter()
        x, neighborhoods = batch[0].x, batch[0].neighborhoods
        neighborhoods = neighborhoods * (pl_module.num_layers if len(neighborhoods) == 1 else 1)
        sums = {}
        weights_of_layers = pl_module.network.attention_weights(x, batch[0].neighborhoods)
        for layer, (weights, neighborhood) in enumerate(zip(weights_of_layers, neighborhoods, strict=True), start=1):
            rows = neighborhood.graph if isinstance(neighborhood, GraphShard) else as_rows(neighborhood)
            measured = self._measure(rows, weights.mean(-1).flatten())
            sums |= {f"which_edges/{name}_layer_{layer}": value for name, value in measured.items()}
        values = _means_over_ranks(sums)
        values["which_edges/seconds"] = time.perf_counter() - started
        pl_module.log_dict(values, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def _measure(self, graph: AttentionGraph, weights: Tensor) -> dict[str, Tensor]:
        """Of each measure the sum over this rank's nodes and how many there are, [2] float64."""
        entropy = normalized_entropy(graph, weights).double()
        sums = {"entropy": torch.stack((entropy.nansum(), (~entropy.isnan()).sum()))}
        mass = edge_type_mass(graph, weights)
        for edge_type, held in zip(EdgeType, mass, strict=True):
            sums[f"share_{edge_type.name.lower()}"] = torch.stack((held, mass.sum()))
        rows, edges = select_rows(graph, self.max_nodes)
        held = top_k_mass(rows, weights[edges], self.top_k)
        number = (rows.degrees() > 0).sum()
        for k, total in zip(self.top_k, held.nansum(0), strict=True):
            sums[f"top_{k}"] = torch.stack((total, number)) * (graph.num_nodes / max(1, rows.num_nodes))
        return sums


def _means_over_ranks(sums: dict[str, Tensor]) -> dict[str, float]:
    """Means over the nodes of all ranks, of which some may have none; without the measures that no node has."""
    totals = sum_over_ranks(torch.stack(list(sums.values()))).tolist()
    return {name: total / number for name, (total, number) in zip(sums, totals, strict=True) if number > 0}
