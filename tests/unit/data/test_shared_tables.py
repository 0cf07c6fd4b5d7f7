"""Tables that several processes of a machine draw together; threads stand for the processes."""

import errno
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from spx.data import shared_tables
from spx.data.shared_tables import SharedTables
from spx.errors import SpxError
from spx.graph.csr import augment
from spx.graph.expander import build_expander
from spx.graph.sampling import LazyTable

NUM_NODES = 40


@pytest.fixture
def table() -> LazyTable:
    edges = torch.randint(0, NUM_NODES, (2, 200), generator=torch.Generator().manual_seed(0))
    graph = augment(edges, NUM_NODES, build_expander(NUM_NODES, 4, seed=0))
    return LazyTable(graph, torch.rand(graph.num_edges), 3, seed=5)


def joined(folder: Path, processes: int) -> list[SharedTables]:
    shared = [SharedTables(folder, process, processes) for process in range(processes)]
    for each in shared:
        each.join()
    return shared


@pytest.mark.parametrize("processes", [1, 2, 3, 50])
def test_all_get_the_table_that_one_process_draws(tmp_path: Path, table: LazyTable, processes: int) -> None:
    shared = joined(tmp_path, processes)
    with ThreadPoolExecutor(processes) as pool:
        drawn = list(pool.map(lambda each: each.draw("draw-0-layer-1", table), shared))
    whole = table.whole()
    for each in drawn:
        assert each.neighbors.dtype == whole.neighbors.dtype
        assert torch.equal(each.neighbors, whole.neighbors)
        assert torch.equal(each.edge_type, whole.edge_type)
    assert not list(tmp_path.glob("draw*")), "mapped memory without a name"
    drawn[0].neighbors[0] = -1
    assert (drawn[-1].neighbors[0] == -1).all(), "the same memory"


def test_each_process_draws_its_share_of_the_rows_alone(
    tmp_path: Path, table: LazyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[torch.Tensor] = []
    usual = LazyTable.rows
    monkeypatch.setattr(LazyTable, "rows", lambda self, nodes: rows.append(nodes) or usual(self, nodes))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: each.draw("draw", table), joined(tmp_path, 2)))
    assert torch.equal(torch.cat(rows).sort().values, torch.arange(NUM_NODES))
    assert all(0.3 * NUM_NODES < each.numel() < 0.7 * NUM_NODES for each in rows)


def test_a_table_is_drawn_again_before_the_first_one_has_lost_its_name(
    tmp_path: Path, table: LazyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, *how: time.sleep(0.3) or usual(path, *how))
    shared = joined(tmp_path, 2)
    with ThreadPoolExecutor(2) as pool:
        drawn = [pool.submit(lambda each: [each.draw("draw", table) for _ in range(2)], each) for each in shared]
        try:
            for tables in drawn:
                assert all(each.neighbors.equal(table.whole().neighbors) for each in tables.result(timeout=20))
        finally:
            for each in shared:
                each.stop()


def test_a_process_that_has_ended_is_not_waited_for(
    tmp_path: Path, table: LazyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_tables, "ASKS_WHO_LIVES_EVERY", 0.01)
    first, _ = joined(tmp_path, 2)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "process-1").write_text(str(ended.pid))
    with pytest.raises(SpxError, match=rf"^Process {ended.pid} has ended, which draws share 2 of 2 of this"):
        first.draw("draw", table)


def test_a_draw_for_an_epoch_that_never_comes_is_given_up(tmp_path: Path, table: LazyTable) -> None:
    first, second = joined(tmp_path, 2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second.draw, "draw", table)
        first.stop()
        second.stop()
        with pytest.raises(SpxError, match=r"given up|can't be used"):
            waiting.result(timeout=30)
    assert not first.folder.exists()


def test_a_full_disk_is_named(tmp_path: Path, table: LazyTable, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shared_tables, "reserve", full)
    with pytest.raises(SpxError, match=r"draw-1, where the processes of this machine share a table, can't be used"):
        joined(tmp_path, 1)[0].draw("draw", table)


class Ranks:
    """Two ranks of one machine as threads: what a Trainer's strategy does for them."""

    def __init__(self) -> None:
        self.meeting, self.said = threading.Barrier(2, timeout=30), {}

    def trainer(self, rank: int) -> SimpleNamespace:
        def everywhere(said: bool) -> bool:
            self.said[rank] = said
            self.meeting.wait()
            return all(self.said.values())

        def broadcast(said: str) -> str:
            self.said.setdefault("token", said)
            self.meeting.wait()
            return self.said["token"]

        strategy = SimpleNamespace(
            broadcast=broadcast, barrier=lambda _: self.meeting.wait(), reduce_boolean_decision=everywhere
        )
        return SimpleNamespace(num_devices=2, local_rank=rank, node_rank=0, strategy=strategy)


def found(num_bytes: int) -> list[SharedTables | None]:
    ranks = Ranks()
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda rank: shared_tables.shared_tables(ranks.trainer(rank), num_bytes), range(2)))


def test_all_ranks_find_the_first_place_with_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir(), large.mkdir()
    monkeypatch.setattr(shared_tables, "PLACES", (tmp_path / "missing", small, large))
    usual = shared_tables.shutil.disk_usage

    def disk_usage(place: Path) -> SimpleNamespace:
        usual(place)  # which fails where there is no such place
        return SimpleNamespace(free={small: 999, large: 1001}[place])

    monkeypatch.setattr(shared_tables.shutil, "disk_usage", disk_usage)
    first, second = found(400)
    assert first.folder == second.folder
    assert first.folder.parent == small
    assert found(500)[0].folder.parent == large
    assert found(600) == [None, None]


def test_one_process_has_its_tables_for_itself() -> None:
    assert shared_tables.shared_tables(None, 1) is None
    assert shared_tables.shared_tables(SimpleNamespace(num_devices=1), 1) is None
