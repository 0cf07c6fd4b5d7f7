import os
import pickle
import subprocess
import sys
import types
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage
from torch_geometric.loader import ClusterData

from spx.graph.features import SparseFeatures

from .conftest import read
from .samples import NUM_NODES, arrays, masks

PLAIN = "save plain tensors, torch.save({'x': data.x, 'edge_index': data.edge_index, 'y': data.y}, PATH)"


class Bomb:
    """Calls a function as soon as it is unpickled."""

    def __init__(self, function: Callable, *arguments: object):
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable, tuple]:
        return self.call


def data(**changes: object) -> Data:
    return Data(**{key: torch.from_numpy(value) for key, value in arrays().items()}).update(changes)


def entries_that_repeat() -> torch.Tensor:
    """A sparse tensor of many entries in a small file: each is the same."""
    places = torch.zeros(2, 1, dtype=torch.int64).expand(2, 10**7)
    with torch.sparse.check_sparse_tensor_invariants(False):
        return torch.sparse_coo_tensor(places, torch.ones(1).expand(10**7), (NUM_NODES, 2))


def save(folder: Path, content: object, **how: bool) -> str:
    torch.save(content, folder / "graph.pt", **how)
    return str(folder / "graph.pt")


def same_as_the_sample(path: str) -> bool:
    dataset, known = read(path), data()
    return (
        torch.equal(dataset.x, known.x.float())
        and torch.equal(dataset.edge_index, known.edge_index)
        and torch.equal(dataset.y, known.y)
        and dataset.class_names == ("0", "1", "2")
    )


def test_a_data(tmp_path: Path) -> None:
    assert same_as_the_sample(save(tmp_path, data()))
    assert read(save(tmp_path, data())).name == "graph"


def test_a_dictionary(tmp_path: Path) -> None:
    assert same_as_the_sample(save(tmp_path, data().to_dict()))


def test_a_data_that_was_in_use(tmp_path: Path) -> None:
    used = data()
    assert used.is_node_attr("x")
    assert not used.is_node_attr("edge_index"), "fills a cache that is saved as well"
    assert same_as_the_sample(save(tmp_path, used))


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_a_sparse_adjacency(tmp_path: Path) -> None:
    known = data()
    source, target = known.edge_index.unique(dim=1)
    size = (NUM_NODES, NUM_NODES)
    adj_t = torch.sparse_coo_tensor(torch.stack([target, source]), torch.ones(len(source)), size).coalesce()
    for matrix in (adj_t, adj_t.to_sparse_csr()):
        dataset = read(save(tmp_path, Data(x=known.x, y=known.y, adj_t=matrix)))
        assert set(map(tuple, dataset.edge_index.t().tolist())) == set(
            map(tuple, torch.stack([source, target]).t().tolist())
        )


@pytest.mark.parametrize("columns", [slice(None), slice(2, 3), 2])
def test_masks_are_columns(tmp_path: Path, columns: slice | int) -> None:
    known = {name: torch.from_numpy(mask).t() for name, mask in masks().items()}
    path = save(tmp_path, data(**{name: mask[:, columns] for name, mask in known.items()}))
    number = 2 if columns == slice(None) else 0
    for nodes, mask in zip(read(path, number).split, known.values(), strict=True):
        assert torch.equal(nodes, mask[:, 2].nonzero().flatten())


def test_kinds_of_tensors(tmp_path: Path) -> None:
    x = torch.ones(NUM_NODES, 2, dtype=torch.bfloat16, requires_grad=True)
    assert torch.equal(read(save(tmp_path, data(x=x, y=data().y[:, None].half()))).x, torch.ones(NUM_NODES, 2))
    several = torch.arange(3 * NUM_NODES).view(-1, 3).fmod(2).float()
    assert read(save(tmp_path, data(y=several))).task == "multilabel"
    assert read(save(tmp_path, data(x=data().x.t().contiguous().t()))).x[1].tolist() == data().x[1].float().tolist()


def test_names(tmp_path: Path) -> None:
    ids = [f"n{i}" for i in range(NUM_NODES)]
    dataset = read(save(tmp_path, data(node_ids=ids, class_names=["u", "v", "w"], num_nodes=NUM_NODES)))
    assert dataset.node_ids.to_list() == ids
    assert dataset.class_names == ("u", "v", "w")
    assert read(save(tmp_path, data(node_ids=torch.arange(NUM_NODES) + 7))).node_ids[0] == 7


def test_no_features(tmp_path: Path) -> None:
    assert read(save(tmp_path, data(x=None))).num_features == 3


def test_further_attributes_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(save(tmp_path, data(edge_attr=torch.ones(80), name="mine")))
    assert "'edge_attr', 'name' are not used" in caplog.text


def test_the_tensors_outlive_the_file(tmp_path: Path) -> None:
    path = Path(save(tmp_path, data()))
    dataset = read(str(path))
    with path.open("rb+") as file:
        file.write(b"\0" * path.stat().st_size)
    assert torch.equal(dataset.edge_index, data().edge_index)
    assert torch.equal(dataset.y, data().y)


@pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"x": bomb}, lambda bomb: data(x=bomb)])
@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_file_is_refused_and_not_run(
    tmp_path: Path, refused: Callable, wrap: Callable, new_format: bool
) -> None:
    marker = tmp_path / "marker"
    path = save(tmp_path, wrap(Bomb(os.system, f"touch {marker}")), _use_new_zipfile_serialization=new_format)
    refused(path, *(["it holds posix.system, which is not read", PLAIN] if new_format else ["no file of torch.save"]))
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the bomb works"


def test_a_bare_pickle_is_refused_and_not_run(tmp_path: Path, refused: Callable) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Bomb(os.system, f"touch {marker}")))
    refused(str(tmp_path / "a.pt"), "it is damaged, or no file of torch.save")
    assert not marker.exists()


def test_what_pyg_lets_torch_load_build_is_refused_as_well(tmp_path: Path, refused: Callable) -> None:
    """PyG's ClusterData opens another file when it is built, and unpickles whatever is in it."""
    marker = tmp_path / "marker"
    (tmp_path / "part_4").mkdir()
    torch.save(Bomb(subprocess.check_call, ["touch", str(marker)]), tmp_path / "part_4" / "metis.pt")
    path = save(tmp_path, {"x": Bomb(ClusterData, data(), 4, False, str(tmp_path))})
    refused(path, "it holds torch_geometric.loader.cluster.ClusterData, which is not read")
    assert not marker.exists()
    with torch.serialization.safe_globals([DataEdgeAttr, DataTensorAttr, GlobalStorage]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AttributeError):
            torch.load(path, weights_only=True)
    assert marker.exists(), "the bomb works"


def test_what_torch_load_may_build_is_as_before(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    assert Data in before
    read(save(tmp_path, data()))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "it holds neither one Data nor a dictionary of tensors"),
        ((1, {}), "it holds neither one Data nor a dictionary"),
        ({1: torch.ones(3)}, "neither one Data nor a dictionary"),
        (HeteroData(), "it holds torch_geometric.data.hetero_data.HeteroData, which is not read"),
        (torch.nn.Linear(1, 1), "it holds torch.nn.modules.linear.Linear"),
        (data(x=arrays()["x"]), "it holds numpy"),
        (data(y=data().y.to_sparse()), "y is no plain tensor: save a dense tensor"),
        (
            data(x=torch.ones(NUM_NODES, 2, 2).to_sparse()),
            "x is a sparse tensor of shape [30, 2, 2]: it must",
        ),
        (data(x=torch.ones(NUM_NODES, 2).to_sparse(1)), "x is a sparse tensor of shape [30, 2]: it must be [N, F]"),
        (data(x=torch.ones(NUM_NODES - 1, 2).to_sparse()), "x must be [N, F] with N = 30 as in y, not [29, 2]"),
        (data(x=torch.ones(NUM_NODES, 2, dtype=torch.complex64).to_sparse()), "x is no plain tensor"),
        (
            data(x=torch.sparse_coo_tensor(size=(NUM_NODES, 10**12), check_invariants=True)),
            "x has 1,000,000,000,000 columns in a file of",
        ),
        (data(x=entries_that_repeat()), "x has 10000000 elements in a file of"),
        (data(x=torch.ones(NUM_NODES, 1, dtype=torch.complex64)), "x is no plain tensor"),
        (data(x=torch.ones(NUM_NODES, 1, device="meta")), "x is no plain tensor"),
        (data(x="text"), "x is of type str, which is not read: save a tensor"),
        (data(node_ids=[1, "a"]), "node_ids is of type list, which is not read: save a tensor, or a list of texts"),
        (data(x=torch.ones(1, 1).expand(NUM_NODES, 10**9)), "x has 30000000000 elements in a file of"),
        (data(y=None), "it has no y, the labels [N] (it has 'x', 'edge_index')"),
        (data(edge_index=None), "it has no edge_index"),
        (data(edge_index=None, adj_t=torch.eye(NUM_NODES)), "adj_t is no sparse tensor of torch"),
    ],
)
def test_what_is_no_graph(tmp_path: Path, refused: Callable, content: object, message: str) -> None:
    refused(save(tmp_path, content), message)


def rewritten(path: str, method: int = zipfile.ZIP_STORED, **members: bytes) -> str:
    """The file with some members replaced, and checksums right."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in held.items():
            archive.writestr(name, members.get(name.split("/")[-1].replace(".", "_"), content))
    return path


def number(value: int) -> bytes:
    """As a pickle writes it: BININT2 or BININT."""
    return b"M" + value.to_bytes(2, "little") if value < 2**16 else b"J" + value.to_bytes(4, "little")


def test_a_tensor_that_claims_to_lie_beyond_its_file(tmp_path: Path, refused: Callable) -> None:
    x = torch.ones(10_000)[1_000 : 1_000 + 4 * NUM_NODES].view(NUM_NODES, 4)
    path = save(tmp_path, data(x=x).to_dict())
    assert read(path).x.eq(1).all()
    with zipfile.ZipFile(path) as archive:
        held = archive.read("graph/data.pkl")
    for true, claimed in ((10_000, 10**8), (1_000, 5 * 10**7)):
        assert held.count(number(true)) == 1
        held = held.replace(number(true), number(claimed))
    refused(rewritten(path, data_pkl=held), "it can't be read", "save it anew")


def test_packed_members_are_refused(tmp_path: Path, refused: Callable) -> None:
    path = rewritten(save(tmp_path, data()), zipfile.ZIP_DEFLATED)
    refused(path, "it is damaged, or no file of torch.save (its parts are packed)")


def test_a_wrong_checksum(tmp_path: Path, refused: Callable) -> None:
    path = Path(save(tmp_path, data()))
    x = arrays()["x"].tobytes()
    path.write_bytes(path.read_bytes().replace(x, x[:-1] + bytes([x[-1] ^ 1])))
    refused(str(path), "it is damaged")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100])
def test_what_is_no_zip(tmp_path: Path, refused: Callable, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    refused(str(tmp_path / "a.pt"), "it is damaged, or no file of torch.save", "save it anew")


def tensors(**changes: object) -> dict[str, object]:
    return {**data().to_dict(), **changes}


SLICES = {name: torch.tensor([0, NUM_NODES]) for name in ("x", "y")}


@pytest.mark.parametrize(
    "content",
    [
        (tensors(), None, Data),
        (tensors(), SLICES, Data),
        (data(), SLICES),
        (data(), None),
        (data(num_nodes=[NUM_NODES]), defaultdict(dict, SLICES)),
        (tensors(), {"x": [0, NUM_NODES]}, {}, Data),
    ],
)
def test_the_only_graph_of_a_processed_dataset(tmp_path: Path, content: tuple) -> None:
    assert same_as_the_sample(save(tmp_path, content))


def test_a_processed_dataset_is_read_as_safely(tmp_path: Path, refused: Callable) -> None:
    marker = tmp_path / "marker"
    path = save(tmp_path, (tensors(), {"x": Bomb(os.system, f"touch {marker}")}, Data))
    refused(path, "it holds posix.system, which is not read")
    assert not marker.exists()


def test_a_data_as_pyg_saved_it_before_version_2(tmp_path: Path) -> None:
    old = Data.__new__(Data)
    vars(old).update(tensors(edge_attr=None))
    path = save(tmp_path, old)
    with zipfile.ZipFile(path) as archive:
        assert b"_store" not in archive.read("graph/data.pkl")
    assert same_as_the_sample(path)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ((tensors(), {"x": torch.tensor([0, 10, 30])}, Data), ("a dataset of 2 graphs", "torch.save(dataset[0]")),
        ([data(), data()], ("a list of graphs (2)", "torch.save(graphs[0].to_dict(), PATH)", "from_data_list")),
        ([tensors()], ("a list of graphs (1)",)),
        (HeteroData(), ("HeteroData, which is not read", "to_homogeneous()")),
    ],
)
def test_what_is_more_than_one_graph_is_told_how_to_convert(
    tmp_path: Path, refused: Callable, content: object, parts: tuple[str, ...]
) -> None:
    refused(save(tmp_path, content), *parts)


def test_a_matrix_of_torch_sparse_is_told_how_to_convert(tmp_path: Path, refused: Callable) -> None:
    kind = type("SparseTensor", (), {"__module__": "torch_sparse.tensor"})
    module = types.ModuleType("torch_sparse.tensor")
    module.SparseTensor = kind
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch_sparse", types.ModuleType("torch_sparse"))
        patch.setitem(sys.modules, "torch_sparse.tensor", module)
        path = save(tmp_path, tensors(adj_t=kind()))
    refused(path, "torch_sparse.tensor.SparseTensor, which is not read", "row, col, _ = data.adj_t.t().coo()")


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_features_that_are_no_matrix(tmp_path: Path, refused: Callable) -> None:
    refused(save(tmp_path, data(x=torch.ones(NUM_NODES, 2, 2).to_sparse())), "x is a sparse tensor of shape [30, 2, 2]")
    refused(save(tmp_path, data(x=torch.ones(NUM_NODES, 2).to_sparse_bsr((2, 2)))), "x is no plain tensor")
    broken = torch.sparse_coo_tensor([[NUM_NODES], [0]], [1.0], (NUM_NODES, 1), check_invariants=False)
    refused(save(tmp_path, data(x=broken)), "it can't be read")


def test_a_sparse_adjacency_that_is_not_turned(tmp_path: Path) -> None:
    known = data()
    edges = known.edge_index.unique(dim=1)
    adjacency = torch.sparse_coo_tensor(edges, torch.ones(edges.size(1)), (NUM_NODES, NUM_NODES))
    assert torch.equal(read(save(tmp_path, {"x": known.x, "y": known.y, "adj": adjacency})).edge_index, edges)


def test_further_attributes_under_other_programs_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    further = {"label": "mine", "features": torch.ones(2), "adj": torch.eye(NUM_NODES), "split": "public", "labels": 3}
    assert same_as_the_sample(save(tmp_path, data(**further)))
    assert "are not used" in caplog.text


@pytest.mark.filterwarnings("ignore:Sparse CS")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_sparse_features_stay_sparse(tmp_path: Path, layout: torch.layout, dtype: torch.dtype) -> None:
    x = (torch.arange(NUM_NODES * 3).view(NUM_NODES, 3) % 4 - 1).to(dtype)
    for how in (data, lambda **changes: data(**changes).to_dict()):
        dataset = read(save(tmp_path, how(x=x.to_sparse(layout=layout))))
        assert isinstance(dataset.x, SparseFeatures)
        assert dataset.x.to_dense().equal(x.float())


def test_sparse_features_with_entries_twice(tmp_path: Path) -> None:
    places = torch.tensor([[3, 3, 0], [1, 1, 0]])
    x = torch.sparse_coo_tensor(places, torch.tensor([1.0, 2.0, 0.0]), (NUM_NODES, 2))
    found = read(save(tmp_path, data(x=x))).x
    assert found.num_entries == 1
    assert found.to_dense().equal(x.to_dense())
