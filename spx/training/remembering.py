"""What a run keeps so that it can be used on its graph as it will be later."""

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from spx.data import ResampledGraphData
from spx.data.known_nodes import known_nodes, save_known_nodes
from spx.run_folder import ESTIMATOR_FOLDER, NODES_FILE, own_run_folder
from spx.training.kept_estimator import copy_estimator


class RememberGraph(Callback):
    """After a fit: `nodes.parquet`, by which the run knows its nodes again, and, where it draws by scores, a copy of
    the estimator that made them, in `estimator/`."""

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder, data = own_run_folder(trainer), trainer.datamodule
        if folder is None or trainer.fast_dev_run:
            return
        save_known_nodes(folder / NODES_FILE, known_nodes(data.dataset))
        if isinstance(data, ResampledGraphData) and data.scores is not None:
            copy_estimator(data.scores_path, data.scores_fingerprint, folder / ESTIMATOR_FOLDER)
