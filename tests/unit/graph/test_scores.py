import json
import os
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from spx.errors import ArtifactError
from spx.graph import scores as scores_module
from spx.graph.csr import AttentionGraph, augment
from spx.graph.expander import build_expander
from spx.graph.scores import (
    FORMAT_VERSION,
    ArtifactHeader,
    AttentionScores,
    load_scores,
    read_header,
    save_scores,
    writing_scores,
)

HEADER = ArtifactHeader("actor", "paper", 2, 5, "abc", 4, 1, "accuracy", 0.375, 17, 0.45)
AGAIN = "Run the estimator's fit again"


def scores_of(seed: int = 0, num_layers: int = 3) -> AttentionScores:
    stream = torch.Generator().manual_seed(seed)
    graph = augment(torch.randint(0, 40, (2, 100), generator=stream), 40, build_expander(40, 2, seed))
    return AttentionScores(graph, torch.rand(num_layers, graph.num_edges, generator=stream))


def same(first: AttentionScores, second: AttentionScores) -> bool:
    pairs = zip((*first.graph, first.scores_LM), (*second.graph, second.scores_LM), strict=True)
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_scores(tmp_path / "run" / "scores.safetensors", scores_of(), HEADER)


def content(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and header of an artifact, read without the program."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}, json.loads(file.metadata()["spx"])  # noqa: SIM118


def rewrite(path: Path, tensors: dict[str, Tensor], header: object) -> None:
    save_file(tensors, path, {"spx": header if isinstance(header, str) else json.dumps(header)})


def test_round_trip(path: Path) -> None:
    loaded, header = load_scores(path)
    assert same(loaded, scores_of())
    assert loaded.num_layers == 3
    assert isinstance(loaded.graph, AttentionGraph)
    loaded.graph.check()
    assert header == read_header(path)


def test_the_header_tells_what_the_scores_were_made_from(path: Path) -> None:
    header = read_header(path)
    print_of_tensors = header.fingerprint
    assert len(print_of_tensors) == 64
    header.fingerprint = ""
    assert header == HEADER
    assert HEADER.fingerprint == "", "the header given is left alone"


def test_the_fingerprint_is_of_graph_and_scores(tmp_path: Path) -> None:
    def saved(scores: AttentionScores) -> str:
        return read_header(save_scores(tmp_path / "a", scores, HEADER)).fingerprint

    scores = scores_of()
    other_types = scores.graph._replace(edge_type=scores.graph.edge_type.flip(0))
    assert saved(scores) == saved(scores_of())
    assert len({saved(scores), saved(scores._replace(graph=other_types)), saved(scores_of(num_layers=2))}) == 3


def test_no_pickle_is_in_it(path: Path) -> None:
    tensors, header = content(path)
    assert set(tensors) == {"indptr", "source", "edge_type", "scores"}
    assert header["format_version"] == FORMAT_VERSION
    assert all(isinstance(value, str | int | float) for value in header.values())


def test_scores_are_read_through_a_memory_map(path: Path) -> None:
    def mapped() -> bool:
        return str(path) in Path("/proc/self/maps").read_text()

    if not Path("/proc/self/maps").is_file():
        pytest.skip("this system doesn't list a process's memory maps")
    assert not mapped()
    loaded, _ = load_scores(path)
    assert mapped()
    assert same(loaded, scores_of())


def resident_bytes(path: Path) -> int:
    """Of a mapped file, by the system's own account."""
    smaps = Path("/proc/self/smaps")
    if not smaps.is_file():
        pytest.skip("this system doesn't list what of a process's memory maps is resident")
    _, _, after = smaps.read_text().rpartition(str(path))
    return 1024 * int(after.split("Rss:")[1].split()[0])


def test_pages_are_given_back_and_read_again(tmp_path: Path) -> None:
    graph = augment(torch.zeros(2, 0, dtype=torch.int64), 100_000)
    values = torch.arange(3 * 100_000).view(3, -1).float()
    path = save_scores(tmp_path / "scores.safetensors", AttentionScores(graph, values), HEADER)
    scores, _ = load_scores(path)
    assert resident_bytes(path) == 0, "it was read as a whole, for its fingerprint"
    assert same(scores, AttentionScores(graph, values))
    assert resident_bytes(path) > 4 * values.numel()
    scores.give_back()
    assert resident_bytes(path) == 0
    assert same(scores, AttentionScores(graph, values))


def test_scores_in_no_file_stay_as_they_are(path: Path) -> None:
    other = torch.zeros_like(scores_of().scores_LM)
    for scores in (scores_of()._replace(scores_LM=other), load_scores(path)[0]._replace(scores_LM=other)):
        scores.give_back()
        assert same(scores, scores_of()._replace(scores_LM=other))


def test_a_change_in_place_stays_in_memory(path: Path) -> None:
    load_scores(path)[0].scores_LM.zero_()
    assert same(load_scores(path)[0], scores_of())


def test_loaded_scores_can_be_saved_again_over_their_own_file(path: Path) -> None:
    loaded, header = load_scores(path)
    save_scores(path, loaded, header)
    assert same(load_scores(path)[0], scores_of())
    assert same(loaded, scores_of())


def test_scores_that_need_gradients_or_lie_strided_are_saved(tmp_path: Path) -> None:
    scores = scores_of()
    strided = scores.scores_LM.t().contiguous().t().requires_grad_()
    assert same(load_scores(save_scores(tmp_path / "a", AttentionScores(scores.graph, strided), HEADER))[0], scores)


def test_a_new_save_replaces_the_old_file_alone(path: Path) -> None:
    save_scores(path, scores_of(1), HEADER)
    assert same(load_scores(path)[0], scores_of(1))
    assert [child.name for child in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def half(file: Path, *_: object) -> None:
        file.write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(scores_module, "_map_new_file", half)
    with pytest.raises((ArtifactError, KeyboardInterrupt)):
        save_scores(path, scores_of(1), HEADER)
    assert same(load_scores(path)[0], scores_of())
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_a_crash_while_the_tensors_are_filled_in_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    graph, scores_LM = scores_of(1)
    with pytest.raises(KeyboardInterrupt), writing_scores(path, graph.num_nodes, tuple(scores_LM.shape), HEADER):
        raise KeyboardInterrupt
    assert same(load_scores(path)[0], scores_of())
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_the_old_file_stands_until_the_new_one_is_whole_and_on_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        assert same(load_scores(path)[0], scores_of())
        steps.append("fsync")
        fsync(handle)

    def replaced(source: str, target: Path) -> None:
        assert same(load_scores(source)[0], scores_of(1))
        assert Path(source).parent == target.parent, "another file system would make the move a copy"
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    save_scores(path, scores_of(1), HEADER)
    assert steps == ["fsync", "replace"]


@pytest.mark.parametrize("below", ["scores", "deeper/scores"])
def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match=r"can't be written to .*scores.*Free space or choose another folder"):
        save_scores(tmp_path / "file" / below, scores_of(), HEADER)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    with pytest.raises(ArtifactError, match="can't be written to"):
        save_scores(tmp_path / "scores", scores_of(), HEADER)
    assert [child.name for child in tmp_path.iterdir()] == ["scores"]


@pytest.mark.parametrize("read", [load_scores, read_header])
class TestReading:
    def test_a_missing_file_is_named(self, tmp_path: Path, read) -> None:
        with pytest.raises(ArtifactError, match=r"no score file .*none\.safetensors\. Fit the estimator first"):
            read(tmp_path / "none.safetensors")
        with pytest.raises(ArtifactError, match="no score file"):
            read(tmp_path)

    @pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, None, "1"])
    def test_another_version_is_refused(self, path: Path, read, version: object) -> None:
        tensors, header = content(path)
        rewrite(path, tensors, header | {"format_version": version, "unknown": 1})
        with pytest.raises(ArtifactError, match=f"version {version}; this program reads version 1. {AGAIN}"):
            read(path)

    @pytest.mark.parametrize("kept", [0, 1, 8, 100, 0.5, -1])
    def test_a_truncated_file_is_refused(self, path: Path, read, kept: float) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)])
        with pytest.raises(ArtifactError, match=f"is no score file, or a damaged one. {AGAIN}"):
            read(path)

    @pytest.mark.parametrize("length", [0, 1, 10**6, 2**40, 2**63, 2**64 - 1])
    def test_a_damaged_length_of_the_header_is_refused(self, path: Path, read, length: int) -> None:
        path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
        with pytest.raises(ArtifactError, match=f"is no score file, or a damaged one. {AGAIN}"):
            read(path)

    def test_a_pickle_is_refused_and_not_run(self, path: Path, read) -> None:
        class Bomb:
            def __reduce__(self) -> tuple:
                return Path.write_text, (path.parent / "bang", "x")

        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(ArtifactError, match="is no score file"):
            read(path)
        torch.save({"scores": torch.zeros(3), "bomb": Bomb()}, path)
        with pytest.raises(ArtifactError, match="is no score file"):
            read(path)
        assert not (path.parent / "bang").exists()

    def test_a_foreign_safetensors_file_is_refused(self, path: Path, read) -> None:
        for metadata in (None, {"other": "x"}, {"spx": "{not json"}, {"spx": "[1]"}, {"spx": "[" * 100_000}):
            save_file({"scores": torch.zeros(3)}, path, metadata)
            with pytest.raises(ArtifactError, match="is no score file, or a damaged one"):
                read(path)

    @pytest.mark.parametrize("change", ["lost", "added"])
    def test_a_header_with_a_field_too_few_or_too_many_is_refused(self, path: Path, read, change: str) -> None:
        tensors, header = content(path)
        less = {key: value for key, value in header.items() if key != "dataset"}
        rewrite(path, tensors, header | {"extra": 1} if change == "added" else less)
        with pytest.raises(ArtifactError, match=f"has a damaged header .*{AGAIN}"):
            read(path)


def damaged_in(name: str) -> AttentionScores:
    scores = scores_of()
    graph, edges = scores.graph, scores.graph.num_edges
    return {
        "source": AttentionScores(graph._replace(source=graph.source + 40), scores.scores_LM),
        "edge_type": AttentionScores(graph._replace(edge_type=graph.edge_type + 3), scores.scores_LM),
        "indptr": AttentionScores(graph._replace(indptr=graph.indptr.flip(0)), scores.scores_LM),
        "dtype": AttentionScores(graph._replace(source=graph.source.long()), scores.scores_LM),
        "scores": AttentionScores(graph, scores.scores_LM[:, : edges - 1].contiguous()),
        "layers": AttentionScores(graph, scores.scores_LM[0]),
    }[name]


@pytest.mark.parametrize("name", ["source", "edge_type", "indptr", "dtype", "scores", "layers"])
def test_a_graph_that_would_lead_a_kernel_astray_is_refused(tmp_path: Path, name: str) -> None:
    """Whole and with a right fingerprint, as somebody may make it on purpose."""
    path, (graph, scores_LM) = tmp_path / "scores.safetensors", damaged_in(name)
    header = replace(HEADER, fingerprint=scores_module._fingerprint(HEADER, *graph, scores_LM))
    rewrite(path, {**graph._asdict(), "scores": scores_LM}, asdict(header))
    with pytest.raises(ArtifactError, match=r"holds no valid graph|holds scores of shape"):
        load_scores(path)


@pytest.mark.parametrize("missing", ["indptr", "source", "edge_type", "scores"])
def test_a_missing_tensor_is_named(path: Path, missing: str) -> None:
    tensors, header = content(path)
    rewrite(path, {name: tensor for name, tensor in tensors.items() if name != missing}, header)
    with pytest.raises(ArtifactError, match=f"lacks a tensor of the artifact .*{missing}.*{AGAIN}"):
        load_scores(path)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_a_flipped_bit_in_the_tensors_is_found(path: Path, place: float) -> None:
    whole = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")  # the tensors follow the JSON header
    whole[start + int(place * (len(whole) - start))] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ArtifactError, match=f"is damaged: its content has another fingerprint. {AGAIN}"):
        load_scores(path)


def test_scores_of_another_artifact_under_this_header_are_found(path: Path) -> None:
    tensors, header = content(path)
    rewrite(path, tensors | {"scores": tensors["scores"].flip(0)}, header)
    with pytest.raises(ArtifactError, match="another fingerprint"):
        load_scores(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -0.1])
@pytest.mark.parametrize("place", [(0, 0), (2, -1)])
def test_scores_that_are_none_are_refused_and_leave_the_old_file(
    path: Path, value: float, place: tuple[int, int]
) -> None:
    before, scores = path.read_bytes(), scores_of()
    scores.scores_LM[place] = value
    with pytest.raises(ArtifactError, match=r"aren't finite: the estimator diverged\. Lower its learning rate"):
        save_scores(path, scores, HEADER)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_scores_of_a_graph_without_an_edge_are_saved(tmp_path: Path) -> None:
    graph = augment(torch.zeros(2, 0, dtype=torch.int64), 3, self_loops=False)
    saved = save_scores(tmp_path / "scores.safetensors", AttentionScores(graph, torch.zeros(2, 0)), HEADER)
    assert load_scores(saved)[0].scores_LM.shape == (2, 0)
