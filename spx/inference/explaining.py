"""Why a run judges nodes so: its network, its draws and its predictions brought to `spx.explanation`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl
from torch import Tensor

from spx.errors import ConfigError
from spx.explanation.explain import batch_size_of, explain_batch
from spx.explanation.over_draws import Judged
from spx.explanation.tables import Explanation, joined
from spx.inference.selection import find_nodes
from spx.nn.network import GraphTransformer

if TYPE_CHECKING:
    from spx.inference.run import TrainedRun


def explain(run: "TrainedRun", nodes: Any, draws: int, most: int, batch_size: int) -> Explanation:
    """All batches at once, and what is predicted for the neighbours: their own neighbourhoods reach far, so that one
    pass for all of them takes little more than one for those of a batch. Arguments as of `TrainedRun.explain`."""
    told = joined(explain_batches(run, nodes, draws, most, batch_size))
    neighbors = told.neighbors["neighbor"].unique(maintain_order=True)
    names = pl.Series(dtype=pl.String)
    if neighbors.len():  # a node of a graph without expander and self-loops may have none
        names = _judged(run, find_nodes(neighbors, run.data.dataset), draws).names
    predicted = pl.DataFrame({"neighbor": neighbors, "neighbor_prediction": names})
    return told._replace(neighbors=told.neighbors.join(predicted, on="neighbor", how="left", maintain_order="left"))


def explain_batches(run: "TrainedRun", nodes: Any, draws: int, most: int, batch_size: int) -> Iterator[Explanation]:
    """Explanations batch by batch, in the order of the nodes; arguments as of `TrainedRun.explain`.

    Raises:
        ConfigError: unknown nodes, none, a network without attention, or a count below 1.
    """
    network = run.model.network
    if not isinstance(network, GraphTransformer):
        raise ConfigError(
            f"The run {run.folder} trained a {network.settings.kind}, which has no attention to explain. Give a run of "
            "a graph Transformer."
        )
    for name, number in (("draws", draws), ("most", most), ("batch_size", batch_size)):
        if number < 1:
            raise ConfigError(f"{name} is {number}; it must be at least 1.")
    if nodes is None:
        raise ConfigError("No node is given. Give those to explain, such as nodes=['anna', 'ben'].")
    numbers = find_nodes(nodes, run.data.dataset, run.known)
    neighborhoods = run._neighborhoods(draws)
    dataset = run.data.dataset._replace(x=run.data.x)  # those that it predicts by

    facts = {"run": str(run.folder), "dataset": run.data.dataset_name, "layers": str(len(network.layers))}
    if run.match is not None and run.match.text:
        facts["since the training"] = run.match.text
    for batch in numbers.split(batch_size_of(network, neighborhoods[0], batch_size)):
        explanation = explain_batch(network, dataset, neighborhoods, _judged(run, batch, draws), most)
        yield explanation._replace(facts=facts | {"draws": str(len(neighborhoods))})


def _judged(run: "TrainedRun", nodes: Tensor, draws: int) -> Judged:
    predictions = run.predict(nodes, draws=draws)
    return Judged(nodes, predictions.probabilities, predictions.task, predictions.class_names)
