"""The one entry: a name, a protocol and a split number in, a checked dataset out."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from spx.dataset_names import is_path
from spx.datasets.checks import check_dataset
from spx.datasets.own import read_own
from spx.datasets.own.settings import OwnSettings
from spx.datasets.splits import SplitRule
from spx.datasets.table import DATASETS, DatasetSpec
from spx.datasets.types import FeatureForm, NodeDataset, Task
from spx.errors import DatasetError
from spx.graph.features import SparseFeatures, has_few_entries


def load_dataset(
    name: str,
    data_dir: str | Path = "data",
    protocol: str = "public",
    split: int = 0,
    own: OwnSettings = OwnSettings(),  # noqa: B008 - frozen
    schema: Mapping[str, Any] | None = None,
    features: FeatureForm = "auto",
) -> NodeDataset:
    """Load a dataset of `DATASETS`, fetching its raw files into `data_dir` if they are not there, or a graph of
    the user's own.

    name      see `DATASETS`; or the path of a graph of the user's own, in a format of docs/own-data.md
    data_dir  folder of all datasets; made if need be
    protocol  "public" or "paper": how the nodes are split, see `spx.datasets.table`
    split     number of the fixed split; for drawn splits any number >= 0, added to the protocol's seed
    own       how a graph of the user's own is read; refused for others
    schema    what the columns of its table were taken for in training (`NodeDataset.schema`); None: it is found out
    features  "sparse", "dense", or "auto": sparse where they are so in their file, or less than a tenth of them is not
              zero; a file that is mapped stays as it is

    The parsed graph is memory-mapped from a cache file, privately: changing a tensor in place changes
    no file. Raises DatasetError for everything that can be wrong with the arguments, the folder, the
    network or the data.
    """
    if features not in get_args(FeatureForm):
        raise DatasetError(f"--data.features {features!r} is not known: give {', '.join(get_args(FeatureForm))}")
    if is_path(name):
        _check_number(name, split)
        return _in_form(read_own(name, protocol, split, own, schema), features)
    spec = _spec(name)
    own.refuse_for(name)
    rule = _rule(spec, protocol)
    _check_index(spec, rule, protocol, split)
    data_dir = _folder(data_dir)
    try:
        graph = spec.source.load(data_dir)
        parts = rule.split(graph, split)
    except DatasetError as error:
        raise DatasetError(f"dataset {name!r}: {error}") from error
    dataset = NodeDataset(
        name=name,
        protocol=protocol,
        x=graph.x,
        edge_index=graph.edge_index,
        y=graph.y,
        split=parts,
        split_index=split,
        num_classes=_num_classes(graph.y, spec.task),
        task=spec.task,
        metric=spec.metric,
        split_origin=rule.origin(split),
    )
    check_dataset(dataset)
    return _in_form(dataset, features)


def _in_form(dataset: NodeDataset, form: FeatureForm) -> NodeDataset:
    x = dataset.x
    if isinstance(x, SparseFeatures):
        return dataset._replace(x=x.to_dense()) if form == "dense" else dataset
    if form == "sparse" or (form == "auto" and dataset.features_file is None and has_few_entries(x)):
        return dataset._replace(x=SparseFeatures.from_dense(x))
    return dataset


def _spec(name: str) -> DatasetSpec:
    if name not in DATASETS:
        hint = _did_you_mean(name, DATASETS)
        raise DatasetError(
            f"unknown dataset {name!r}{hint} Known: {', '.join(DATASETS)}; or the path of a graph of your own"
        )
    return DATASETS[name]


def _rule(spec: DatasetSpec, protocol: str) -> SplitRule:
    if protocol not in spec.protocols:
        hint = _did_you_mean(protocol, spec.protocols)
        raise DatasetError(f"unknown split protocol {protocol!r}{hint} Known: {', '.join(spec.protocols)}")
    return spec.protocols[protocol]


def _check_index(spec: DatasetSpec, rule: SplitRule, protocol: str, split: int) -> None:
    _check_number(spec.name, split)
    if rule.num is not None and split >= rule.num:
        count = "1 split, number 0" if rule.num == 1 else f"{rule.num} splits, 0 to {rule.num - 1}"
        raise DatasetError(f"split {split} of dataset {spec.name!r}: the protocol {protocol!r} has {count}")


def _check_number(name: str, split: int) -> None:
    if isinstance(split, bool) or not isinstance(split, int) or split < 0:
        raise DatasetError(f"split {split!r} of dataset {name!r} must be an integer >= 0")


def _folder(data_dir: str | Path) -> Path:
    folder = Path(data_dir).expanduser().absolute()
    blocking = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not blocking.is_dir():
        raise DatasetError(f"data_dir {folder}: {blocking} is not a folder; give one that datasets can go into")
    return folder


def _num_classes(y: Tensor, task: Task) -> int:
    if task == "multilabel":
        return y.size(1) if y.dim() == 2 else 1
    return max(int(y.max()) + 1, 0) if y.numel() else 0


def _did_you_mean(given: str, known: Iterable[str]) -> str:
    close = get_close_matches(str(given), list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else "."
