"""The datasets by name: what they are, where they come from, and how each protocol splits them.

Protocols: `public` takes the splits shipped with the data, or 60/20/20 drawn from the split's index where
none are; `paper` does what the authors of Spexphormer do, and is `public` where they leave no trace.
Figures of different protocols are not comparable.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from spx.datasets import pokec
from spx.datasets.bag_of_words import parse_bag_of_words
from spx.datasets.minesweeper import simulated_minesweeper
from spx.datasets.ogb import parse_ogb
from spx.datasets.pyg import parse_pyg
from spx.datasets.source import Generated, RawFiles, Source
from spx.datasets.splits import SplitRule
from spx.datasets.types import Metric, Task


@dataclass(frozen=True)
class DatasetSpec:
    """One dataset: what it is (`description`, `task`, `metric`), source, and split rule per protocol."""

    name: str
    description: str
    source: Source
    protocols: Mapping[str, SplitRule]
    metric: Metric = "accuracy"
    task: Task = "multiclass"

    @property
    def num_fixed_splits(self) -> int:
        """How many splits the data ships; 0 where they are drawn."""
        rule = self.protocols["public"]
        return rule.num or 0 if rule.kind == "fixed" else 0

    def by_hand(self, data_dir: str | Path = "data") -> str:
        """Which raw files to fetch from where, and where to put them, when the program can't."""
        return self.source.by_hand(Path(data_dir))


def _fixed(num: int) -> SplitRule:
    return SplitRule("fixed", num)


def _random(train: float, val: float, seed: int = 0, num: int | None = None) -> SplitRule:
    return SplitRule("random", num, (train, val, 1 - train - val), seed)


def _balanced(train: float, val: float) -> SplitRule:
    return SplitRule("balanced", None, (train, val, 1 - train - val))


def _protocols(public: SplitRule, paper: SplitRule | None = None) -> Mapping[str, SplitRule]:
    return MappingProxyType({"public": public, "paper": paper or public})


_GEOM_GCN = "https://raw.githubusercontent.com/graphdml-uiuc-jlu/geom-gcn/master"
_HETEROPHILOUS = "https://github.com/yandex-research/heterophilous-graphs/raw/main/data"
_SHCHUR = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz"
_WIKICS = "https://github.com/pmernyei/wiki-cs-dataset/raw/master/dataset"
_PLANETOID = "https://github.com/kimiyoung/planetoid/raw/master/data"
_OGB = "http://snap.stanford.edu/ogb/data/nodeproppred"
_LINKX = (
    "the data links of https://github.com/CUAI/Non-Homophily-Large-Scale "
    "('Large Scale Learning on Non-Homophilous Graphs', LINKX)"
)


def _actor() -> RawFiles:
    texts = ("out1_node_feature_label.txt", "out1_graph_edges.txt")
    splits = tuple(f"film_split_0.6_0.2_{i}.npz" for i in range(10))
    urls = {name: f"{_GEOM_GCN}/new_data/film/{name}" for name in texts}
    urls |= {name: f"{_GEOM_GCN}/splits/{name}" for name in splits}
    return RawFiles("Actor", urls, partial(parse_pyg, class_name="Actor"), sparse=True)


def _heterophilous(name: str) -> RawFiles:
    parse = partial(parse_pyg, class_name="HeterophilousGraphDataset", inner=name, name=name)
    file = f"{name}.npz"
    return RawFiles(f"HeterophilousGraphDataset/{name}", {file: f"{_HETEROPHILOUS}/{file}"}, parse)


def _shchur(class_name: str, name: str, file: str) -> RawFiles:
    parse = partial(parse_bag_of_words, file=file)
    return RawFiles(f"{class_name}/{name}", {file: f"{_SHCHUR}/{file}"}, parse, sparse=True)


def _wikics() -> RawFiles:
    parse = partial(parse_pyg, class_name="WikiCS", is_undirected=True)
    return RawFiles("WikiCS", {"data.json": f"{_WIKICS}/data.json"}, parse)


def _planetoid(name: str) -> RawFiles:
    """Planetoid's files, but for the test index, are Python pickles: refused if they name what could run code."""
    parts = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
    files = tuple(f"ind.{name.lower()}.{part}" for part in parts)
    parse = partial(parse_pyg, class_name="Planetoid", inner=name, pickles=files[:-1], name=name)
    return RawFiles(f"Planetoid/{name}", {file: f"{_PLANETOID}/{file}" for file in files}, parse, sparse=True)


def _ogb(folder: str, archive: str, **layout: str) -> RawFiles:
    parse = partial(parse_ogb, archive_name=archive, **layout)
    return RawFiles(folder, {archive: f"{_OGB}/{archive}"}, parse)


_PRODUCTS = _ogb("ogbn_products", "products.zip", split="sales_ranking", reverse="append")
_PROTEINS = _ogb("ogbn_proteins", "proteins.zip", split="species", reverse="append", features="mean of edges")
_ARXIV = _ogb("ogbn_arxiv", "arxiv.zip", split="time", reverse="coalesce")
_POKEC = RawFiles("pokec", {pokec.FILE: ""}, pokec.parse_pokec, raw="", origin=_LINKX)

_DRAWN = _random(0.6, 0.2)

_SPECS = (
    DatasetSpec(
        "actor",
        "Film actors on the same Wikipedia page, 5 classes",
        _actor(),
        _protocols(_fixed(10), _balanced(0.5, 0.25)),
    ),
    DatasetSpec(
        "minesweeper",
        "100 x 100 Minesweeper field, is the cell a mine",
        _heterophilous("minesweeper"),
        _protocols(_fixed(10)),
        "roc_auc",
    ),
    DatasetSpec(
        "tolokers",
        "Crowd workers who shared a task, was one banned",
        _heterophilous("tolokers"),
        _protocols(_fixed(10)),
        "roc_auc",
    ),
    DatasetSpec(
        "roman-empire",
        "Words of one Wikipedia article, 18 syntactic roles",
        _heterophilous("roman_empire"),
        _protocols(_fixed(10)),
    ),
    DatasetSpec(
        "amazon-ratings",
        "Products bought together, 5 rating classes",
        _heterophilous("amazon_ratings"),
        _protocols(_fixed(10)),
    ),
    DatasetSpec(
        "questions",
        "Users who answered each other, did one stay active",
        _heterophilous("questions"),
        _protocols(_fixed(10)),
        "roc_auc",
    ),
    DatasetSpec(
        "photo",
        "Amazon photo goods bought together, 8 classes",
        _shchur("Amazon", "Photo", "amazon_electronics_photo.npz"),
        _protocols(_DRAWN, _balanced(0.6, 0.2)),
    ),
    DatasetSpec(
        "computer",
        "Amazon computer goods bought together, 10 classes",
        _shchur("Amazon", "Computers", "amazon_electronics_computers.npz"),
        _protocols(_DRAWN, _balanced(0.6, 0.2)),
    ),
    DatasetSpec(
        "cs",
        "Coauthors in computer science, 15 fields",
        _shchur("Coauthor", "CS", "ms_academic_cs.npz"),
        _protocols(_DRAWN),
    ),
    DatasetSpec(
        "physics",
        "Coauthors in physics, 5 fields",
        _shchur("Coauthor", "Physics", "ms_academic_phy.npz"),
        _protocols(_DRAWN),
    ),
    DatasetSpec(
        "wikics",
        "Computer science articles of Wikipedia, 10 fields, 20 splits with one test set",
        _wikics(),
        _protocols(_fixed(20)),
    ),
    DatasetSpec(
        "ogbn-arxiv",
        "Citations of arXiv papers in computer science, 40 fields, split by time",
        _ARXIV,
        _protocols(_fixed(1)),
    ),
    DatasetSpec(
        "ogbn-proteins",
        "Protein associations, 112 binary tasks, split by species",
        _PROTEINS,
        _protocols(_fixed(1)),
        "roc_auc",
        "multilabel",
    ),
    DatasetSpec(
        "ogbn-products",
        "Amazon goods bought together, 47 classes, split by sales rank (1.4 GB to download)",
        _PRODUCTS,
        _protocols(_fixed(1)),
    ),
    DatasetSpec(
        "amazon2m",
        "The graph of ogbn-products under a random split",
        _PRODUCTS,
        _protocols(_random(0.5, 0.25)),
    ),
    DatasetSpec(
        "pokec",
        "Slovak social network, 2 classes (to download by hand)",
        _POKEC,
        _protocols(_random(0.1, 0.1, seed=123)),
    ),
    DatasetSpec("cora", "Citations, 7 topics", _planetoid("Cora"), _protocols(_fixed(1))),
    DatasetSpec("citeseer", "Citations, 6 topics", _planetoid("CiteSeer"), _protocols(_fixed(1))),
    DatasetSpec("pubmed", "Citations on diabetes, 3 classes", _planetoid("PubMed"), _protocols(_fixed(1))),
    DatasetSpec(
        "minesweeper-sim",
        "A generated Minesweeper field, no download",
        Generated(simulated_minesweeper),
        _protocols(_random(0.5, 0.25, num=10)),
        "roc_auc",
    ),
)

DATASETS: Mapping[str, DatasetSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
