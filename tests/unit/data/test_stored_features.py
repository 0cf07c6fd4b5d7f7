"""Features from a store: the batches and weights of the dataset's own, and stores that can't be used."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from daily import every_day
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.distributed import LocalFeatureStore
from torch_geometric.testing.feature_store import MyFeatureStore
from toys import fit_toy

from spx.__main__ import explain
from spx.data import ResampledGraphData
from spx.data.stored_features import FeatureStore, StoredFeatures
from spx.datasets import NodeDataset
from spx.errors import ConfigError, DatasetError
from spx.training import Spexphormer

from .conftest import at_epoch, same

Make = Callable[..., ResampledGraphData]


def local(x: Tensor, node_id: Tensor) -> LocalFeatureStore:
    """Rows of the nodes in the order of `node_id`."""
    return LocalFeatureStore.from_data(node_id, x[node_id])


def put(x: Tensor | np.ndarray, group: str | None = None) -> MyFeatureStore:
    store = MyFeatureStore()
    store.put_tensor(x, group_name=group, attr_name="x", index=None)
    return store


def of_group(x: Tensor) -> HeteroData:
    data = HeteroData()
    data["paper"].x, data["author"].num_nodes = x, 3
    return data


class ByNumbers(Data):
    """Gives NumPy's arrays, and counts how often it is asked."""

    asked = 0

    def _get_tensor(self, attr):
        ByNumbers.asked += 1
        return super()._get_tensor(attr).numpy()

    def _get_tensor_size(self, attr):
        return tuple(self.x.shape)


STORES = {
    "Data": lambda x: Data(x=x),
    "a store of PyG's tests": put,
    "of one group": of_group,
    "a group's, beside one without": lambda x: both(x),
    "NumPy's arrays": lambda x: ByNumbers(x=x),
    "rows in another order": lambda x: local(x, torch.randperm(len(x), generator=torch.Generator().manual_seed(0))),
}


def both(x: Tensor) -> MyFeatureStore:
    store = put(x + 1, "paper")
    store.put_tensor(x, group_name=None, attr_name="x", index=None)
    return store


@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
def test_a_store_s_rows_are_the_dataset_s(toy: NodeDataset, store: Callable[[Tensor], object]) -> None:
    x = StoredFeatures(store(toy.x))
    nodes = torch.tensor([17, 3, 89, 0])
    assert x[nodes].equal(toy.x[nodes])
    assert x.whole.equal(toy.x)
    assert (x.shape, x.size(0), x.dtype) == (toy.x.shape, 90, torch.float32)


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("part", ["train", "val", "test", "predict"])
def test_the_batches_are_the_same(toy: NodeDataset, make: Make, part: str, batch_size: int | None) -> None:
    settings = {"batch_size": batch_size, "eval_samples": 2}
    with_store, without = (make(1, feature_store=store, **settings) for store in (Data(x=toy.x.clone()), None))
    assert same(*(list(getattr(data, f"{part}_dataloader")()) for data in (with_store, without)))


@pytest.mark.parametrize("batch_size", [None, 16])
def test_the_rows_are_the_store_s_where_the_dataset_has_others(
    toy: NodeDataset, make: Make, batch_size: int | None
) -> None:
    data = make(0, feature_store=Data(x=toy.x + 1), batch_size=batch_size)
    for (batch,) in [[each] for each in data.train_dataloader()] + list(data.val_dataloader()):
        assert batch.x[batch.targets].equal(toy.x[batch.nodes] + 1)


@every_day("settings", [{}, {"resample_every": 2}, {"num_workers": 2}, {"batch_size": None}], 1)
def test_the_trained_weights_are_the_same(toy: NodeDataset, make: Make, tmp_path: Path, settings: dict) -> None:
    results = []
    for store in (None, put(toy.x), local(toy.x, torch.arange(90).flip(0))):
        model, _ = fit_toy(make(feature_store=store, **{"batch_size": 20, "eval_samples": 2} | settings), tmp_path)
        results.append(list(model.state_dict().values()))
    assert same(results[0], results[1])
    assert same(results[0], results[2])


def test_a_full_batch_asks_for_all_rows_once(toy: NodeDataset, make: Make) -> None:
    data = make(0, feature_store=ByNumbers(x=toy.x), eval_samples=3)
    data.setup("fit")
    ByNumbers.asked = 0
    for epoch in range(3):
        for part in ("train", "val", "test"):
            list(getattr(at_epoch(data, epoch), f"{part}_dataloader")())
    assert ByNumbers.asked == 1


def test_a_device_without_a_share_of_the_batch_asks_for_nothing(toy: NodeDataset) -> None:
    x = StoredFeatures(ByNumbers(x=toy.x))
    ByNumbers.asked = 0
    assert x[torch.zeros(0, dtype=torch.int64)].shape == (0, 5)
    assert ByNumbers.asked == 0


def test_the_data_are_told_by_the_dataset_alone(toy: NodeDataset, make: Make) -> None:
    plain, stored = make(), make(feature_store=Data(x=toy.x + 1))
    assert stored.data_fingerprint == plain.data_fingerprint
    assert stored.state_dict() == plain.state_dict() | {"feature_store": "Data"}
    assert "feature_store" not in stored.hparams


def test_checkpoints_hold_no_store(toy: NodeDataset, make: Make, tmp_path: Path) -> None:
    data = make(feature_store=Data(x=toy.x), batch_size=20)
    model = Spexphormer(8, 2, 2, num_features=5, num_outputs=3, task="multiclass", metric="accuracy")
    settings = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    settings |= {"enable_model_summary": False, "default_root_dir": tmp_path, "reload_dataloaders_every_n_epochs": 1}
    trainer = L.Trainer(max_epochs=1, **settings)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert "feature_store" not in content["datamodule_hyper_parameters"]
    assert content["ResampledGraphData"]["feature_store"] == "Data"
    L.Trainer(max_epochs=2, **settings).fit(model, datamodule=make(batch_size=20), ckpt_path=tmp_path / "a.ckpt")


class Failing(Data):
    def _get_tensor(self, attr):
        raise TimeoutError("no answer from 10.0.0.7\nmore")


class Ragged(Data):
    """Alike where it is looked at first, other rows later."""

    def _get_tensor(self, attr):
        rows = super()._get_tensor(attr)
        return rows if len(rows) > 80 else rows[:, :4]


class Nameless(Data):
    def get_all_tensor_attrs(self):
        raise NotImplementedError


def one_nan(x: Tensor) -> Tensor:
    x = x.clone()
    x[41, 2] = float("nan")
    return x


REFUSED = {
    "a tensor": (lambda x: x, ConfigError, "feature_store is a Tensor; give a torch_geometric.data.FeatureStore"),
    "a class": (lambda _: Data, ConfigError, "feature_store is the class Data; give a"),
    "no x": (lambda x: Data(features=x, num_nodes=90), DatasetError, "has no tensor x; it has .*features"),
    "no x of a local store": (lambda _: LocalFeatureStore(), DatasetError, "has no tensor x; it has nothing"),
    "several x": (lambda x: two_groups(x), DatasetError, "in each of the groups paper, author"),
    "fewer rows": (lambda x: Data(x=x[:89]), DatasetError, "has rows for 89 nodes, the graph has 90"),
    "more rows": (lambda x: put(torch.cat((x, x))), DatasetError, "has rows for 180 nodes, the graph has 90"),
    "a part alone": (lambda x: local(x, torch.arange(45, 90)), DatasetError, "holds a part .* set_rpc_router"),
    "the same node twice": (lambda x: local(x, torch.arange(90) // 2), DatasetError, "holds a part"),
    "another width": (lambda x: Data(x=x[:, :4]), DatasetError, "has 4 features a node, the dataset 5"),
    "integers": (lambda x: Data(x=x.long()), DatasetError, r"gives torch.int64 \[90, 5\].*floating-point"),
    "numbers in place of rows": (lambda x: Data(x=x[:, 0]), DatasetError, r"gives torch.float32 \[90\]"),
    "sparse rows": (lambda x: Sparse(x=x), DatasetError, "layout torch.sparse_coo"),
    "words": (lambda x: Worded(x=x), DatasetError, "gives a str"),
    "NaN": (lambda x: Data(x=one_nan(x)), DatasetError, "NaN or infinity for 1 of 90 nodes .* node 41"),
    "one that fails": (lambda x: Failing(x=x), DatasetError, "failed: TimeoutError: no answer from 10.0.0.7"),
    "one that lists nothing": (lambda x: Nameless(x=x), DatasetError, "which tensors it has and failed: NotImpl"),
}


class Sparse(Data):
    def _get_tensor(self, attr):
        return super()._get_tensor(attr).to_sparse()


class Worded(Data):
    def _get_tensor(self, attr):
        return "rows"

    def _get_tensor_size(self, attr):
        return (90, 5)


def two_groups(x: Tensor) -> HeteroData:
    data = HeteroData()
    data["paper"].x, data["author"].x = x, x
    return data


@pytest.mark.parametrize(("store", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_stores_that_can_t_be_used_are_refused_before_any_work(
    toy: NodeDataset, make: Make, store: Callable[[Tensor], object], error: type, text: str
) -> None:
    with pytest.raises(error, match=text) as refused:
        make(feature_store=store(toy.x)).setup("fit")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_rows_that_change_later_are_refused(toy: NodeDataset, make: Make, num_workers: int) -> None:
    data = make(0, feature_store=Ragged(x=toy.x), batch_size=4, num_workers=num_workers)
    with pytest.raises(DatasetError, match=r"gave torch.float32 .* must be alike") as refused:
        list(data.train_dataloader())
    message, code = explain(refused.value)
    assert message.startswith("The feature store (Ragged) gave torch.float32 [")
    assert message.endswith("must be alike.")
    assert "\n" not in message
    assert code == 2


def test_all_rows_are_looked_at_where_all_are_needed() -> None:
    x = StoredFeatures(Data(x=one_nan(torch.zeros(2000, 3))))
    with pytest.raises(DatasetError, match="for 1 of 2,000 nodes that were looked at, such as node 41"):
        _ = x.whole


def test_a_router_and_workers_are_refused(toy: NodeDataset, make: Make) -> None:
    store = local(toy.x, torch.arange(90))
    store.rpc_router, store.meta = SimpleNamespace(), {"is_hetero": False}
    store.node_feat_pb = torch.zeros(90, dtype=torch.int64)
    with pytest.raises(ConfigError, match=r"num_workers is 2, .* by RPC.* Set num_workers: 0"):
        make(feature_store=store, num_workers=2).setup("fit")
    data = make(feature_store=store)
    data.setup("fit")
    assert data.x[torch.tensor([4, 2])].equal(toy.x[[4, 2]])


def test_hidden_nodes_and_a_store_are_refused(toy: NodeDataset, make: Make) -> None:
    with pytest.raises(ConfigError, match=r"hidden is 0\.1, which takes nodes out"):
        _ = make(feature_store=Data(x=toy.x), hidden=0.1).x


@every_day("dtype", [torch.float16, torch.float64, torch.bfloat16], 1)
def test_any_floating_type_will_do(toy: NodeDataset, make: Make, dtype: torch.dtype) -> None:
    data = make(0, feature_store=Data(x=toy.x.to(dtype)), batch_size=20)
    model = Spexphormer(8, 2, 2, num_features=5, num_outputs=3, task="multiclass", metric="accuracy")
    batch = next(iter(data.train_dataloader()))
    assert batch.x.dtype == dtype
    assert model(batch).isfinite().all()


def test_what_counts_as_a_store() -> None:
    assert issubclass(Data, FeatureStore)
    assert issubclass(LocalFeatureStore, FeatureStore)
    assert not issubclass(torch.Tensor, FeatureStore)
