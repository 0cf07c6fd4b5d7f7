from pathlib import Path

import numpy as np
import pytest
import torch

from spx.datasets import load_dataset, minesweeper_grid, split_fingerprint

REAL = Path("data/HeterophilousGraphDataset/minesweeper/raw/minesweeper.npz")
FINGERPRINT = "63017ded9545aa7ad8906cc63f2f356faf3b5795fbdefd1582117e78fbf49707"


def field(rows: int, cols: int, mines: float, hidden: float, seed: int = 0) -> tuple[torch.Tensor, ...]:
    return minesweeper_grid(rows, cols, mines, hidden, torch.Generator().manual_seed(seed))


def neighbours(rows: int, cols: int) -> list[tuple[int, int]]:
    """The slow way: all pairs of distinct cells at most one row and one column apart."""
    cells = [(row, col) for row in range(rows) for col in range(cols)]
    return [
        (i, j)
        for i, (row, col) in enumerate(cells)
        for j, (to_row, to_col) in enumerate(cells)
        if i != j and abs(row - to_row) <= 1 and abs(col - to_col) <= 1
    ]


@pytest.mark.parametrize(("rows", "cols"), [(4, 5), (1, 6), (7, 2), (1, 1)])
def test_edges_join_each_cell_to_its_neighbours_in_order(rows: int, cols: int) -> None:
    _, edge_index, _ = field(rows, cols, 0.2, 0.5)
    assert list(map(tuple, edge_index.t().tolist())) == neighbours(rows, cols)


def test_features_count_the_mines_around() -> None:
    x, _, y = field(6, 7, 0.4, 0.0)
    counts = [0] * 42
    for i, j in neighbours(6, 7):
        counts[i] += int(y[j])
    assert max(counts) > 5, "the last column must be put to the test"
    assert x.argmax(1).tolist() == [min(count, 5) + 1 for count in counts]
    assert torch.equal(x.sum(1), torch.ones(42))


def test_hidden_cells_show_only_that_they_are_hidden() -> None:
    shown, _, mines = field(10, 10, 0.2, 0.0)
    x, _, same_mines = field(10, 10, 0.2, 0.3)
    assert torch.equal(mines, same_mines)
    hidden = x[:, 0] == 1
    assert hidden.sum() == 30
    assert torch.equal(x[hidden, 1:], torch.zeros(30, 6))
    assert torch.equal(x[~hidden], shown[~hidden])


def test_a_field_is_a_function_of_its_generator() -> None:
    assert all(map(torch.equal, field(9, 9, 0.2, 0.5, 4), field(9, 9, 0.2, 0.5, 4)))
    assert not torch.equal(field(9, 9, 0.2, 0.5, 4)[2], field(9, 9, 0.2, 0.5, 5)[2])


def test_the_dataset_never_changes(tmp_path: Path) -> None:
    dataset = load_dataset("minesweeper-sim", tmp_path / "none")
    assert split_fingerprint(dataset) == FINGERPRINT
    assert not (tmp_path / "none").exists(), "nothing is written"


def test_ten_splits(tmp_path: Path) -> None:
    drawn = [load_dataset("minesweeper-sim", tmp_path, split=split).split for split in range(10)]
    assert {tuple(len(part) for part in split) for split in drawn} == {(5000, 2500, 2500)}
    assert len({tuple(split.train[:50].tolist()) for split in drawn}) == 10


@pytest.mark.skipif(not REAL.is_file(), reason=f"{REAL} is not here: no real file to compare with")
def test_simulation_is_like_the_published_file(tmp_path: Path) -> None:
    sim, real = load_dataset("minesweeper-sim", tmp_path), load_dataset("minesweeper")
    assert torch.equal(sim.edge_index, real.edge_index)
    assert sim.x.dtype == real.x.dtype
    assert sim.y.dtype == real.y.dtype
    assert sim.x.shape == real.x.shape == (10_000, 7)
    assert int(sim.y.sum()) == int(real.y.sum()) == 2000
    assert int(sim.x[:, 0].sum()) == int(real.x[:, 0].sum()) == 5000
    # Cells near each other share mines: twice the spread of independent cells is allowed, 4 sigma wide.
    share = real.x.mean(0).numpy()
    spread = 2 * np.sqrt(share * (1 - share) / 10_000)
    assert (abs(sim.x.mean(0).numpy() - share) < 4 * spread).all()


@pytest.mark.skipif(not REAL.is_file(), reason=f"{REAL} is not here: no real file to compare with")
def test_the_published_features_follow_the_recipe() -> None:
    real = load_dataset("minesweeper")
    source, target = real.edge_index
    counts = torch.zeros_like(real.y).index_add_(0, target, real.y[source])
    expected = (counts.clamp(max=5) + 1).masked_fill(real.x[:, 0] == 1, 0)
    assert torch.equal(real.x, torch.nn.functional.one_hot(expected, 7).float())
