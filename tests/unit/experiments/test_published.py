"""Published figures stand beside figures of the same protocol only."""

import pytest

from spx.datasets import DATASETS
from spx.experiments.published import FIRST_SPLIT_ONLY, SAME_SPLITS, Figure, figure_of, published_figure


def test_same_splits_are_those_of_the_table():
    same = {name for name, spec in DATASETS.items() if spec.protocols["public"] == spec.protocols["paper"]}
    assert same == SAME_SPLITS


@pytest.mark.parametrize(
    ("dataset", "config", "protocol", "splits", "mean"),
    [
        ("actor", "wide", "paper", [0], 38.59),
        ("actor", "wide", "public", [0], None),
        ("actor", "exphormer", "paper", [0, 1], 39.0),
        ("actor", "gcn", "paper", [0], 33.2),
        ("minesweeper", "wide", "public", [0], 90.71),
        ("minesweeper", "wide", "paper", [0], 90.71),
        ("minesweeper", "wide", "public", [0, 1], None),
        ("minesweeper", "exphormer", "public", [0], 92.26),
        ("cs", "gcn", "paper", [0], None),
        ("wikics", "wide", "public", [0, 1], 78.20),
        ("photo", "wide", "public", [0], None),
        ("minesweeper-sim", "wide", "public", [0], None),
        ("actor", "mine", "paper", [0], None),
        ("minesweeper", "gnn", "public", [0, 1], 97.86),
        ("minesweeper", "polynormer", "public", [0, 1], 97.46),
        ("photo", "gnn", "paper", [0], None),
        ("photo", "sgformer", "paper", [0], 95.58),
        ("actor", "sgformer", "public", [0], None),
        ("actor", "mlp", "paper", [0], None),
    ],
)
def test_figure_beside_a_study(dataset, config, protocol, splits, mean):
    figure = published_figure(dataset, config, protocol, splits)
    assert (None if figure is None else figure.mean) == mean


def test_every_column_reads_its_own_figures():
    methods = ("GCN", "tuned GNN", "GraphGPS", "Exphormer", "SGFormer", "Polynormer", "Spexphormer")
    figures = [figure_of("minesweeper", method) for method in methods]
    assert [figure.mean for figure in figures] == [89.75, 97.86, 90.63, 92.26, 91.43, 97.46, 90.71]
    assert figure_of("actor", "Polynormer") is None
    assert figure_of("nothing", "GCN") is None


def test_datasets_are_known():
    assert set(DATASETS) >= FIRST_SPLIT_ONLY


def test_wording():
    assert str(Figure(38.59, 0.81)) == "38.59 +- 0.81"
    assert str(Figure(95.0)) == "95.00"
