"""A finished run, loaded to predict."""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from spx.data import GraphData, NodeBatch, ResampledGraphData
from spx.data.core_nodes import CoreNodeBatches
from spx.data.given_graph import filed_graph
from spx.data.known_nodes import KnownNodes, Match
from spx.data.stored_features import StoredFeatures, all_rows
from spx.datasets.own.schema import Schema
from spx.errors import ArtifactError, ConfigError
from spx.explanation import BATCH_SIZE as EXPLAINED_AT_ONCE
from spx.explanation import MOST
from spx.explanation.tables import Explanation
from spx.graph.features import Features
from spx.inference import BATCH_SIZE, DRAWS
from spx.inference.explaining import explain
from spx.inference.given_store import take_features
from spx.inference.predictions import Predictions, from_step, joined
from spx.inference.rebuild import build_data, build_model, class_names
from spx.inference.recorded import facts, recorded_figures
from spx.inference.run_files import read_run
from spx.inference.selection import asked_nodes, check_features, find_nodes, is_graph, is_same_graph
from spx.nn.norms import GraphNorm
from spx.training import NodeTask

logger = logging.getLogger(__name__)


def load(
    run_folder: str | Path,
    *,
    dataset: str | Path | None = None,
    data_dir: str | Path | None = None,
    scores: str | Path | None = None,
    checkpoint: str | Path = "best",
    device: str | torch.device | None = None,
    feature_store: Any = None,
) -> "TrainedRun":
    """Load a finished run with its data.

    Args:
        run_folder: `<runs_dir>/<dataset>/<name>/version_N`, the folder of a fit from Python, or a .ckpt file of either.
        dataset: new place of a graph of your own, or the graph as it has become since.
        data_dir: new place of the datasets' folder.
        scores: new place of the score file.
        checkpoint: "best" on validation, "last", or the path of a .ckpt file.
        device: "cpu", "cuda", ...; default: a GPU if there is one.
        feature_store: a `torch_geometric.data.FeatureStore` whose features are taken in place of the dataset's (see
            `ResampledGraphData`). A run doesn't keep its own.

    Raises:
        ArtifactError: there is no finished run, a file of it is damaged, or its data or scores are missing or changed.
        DatasetError: the dataset can't be loaded.
        ConfigError: there is no such device, or scores or a store are given to a run that uses none.

    Example:
        >>> import lightning as L, tempfile
        >>> from spx.data import ResampledGraphData
        >>> from spx.training import Spexphormer
        >>> from spx.training.callbacks import BestCheckpoint
        >>> data = ResampledGraphData("minesweeper-sim", k=[2], sampler="uniform", expander_degree=3)
        >>> model = Spexphormer(width=4, num_layers=1, num_heads=1, **data.for_model)
        >>> folder = tempfile.mkdtemp()
        >>> settings = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        >>> callback = BestCheckpoint(folder, last_seconds=0)
        >>> settings |= {"callbacks": [callback], "reload_dataloaders_every_n_epochs": 1, "default_root_dir": folder}
        >>> L.Trainer(max_epochs=1, accelerator="cpu", **settings).fit(model, data)
        >>> load(f"{folder}/best.ckpt", device="cpu").predict([0, 1]).probabilities.shape
        torch.Size([2, 2])
    """
    device = _device(device)
    files = read_run(run_folder, checkpoint)
    network = build_model(files, checkpoint)
    num_outputs = network.model.num_outputs
    names = class_names(files, num_outputs)
    numbers = tuple(map(str, range(num_outputs)))
    data, known, match = build_data(files, network, dataset, data_dir, scores, names or numbers)
    take_features(data, feature_store, network.data_state.get("feature_store"), files.folder)
    names = names or (data.dataset.class_names if match is None else None) or numbers
    return TrainedRun(files.folder, network.model.to(device), data, names, known, match, files.checkpoint or checkpoint)


@dataclass
class TrainedRun:
    """A trained network with the graph that it was trained on.

    Args:
        folder: of the run.
        model: in evaluation mode.
        data: of the run.
        class_names: of the C classes or labels, in the order of the network's outputs.
        known: the nodes that it was trained on; None where the graph is that of the training.
        match: where they are in the graph as it is now; None likewise.
        checkpoint: that it was loaded from.
    """

    folder: Path
    model: NodeTask
    data: GraphData
    class_names: tuple[str, ...]
    known: KnownNodes | None = None
    match: Match | None = None
    checkpoint: str | Path = "best"

    def test(self) -> pl.DataFrame:
        """The figures of the run's test, as `run.json` has them: `figure` and `value`.

        Raises:
            ArtifactError: the run wasn't tested.
            ConfigError: the graph is another than the one that was tested.
        """
        if self.match is not None:
            raise ConfigError(
                "The graph changed since the run was tested, and nodes that it was trained on may be among those that "
                "would be judged. Ask the run on its own graph: spx.load(folder).test()."
            )
        return recorded_figures(self.folder)

    def _repr_html_(self) -> str:
        return facts(self.folder)._repr_html_()

    def on(self, nodes: Any, edges: Any = None) -> "TrainedRun":
        """The run on its graph as it is now: nodes and edges that came and went, other values. Nodes are matched by
        name; what changed is said in a line.

        Args:
            nodes: a table of all nodes, as a pandas or polars DataFrame with the columns of the training; or a PyG
                `Data`; or the path of a graph.
            edges: a table of all edges; only with a table of nodes.

        Raises:
            DatasetError: the graph can't be read.
            ArtifactError: its features are others, or the run doesn't keep what a changed graph needs.
        """
        with tempfile.TemporaryDirectory() as folder:
            place = filed_graph(nodes, edges, Path(folder), "graph")
            settings = {"checkpoint": self.checkpoint, "device": self.model.device}
            return load(self.folder, dataset=place, **settings)

    def predict(self, graph_or_nodes: Any = None, **settings: Any) -> Predictions:
        """All that `predict_batches`, whose arguments these are, gives, at once."""
        return joined(self.predict_batches(graph_or_nodes, **settings))

    def predict_batches(
        self,
        graph_or_nodes: Any = None,
        *,
        nodes: Any = None,
        x: Any = None,
        draws: int = DRAWS,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[Predictions]:
        """Predictions batch by batch, in the order of the nodes.

        A node's probabilities are the mean over draws of the sampled graph: those by which the run was validated and
        tested, so with `draws` = the run's `eval_samples` they are the test's. They don't depend on the batches. Data
        without draws (an Exphormer's, a GCN's, the sampler "top") give one prediction and no spread.

        Args:
            graph_or_nodes: nodes; or a graph, as a PyG `Data`, a `NodeDataset` or a path: the run's own with new
                features, or as it has become (`on`).
            nodes: a list, array or Series of the nodes' names in your files, or a tensor of their numbers in the
                graph. Without names, as in the published datasets, both are 0 to N - 1. Default: all nodes.
            x: [N, F] new features of all nodes, dense, or sparse of SciPy or torch.
            draws: R.
            batch_size: B, nodes that are predicted at once.

        Raises:
            ConfigError: unknown nodes, features of another shape, no draw, no batch.
            ArtifactError: another graph than the run's.
        """
        if draws < 1 or batch_size < 1:
            raise ConfigError(f"draws is {draws} and batch_size {batch_size}; both must be at least 1.")
        if isinstance(graph_or_nodes, str | Path) or (
            is_graph(graph_or_nodes) and not is_same_graph(graph_or_nodes, self.data)
        ):
            settings = {"nodes": nodes, "x": x, "draws": draws, "batch_size": batch_size}
            return self.on(graph_or_nodes).predict_batches(**settings)
        if is_graph(graph_or_nodes):
            x = graph_or_nodes.x if x is None else x
        else:
            nodes = asked_nodes(graph_or_nodes, nodes)
        numbers = find_nodes(nodes, self.data.dataset, self.known)
        if x is not None and getattr(graph_or_nodes, "schema", None) != self.data.dataset.schema and self._is_scaled:
            logger.warning(
                "The run %s scales numbers of its table: the features given are taken as already scaled, as those of "
                "run.data.dataset.x are (run.json says how: schema).",
                self.folder,
            )
        x = self.data.x if x is None else check_features(x, self.data.dataset)
        return self._batches(numbers, x, self._neighborhoods(draws, numbers, batch_size), batch_size)

    def explain(
        self,
        graph_or_nodes: Any = None,
        *,
        nodes: Any = None,
        draws: int = DRAWS,
        most: int = MOST,
        batch_size: int = EXPLAINED_AT_ONCE,
    ) -> Explanation:
        """Why the nodes were judged so: what removing a neighbour does, what was attended to, which features count.

        Args:
            graph_or_nodes: nodes; or a graph as it has become (`on`), as a PyG `Data`, a `NodeDataset` or a path.
            nodes: as for `predict_batches`, but not all.
            draws: R, the same as those of a prediction.
            most: neighbours whose removal is tried, input nodes and features that are kept, of each node.
            batch_size: B, nodes that are explained at once.

        Returns:
            Tables (`spx.explanation.tables.Explanation`), and `write_page`.

        Raises:
            ConfigError: unknown nodes, none, a network without attention, or a count below 1.
            DatasetError, ArtifactError: as `on`.
        """
        if is_graph(graph_or_nodes) or (nodes is not None and isinstance(graph_or_nodes, str | Path)):
            on_graph = self.on(graph_or_nodes)
            return on_graph.explain(nodes=nodes, draws=draws, most=most, batch_size=batch_size)
        return explain(self, asked_nodes(graph_or_nodes, nodes), draws, most, batch_size)

    def _batches(
        self, nodes: Tensor, x: Features | StoredFeatures, draws: list[tuple], batch_size: int
    ) -> Iterator[Predictions]:
        for passes in self._passes(nodes, x, draws, batch_size):
            step = self._predict(passes)
            for rows in zip(*(tensor.split(batch_size) for tensor in step.values()), strict=True):
                found = from_step(dict(zip(step, rows, strict=True)), self.data.dataset, self.class_names)
                yield found if self.match is None else found.with_new(self.match.numbers[found.nodes] < 0)

    @torch.no_grad()
    def _predict(self, passes: Iterator[NodeBatch]) -> dict[str, Tensor]:
        move, device = self.data.transfer_batch_to_device, self.model.device
        step = self.model.predict_step(move(batch, device) for batch in passes)
        if not bool(step["probabilities"].isfinite().all()):
            raise ArtifactError(
                f"The network of {self.folder} gives numbers that aren't finite: its checkpoint is damaged, or the "
                "features are far from those that it was trained on."
            )
        return step

    def _neighborhoods(self, draws: int, nodes: Tensor | None = None, batch_size: int = BATCH_SIZE) -> list[tuple]:
        """Of each draw, all layers' over all nodes; lazy ones where the nodes to predict, if given, reach little."""
        if not isinstance(self.data, ResampledGraphData):
            return [(self.data.neighborhood_of(self.model.network),)]
        self.data.eval_samples = 1 if self.data.sampler == "top" else draws
        batches = [] if self._needs_whole_graph or nodes is None else [*map(len, nodes.split(batch_size))]
        return self.data.evaluation_draws_for(batches)

    def _passes(
        self, nodes: Tensor, x: Features | StoredFeatures, draws: list[tuple], batch_size: int
    ) -> Iterator[Iterator[NodeBatch]]:
        """The forward passes for some nodes after the others, each a draw, made when it is asked for."""
        y = self.data.dataset.y
        if self._needs_whole_graph:
            rows = all_rows(x)
            yield (NodeBatch(rows, neighborhoods, nodes, y[nodes], nodes) for neighborhoods in draws)
            return
        sources = [CoreNodeBatches(nodes, [tables], x, y) for tables in draws]
        for start in range(0, nodes.numel(), batch_size):
            rows = list(range(start, min(start + batch_size, nodes.numel())))
            yield (batch for source in sources for batch in source.__getitem__(rows))

    @property
    def _is_scaled(self) -> bool:
        """Whether features of the run's data are others than the table's numbers."""
        schema = self.data.dataset.schema
        return schema is not None and any(column.scaling != "none" for column in Schema.from_json(schema).columns)

    @property
    def _needs_whole_graph(self) -> bool:
        """Without sampled tables any node may be needed, and GraphNorm's statistics are those of the nodes at hand."""
        sampled = isinstance(self.data, ResampledGraphData)
        return not sampled or any(isinstance(module, GraphNorm) for module in self.model.network.modules())


def _device(name: str | torch.device | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ConfigError(f"The device {name!r} is unknown. Give cpu or cuda.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"There is no GPU {name} that torch could use. Give the device cpu, or leave it out.")
    return device
