"""Stage 2's data: a k-regular sparse graph drawn anew each epoch, in batches of core nodes."""

import math
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from spx.data.ahead import DrawAhead
from spx.data.batch import one_batch_loader
from spx.data.core_nodes import CoreNodeBatches, Tables, as_is, core_node_loader, only_draw
from spx.data.draw_checks import check_trainer
from spx.data.edge_weights import KeptWeights
from spx.data.graph_data import GraphData
from spx.data.handover import find_scores, load_matching_scores, scores_of_state
from spx.data.shared_tables import BYTES_A_SLOT, SharedTables, shared_tables
from spx.data.stored_features import FeatureStore, StoredFeatures, stored_features
from spx.errors import ConfigError
from spx.graph.csr import AttentionGraph
from spx.graph.features import Features
from spx.graph.reach import DegreeCounts, count_degrees, lazy_layers
from spx.graph.sampling import LazyTable, NeighborTable, SamplerName, draw_seed
from spx.graph.scores import AttentionScores, read_header
from spx.graph.weights import row_weights


class ResampledGraphData(GraphData):
    """Neighbour tables sampled by the estimator's attention scores, one for each layer.

        data:
          class_path: spx.data.ResampledGraphData
          init_args: {dataset: actor, k: [2, 2, 2]}

    What a draw gives is a function of (seed, epoch // resample_every, layer) alone: the same on every rank, after a
    resume, with any number of workers, drawn whole or just the rows that batches reach, where these are few. Weights of
    edges, if there are any, multiply the scores. A whole draw is made in a thread while the epoch before it trains.
    Needs `reload_dataloaders_every_n_epochs: 1` in the Trainer, which the command line sets.

    Args:
        k: sampled degree of each layer, first layer first; layers beyond the estimator's draw by its last one's scores.
        scores: the estimator's score file. Default: the newest in `runs_dir` that was made for the same data and seed.
        runs_dir: folder of all runs, where score files are looked for.
        sampler: "attention" (in proportion to the scores), "uniform" (needs no scores), or "top" (the k largest).
        graph_first: whether a node takes its graph edges before all others, which fill what is left.
        resample_every: epochs between draws.
        batch_size: core nodes of a batch, at least 2, on all devices together: each takes its share of them, so that
            training is the same for any number of devices. Default: all nodes of the graph in one batch.
        eval_batch_size: the same in evaluation; default: `batch_size`.
        eval_samples: R, draws over which validate, test and predict average their predictions; while fitting,
            validation uses the first of them.
        num_workers: processes that build the batches of core nodes.
        feature_store: a `torch_geometric.data.FeatureStore` whose rows x[nodes] a batch takes in place of the dataset's
            (docs/scaling.md). No part of the data's fingerprint, nor of checkpoints; stage 1 takes the dataset's.
        **settings: see `GraphData`; `expander_degree`, `expander` and `self_loops` are for the sampler "uniform"
            alone, otherwise the score file brings its graph.

    Example:
        >>> data = ResampledGraphData("minesweeper-sim", k=[4, 2], sampler="uniform", expander_degree=3)
        >>> data.prepare_data()
        >>> data.setup("fit")
        >>> data.edges_per_layer  # of 10,000 nodes
        [40000, 20000]
    """

    METHOD_SETTINGS = (*GraphData.METHOD_SETTINGS, "k", "sampler", "graph_first", "resample_every")

    def __init__(
        self,
        dataset: str,
        k: list[int],
        scores: str | None = None,
        runs_dir: str = "lightning_logs",
        sampler: SamplerName = "attention",
        graph_first: bool = False,
        resample_every: int = 1,
        batch_size: int | None = None,
        eval_batch_size: int | None = None,
        eval_samples: int = 1,
        num_workers: int = 0,
        feature_store: FeatureStore | None = None,
        **settings,
    ):
        super().__init__(dataset, **settings)
        if not k or min(k) < 1:
            raise ConfigError(f"k is {k}; give the sampled degree of each layer, each at least 1, such as [5, 5].")
        counts = {"resample_every": resample_every, "eval_samples": eval_samples}
        counts |= {"batch_size": batch_size, "eval_batch_size": eval_batch_size}
        for name, number in counts.items():
            least = 2 if name == "batch_size" else 1
            if number is not None and number < least:
                raise ConfigError(f"{name} is {number}; it must be at least {least}.")
        self.k, self.scores_path, self.runs_dir, self.sampler = list(k), scores, runs_dir, sampler
        self.graph_first = graph_first
        self.resample_every, self.eval_samples, self.num_workers = resample_every, eval_samples, num_workers
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.feature_store, self.resampling_seconds = feature_store, 0.0
        self._train_draw: tuple[int, Tables] | None = None
        self._ahead, self._edge_weights = DrawAhead(), KeptWeights(row_weights)
        self._whole_tables: dict[tuple[int, int], NeighborTable] = {}
        self._fitting = False
        self._choice: str | None = None
        self._shared: SharedTables | None = None

    @cached_property
    def scores(self) -> AttentionScores | None:
        """The estimator's scores; None for the sampler "uniform"."""
        if self.sampler == "uniform":
            return None
        if self.scores_path is None:
            path, self._choice = find_scores(self.runs_dir, self)
            self.scores_path = str(path)
        return load_matching_scores(self.scores_path, self)

    def use_scores(self, scores: AttentionScores) -> None:
        """Draw by these scores, which lie in no file, over their graph."""
        self.__dict__["scores"] = scores
        self._choice, self._train_draw, self._evaluation_draws = None, None, []

    @property
    def scores_fingerprint(self) -> str | None:
        """Of the score file's content; None for the sampler "uniform", and for scores in no file."""
        return None if self.scores is None or self.scores_path is None else read_header(self.scores_path).fingerprint

    def state_dict(self) -> dict[str, Any]:
        """What the data are, and which scores the run draws by: a resumed fit takes the same, not newer ones."""
        fingerprint = self.scores_fingerprint  # finds them, if need be
        scores = {"scores_path": self.scores_path, "scores_fingerprint": fingerprint}
        store = None if self.feature_store is None else type(self.feature_store).__name__
        return {**super().state_dict(), **scores, "feature_store": store}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the scores that the checkpoint was trained by, wherever they lie in their folder now; a test of it may
        name others.

        Raises:
            ArtifactError: a fit can't go on, since they are gone, or others lie in their place.
        """
        wanted = state_dict.get("scores_fingerprint")
        named = self.hparams.get("scores") is not None
        if self.scores is None or wanted in (None, self.scores_fingerprint) or (named and not self._fitting):
            return
        path = scores_of_state(state_dict)
        self.scores_path, self._choice = str(path), f"Scores: {path}, those that the network was trained by"
        self.__dict__.pop("scores", None)

    @property
    def x(self) -> Features | StoredFeatures:
        """[N, F] features that batches take their rows of: the feature store's, if there is one."""
        return self.dataset.x if self.feature_store is None else self._stored

    @cached_property
    def _stored(self) -> StoredFeatures:
        return stored_features(self.feature_store, self.dataset, self.num_workers, self.hidden)

    @property
    def edges_per_layer(self) -> list[int]:
        """Sampled attention edges of each layer over all nodes."""
        return [self.dataset.num_nodes * k for k in self.k]

    @property
    def augmented_edges(self) -> int:
        """Attention edges of the augmented graph that is sampled from."""
        return self._sampled_graph.num_edges

    def setup(self, stage: str) -> None:
        """Find and check the scores and the features before any work starts."""
        self._fitting = stage == "fit"
        if self.trainer is not None:
            check_trainer(self.trainer, self.k, self.batch_size, self._fitting)
            self.check_ranks()
        _ = self.scores, self.x
        self._shared = shared_tables(self.trainer, BYTES_A_SLOT * sum(self.edges_per_layer) * (2 + self.eval_samples))
        super().setup(stage)

    def draw(self, number: int, lazily: Sequence[bool] = ()) -> Tables:
        """One draw of every layer's table; training's draws are numbered from 0, evaluation's from -1 downwards.

        Args:
            number: of the draw.
            lazily: for each layer whether its rows are drawn when a batch needs them; default: none.
        """
        lazily = lazily or [False] * len(self.k)
        if self._choice is not None:  # a resumed fit has found the scores of its checkpoint by now
            rank_zero_info(self._choice)
            self._choice = None
        return tuple(self._table(number, layer, lazy) for layer, lazy in enumerate(lazily))

    def _table(self, number: int, layer: int, lazy: bool) -> NeighborTable | LazyTable:
        of_layer = (self._sampled_graph, self._weights(layer), self.k[layer], draw_seed(self.seed, number, layer))
        weight = self._edge_weights.of(self._sampled_graph, self.dataset)
        give_back = None if self.scores is None else self.scores.give_back  # pages of the file, until the next draw
        table = LazyTable(*of_layer, self.sampler, self.graph_first, weight, give_back)
        if lazy:
            return table
        return table.whole() if self._shared is None else self._shared.draw(f"draw-{number}-layer-{layer}", table)

    @property
    def _sampled_graph(self) -> AttentionGraph:
        return self.graph if self.scores is None else self.scores.graph

    def _weights(self, layer: int) -> Tensor | None:
        """The estimator's scores [M] of the layer; its last layer's for those that it doesn't have."""
        return None if self.scores is None else self.scores.scores_LM[min(layer, self.scores.num_layers - 1)]

    @cached_property
    def _row_sizes(self) -> DegreeCounts:
        return count_degrees(self._sampled_graph)

    @property
    def evaluation_draws(self) -> list[Tables]:
        """Draws of their own, the same in every epoch and every run of this seed: R, or one while fitting."""
        return self.evaluation_draws_for([])

    def evaluation_draws_for(self, batches: Sequence[int], times: float = 1) -> list[Tables]:
        """The same where batches of so many core nodes go through them so often, for which some layers may be lazy
        (`lazy_layers`). Whole tables are kept, and used again."""
        lazily = lazy_layers(self._row_sizes, self.k, batches, times)
        wanted = 1 if self._fitting else self.eval_samples
        return [self._evaluation_draw(-1 - sample, lazily) for sample in range(wanted)]

    def _evaluation_draw(self, number: int, lazily: Sequence[bool]) -> Tables:
        kept = [self._whole_tables.get((number, layer)) for layer in range(len(self.k))]
        if None not in kept:
            return tuple(kept)
        drawn = self.draw(number, [lazy or table is not None for lazy, table in zip(lazily, kept, strict=True)])
        tables = tuple(new if old is None else old for old, new in zip(kept, drawn, strict=True))
        whole = {layer: table for layer, table in enumerate(tables) if isinstance(table, NeighborTable)}
        self._whole_tables |= {(number, layer): table for layer, table in whole.items()}
        return tables

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        if self.batch_size is None and self.num_ranks == 1:
            return one_batch_loader(self.whole_graph_batch(self._training_tables(epoch, []), "train"))
        nodes = self.nodes_of("train")
        seed = draw_seed(self.seed, epoch, layer=-1)
        order = torch.randperm(nodes.numel(), generator=torch.Generator().manual_seed(seed))
        batches = order.split(self.batch_size or nodes.numel())
        if len(batches) > 1 and batches[-1].numel() == 1:  # batch norm can't do one node
            batches = batches[:-1]
        core = self._core_nodes(nodes, [self._training_tables(epoch, self._sizes(batches))])
        return core_node_loader(core, self._shares(batches), only_draw, self.num_workers)

    def _training_tables(self, epoch: int, batches: Sequence[int]) -> Tables:
        """The epoch's draw, for which the epoch may have to wait, and a start on the next one."""
        number = epoch // self.resample_every
        lazily = lazy_layers(self._row_sizes, self.k, batches, self.resample_every)
        self.resampling_seconds = 0.0
        if self._train_draw is None or self._train_draw[0] != number:
            start = time.perf_counter()
            self._train_draw = (number, self._ahead.take(number) or self.draw(number, lazily))
            self.resampling_seconds = time.perf_counter() - start
        following = (epoch + 1) // self.resample_every
        if following != number and self._goes_on_after(epoch) and not all(lazily):
            self._ahead.start(following, lambda: self.draw(following, lazily))
        return self._train_draw[1]

    def _goes_on_after(self, epoch: int) -> bool:
        """Whether the fit has another epoch, and no processes are forked beside a thread that draws for it."""
        last = self.trainer.max_epochs if self._fitting and self.trainer is not None else 0
        return not self.num_workers and (last is None or last < 0 or epoch + 1 < last)

    def teardown(self, stage: str) -> None:
        self._ahead.stop()
        if self._shared is not None:
            self._shared.stop()
            self._shared = None

    def evaluation_loader(self, part: str) -> DataLoader:
        if self.eval_batch_size is None and self.num_ranks == 1:
            return one_batch_loader([self.whole_graph_batch(tables, part) for tables in self.evaluation_draws])
        nodes = self.nodes_of(part)
        batches = torch.arange(nodes.numel()).split(self.eval_batch_size or nodes.numel())
        draws = self.evaluation_draws_for(self._sizes(batches), self._evaluations)
        return core_node_loader(self._core_nodes(nodes, draws), self._shares(batches), as_is, self.num_workers)

    @property
    def _evaluations(self) -> float:
        """How often the fit goes through its validation's draw."""
        last = self.trainer.max_epochs if self._fitting and self.trainer is not None else 1
        return math.inf if last is None or last < 0 else last

    def _shares(self, batches: Sequence[Tensor]) -> list[list[int]]:
        """This rank's share of each batch; every rank has as many batches, if need be empty ones."""
        return [batch[self.rank :: self.num_ranks].tolist() for batch in batches]

    def _sizes(self, batches: Sequence[Tensor]) -> list[int]:
        """Of the largest share of each batch: the same on all ranks, which must choose the same draws."""
        return [math.ceil(batch.numel() / self.num_ranks) for batch in batches]

    def _core_nodes(self, nodes: Tensor, draws: Sequence[Tables]) -> CoreNodeBatches:
        return CoreNodeBatches(nodes, draws, self.x, self.dataset.y)
