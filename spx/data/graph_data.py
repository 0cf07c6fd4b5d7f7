"""What both stages' DataModules share: the dataset, its split, and the augmented graph."""

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from spx.data.batch import NodeBatch
from spx.data.on_device import KeptOnDevice
from spx.data.stored_features import StoredFeatures, all_rows
from spx.dataset_names import run_name
from spx.datasets import NodeDataset, OwnSettings, data_fingerprint, load_dataset
from spx.datasets.hidden import hidden_nodes, without_nodes
from spx.datasets.own.column import Scaling
from spx.datasets.own.missing import DEFAULT_MISSING
from spx.datasets.own.numerals import Decimal
from spx.datasets.own.settings import DEFAULT_SHARES
from spx.datasets.types import FeatureForm
from spx.datasets.types import Metric as MetricName
from spx.datasets.types import Task as TaskName
from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import EXPANDER_DEGREE, ExpanderKind, build_expander
from spx.graph.features import Features
from spx.graph.grown import grown_expander
from spx.run_folder import recorded_schema
from spx.signatures import plain_value


class GraphData(KeptOnDevice):
    """One graph with a split, loaded when first asked for.

    A checkpoint of a fit holds the settings, plain values all, and what the data were: a fit that goes on from it, and
    a test of it, are refused on others.

    Args:
        dataset: name of a dataset (`make help` lists them), or the path of a graph of your own (docs/own-data.md), from
            Python also as a `Path`.
        data_dir: folder of the raw and processed files; downloads go there.
        protocol: split protocol, "public" or "paper" (docs/datasets.md).
        split: number of the fixed split, or seed of a random one.
        seed: of the expander and of every draw; the command line sets it to `seed_everything`.
        expander_degree: D; each node gets 2D expander neighbours. 0: no expander.
        expander: "hamiltonian" (union of D random Hamiltonian cycles) or "permutation".
        features: form in memory: "sparse" (the entries that aren't zero), "dense", or "auto": sparse where they are so
            in their file, or less than a tenth of them is not zero. Results are the same, to rounding.
        expander_seed: of the expander alone, which runs of several seeds may share; default: `seed`.
        hide_test: whether the labels of the test nodes are left out as soon as the data are read: of a search's trials.
        self_loops: whether each node attends to itself.
        undirected: own graphs: add each edge's reverse.
        shares: own graphs without a split: of training, validation and test; `split` numbers the draw.
        stratify: own graphs without a split: draw each class by these shares.
        metric: own graphs: "accuracy", "balanced_accuracy", "f1_macro", "average_precision" or "roc_auc"; default:
            accuracy, for several labels roc_auc.
        categorical: own graphs from tables: feature columns of numbers that name categories.
        missing: own graphs from tables: words for a missing value, beside the empty cell; default: NA, N/A, NaN, ...
        scaling: own graphs from tables: of numbers, by the training nodes' mean and deviation: "standard", "log" (of
            their logarithm), or "none".
        columns: own graphs from tables: names of id, label, split, source, target; default: these and other usual ones.
        task: own graphs: "multiclass" or "multilabel"; default: as the labels are, or classes where each node has one.
        hidden: share of the nodes that are taken out with all their edges, drawn by `split`: with `spx predict RUN
            --dataset` the network then judges nodes that it never saw.
        columns_of: own graphs from tables: folder of a run whose columns, categories and scales are taken.
        edge_weight: own graphs: what the edges' weights are called; draws and the GCN take them, and 0 is no edge.
        decimal: own graphs from tables: "comma" or "point", where a column's numbers leave open which it is.
    """

    METHOD_SETTINGS: tuple[str, ...] = ("seed", "expander_degree", "expander", "expander_seed", "self_loops")
    """What makes the graphs that a fit sees: it can't go on with others."""

    def __init__(
        self,
        dataset: str,
        data_dir: str = "data",
        protocol: str = "public",
        split: int = 0,
        seed: int = 0,
        expander_degree: int = EXPANDER_DEGREE,
        expander: ExpanderKind = "hamiltonian",
        self_loops: bool = True,
        undirected: bool = False,
        shares: tuple[float, float, float] = DEFAULT_SHARES,
        stratify: bool = True,
        metric: MetricName | None = None,
        categorical: list[str] | None = None,
        missing: list[str] | None = None,
        scaling: Scaling = "standard",
        expander_seed: int | None = None,
        hide_test: bool = False,
        columns: dict[str, str] | None = None,
        task: TaskName | None = None,
        features: FeatureForm = "auto",
        hidden: float = 0.0,
        columns_of: str | None = None,
        edge_weight: str | None = None,
        decimal: Decimal | None = None,
    ):
        super().__init__()
        if not isinstance(dataset, str | os.PathLike):
            raise ConfigError(
                f"dataset is a {type(dataset).__name__}; give a dataset's name, or the path of a graph of your own. A "
                "graph in memory is saved first: torch.save(data, 'graph.pt'), or numpy.savez."
            )
        dataset = os.fspath(dataset)
        self.save_hyperparameters(logger=False, ignore=["feature_store"])  # into checkpoints, of subclasses too
        for name, value in self.hparams.items():
            self.hparams[name] = plain_value(value)
        if expander_degree < 0:
            raise ConfigError(f"expander_degree is {expander_degree}; it must be at least 0.")
        words, codes = DEFAULT_MISSING if missing is None else tuple(missing), tuple(categorical or ())
        how = (undirected, tuple(shares), stratify, metric, codes, words, scaling, columns or None, task, edge_weight)
        self.own = OwnSettings(*how, decimal)
        self._split_said = False
        self.schema: dict[str, Any] | None = None
        self.hide_test = hide_test
        self.source, self.dataset_name = dataset, run_name(dataset)
        self.data_dir, self.protocol, self.split, self.seed = data_dir, protocol, split, seed
        self.features: FeatureForm = features
        self.expander_degree, self.expander, self.self_loops = expander_degree, expander, self_loops
        self.expander_seed = seed if expander_seed is None else expander_seed
        self._places: Tensor | None = None
        if not 0 <= hidden < 1:
            raise ConfigError(f"hidden is {hidden}; give the share of the nodes to hide, from 0 to below 1.")
        self.hidden, self.columns_of = hidden, columns_of

    @property
    def method_settings(self) -> dict[str, Any]:
        """Those of `METHOD_SETTINGS`, as plain values."""
        return {name: plain_value(getattr(self, name)) for name in self.METHOD_SETTINGS}

    def setup(self, stage: str) -> None:
        """Note what the data are before any work starts, and say what the split is."""
        if stage == "fit":
            _ = self.data_fingerprint
        if not self._split_said:
            rank_zero_info(f"Split: {self.dataset.split_text}")
            self._split_said = True

    def state_dict(self) -> dict[str, Any]:
        """What the data are, as plain values: `spx.data.unchanged` compares them with those at hand."""
        dataset = self.dataset
        return {
            "dataset": self.dataset_name,
            "fingerprint": self.data_fingerprint,
            "feature_names": None if dataset.feature_names is None else list(dataset.feature_names),
            "class_names": None if dataset.class_names is None else list(dataset.class_names),
            "schema": dataset.schema,
            "settings": self.method_settings,
            "cwd": str(Path.cwd()),
        }

    @cached_property
    def dataset(self) -> NodeDataset:
        """The loaded dataset; the columns of its table as `use_schema` gave them, or found out."""
        schema = self.schema if self.columns_of is None or self.schema is not None else recorded_schema(self.columns_of)
        dataset = load_dataset(self.source, self.data_dir, self.protocol, self.split, self.own, schema, self.features)
        if self.hidden:
            dataset = without_nodes(dataset, hidden_nodes(dataset.num_nodes, self.hidden, self.split))
        return dataset.without_test() if self.hide_test else dataset

    def use_schema(self, schema: dict[str, Any] | None) -> None:
        """Read the columns of a table as they were read in training (`NodeDataset.schema`): the same categories, fill
        values and scales. None: they are found out anew."""
        if schema != self.schema:
            self.schema = schema
            self._forget()

    def only_predict(self, class_names: tuple[str, ...], task: TaskName) -> None:
        """Read a graph of the user's own whose nodes need neither labels nor a split: labels are known where they are
        among these names."""
        self.own = replace(self.own, classes=class_names, task=task)
        self._forget()

    def use_dataset(self, dataset: NodeDataset) -> None:
        self._forget()
        self.__dict__["dataset"] = dataset

    def leave_unscaled(self) -> None:
        """Take a table's numbers as they are, as networks of older versions did."""
        if self.own.scaling != "none":
            self.own = replace(self.own, scaling="none")
            self._forget()

    def _forget(self) -> None:
        for name in ("dataset", "data_fingerprint", "_stored"):
            self.__dict__.pop(name, None)

    @property
    def x(self) -> Features | StoredFeatures:
        """[N, F] features that batches take their rows of."""
        return self.dataset.x

    @cached_property
    def data_fingerprint(self) -> str:
        """Of the dataset's edges, labels, split and features: the same in both stages, or the hand-over is refused."""
        return data_fingerprint(self.dataset)

    @cached_property
    def graph(self) -> AttentionGraph:
        """The augmented graph, built from the dataset."""
        return self.build_rows(range(self.dataset.num_nodes))

    def follow(self, places: Tensor) -> None:
        """Keep the expander of an older graph for the nodes that stayed, from when `graph` is built next.

        Args:
            places: [N_old] int64, where each node of the older graph is in this one; -1: it is gone.
        """
        self._places = places
        self.__dict__.pop("graph", None)

    def build_rows(self, rows: range) -> AttentionGraph:
        """Consecutive rows of the augmented graph."""
        table = self._expander(rows) if self.expander_degree else None
        return augment(self.dataset.edge_index, self.dataset.num_nodes, table, self.self_loops, rows)

    def _expander(self, rows: range) -> Tensor:
        num_nodes, drawn = self.dataset.num_nodes, (self.expander_degree, self.expander_seed, self.expander)
        if self._places is None:
            return build_expander(num_nodes, *drawn, rows=rows)
        return grown_expander(self._places, num_nodes, *drawn)[rows.start : rows.stop]

    # The model's settings that follow from the data: the command line links them.

    @property
    def num_features(self) -> int:
        return self.dataset.num_features

    @property
    def num_outputs(self) -> int:
        return self.dataset.num_classes

    @property
    def task(self) -> str:
        return self.dataset.task

    @property
    def metric(self) -> str:
        return self.dataset.metric

    @property
    def for_model(self) -> dict[str, int | str]:
        """Those settings by name: `Spexphormer(width=32, **data.for_model)`."""
        return {name: getattr(self, name) for name in ("num_features", "num_outputs", "task", "metric")}

    def nodes_of(self, part: str) -> Tensor:
        """Nodes [B] of "train", "val" or "test", or of "predict": all of them."""
        if part == "predict":
            return torch.arange(self.dataset.num_nodes)
        return self.dataset.split._asdict()[part]

    def evaluation_loader(self, part: str) -> DataLoader:
        """Batches of "val", "test" or "predict", each a list of R draws over the same judged nodes."""
        raise NotImplementedError

    def val_dataloader(self) -> DataLoader:
        return self.evaluation_loader("val")

    def test_dataloader(self) -> DataLoader:
        if self.hide_test:
            raise ConfigError("hide_test leaves the test nodes' labels out, so nothing can be tested. Set it to false.")
        return self.evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader:
        return self.evaluation_loader("predict")

    def whole_graph_batch(self, neighborhoods: tuple, part: str) -> NodeBatch:
        """All nodes enter, those of `part` are judged."""
        nodes = self.nodes_of(part)
        return NodeBatch(all_rows(self.x), neighborhoods, nodes, self.dataset.y[nodes], nodes)

    @property
    def num_ranks(self) -> int:
        """P, processes that train together."""
        return 1 if self.trainer is None else self.trainer.world_size

    @property
    def rank(self) -> int:
        """Of this process, from 0."""
        return 0 if self.trainer is None else self.trainer.global_rank

    def check_ranks(self) -> None:
        """Refuse a Trainer that would shuffle the ranks' nodes among them.

        Raises:
            ConfigError: Lightning's own sampler for several devices is on: it would judge some nodes twice.
        """
        connector = getattr(self.trainer, "_accelerator_connector", None)
        if self.num_ranks > 1 and getattr(connector, "use_distributed_sampler", False):
            raise ConfigError(
                f"{type(self).__name__} splits the nodes over devices itself. Set use_distributed_sampler=False in the "
                "Trainer; spx fit does so."
            )
