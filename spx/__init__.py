"""Spexphormer: sparse graph Transformers trained in two stages, as a PyTorch Lightning application."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spx.inference.run import TrainedRun

__version__ = "0.1.0"


def fit(nodes, edges=None, **settings) -> "TrainedRun":
    """Train both stages and load the run: `spx.fit(nodes_df, edges_df, label="risk")`.

    See `spx.fitting.fit` for the settings and errors.
    """
    from spx.fitting import fit as fit_graph

    return fit_graph(nodes, edges, **settings)


def load(run_folder, **settings) -> "TrainedRun":
    """Load a finished run to predict with it: `spx.load("lightning_logs/actor/wide/version_0").predict()`.

    See `spx.inference.run.load` for the settings and errors.
    """
    from spx.inference.run import load as load_run

    return load_run(run_folder, **settings)
