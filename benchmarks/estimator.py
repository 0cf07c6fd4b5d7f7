"""Stage 1 on a graph of the shape of Amazon2M: building, training, the hand-over of scores, the first draw of stage 2.

2.4M nodes of power-law degree, 160M attention edges (D = 15), 100 features, 47 classes; width 4, 2 layers.
"""

import json
import logging
import tempfile
import time
import warnings
from pathlib import Path

import lightning as L

from benchmarks.common import arguments, generated_dataset, in_fresh_process, report, resident, settle
from benchmarks.models import Augmented, EpochTimes, InMemory, without_kernels
from benchmarks.sampling import random_graph
from spx.data import ResampledGraphData
from spx.graph.sampling import sample_neighbors
from spx.training import AttentionEstimator
from spx.training.callbacks import BestCheckpoint
from spx.training.handover import ScoreHandover
from spx.training.monitor import AttentionMonitor


class Sampled(InMemory, ResampledGraphData):
    pass


def measure(case: dict) -> dict:
    logging.getLogger("lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    num_nodes, num_layers, width = case["num_nodes"], case["num_layers"], case["width"]
    if case.get("plain"):
        without_kernels()
    graph_degree = 160 / 2.4 - 31
    sample_neighbors(*random_graph(100, 10), 10, seed=0)  # loads the kernel
    settle()
    before = resident("VmRSS")
    dataset = generated_dataset(num_nodes, graph_degree, num_features=100, num_classes=47)
    given = resident("VmRSS") - before
    data = Augmented(dataset.name)
    data._given = dataset
    started = time.perf_counter()
    num_edges = data.graph.num_edges
    built = time.perf_counter() - started
    build_peak = resident("VmHWM")
    settle()
    L.seed_everything(0, verbose=False)
    model = AttentionEstimator(
        width, num_layers, num_features=100, num_outputs=47, task="multiclass", metric="accuracy"
    )
    times = EpochTimes()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        scores = Path(folder) / "scores.safetensors"
        handover = TimedHandover(str(scores))
        trainer = L.Trainer(
            max_epochs=case["epochs"],
            callbacks=[times, BestCheckpoint(folder), handover, AttentionMonitor(every=2)],
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            logger=False,
        )
        trainer.fit(model, data)
        fit_peak = resident("VmHWM")
        settle()
        second = Sampled(dataset.name, k=[10] * num_layers, scores=str(scores))
        second._given = dataset
        started = time.perf_counter()
        _ = second.scores
        loaded = time.perf_counter() - started
        second.draw(0)
        drawn = time.perf_counter() - started - loaded
        return {
            "attention": "plain" if case.get("plain") else "kernels",
            "nodes": num_nodes,
            "attention edges": num_edges,
            "width": width,
            "layers": num_layers,
            "dataset GB": given / 1e9,
            "build s": built,
            "epoch s": times.median,
            "hand-over s": handover.seconds,
            "load scores s": loaded,
            "first draw s": drawn,
            "build peak GB": build_peak / 1e9,
            "fit peak GB": fit_peak / 1e9,
            "stage 2 peak GB": resident("VmHWM") / 1e9,
        }


class TimedHandover(ScoreHandover):
    seconds = 0.0

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        started = time.perf_counter()
        super().on_fit_end(trainer, pl_module)
        self.seconds = time.perf_counter() - started


def main() -> None:
    options = arguments(__doc__)
    if options.case:
        print(json.dumps(measure(json.loads(options.case))))
        return
    base = {"num_layers": 2, "width": 4, "epochs": 4}
    cases = [{**base, "num_nodes": 60_000 if options.small else 240_000, "plain": plain} for plain in (True, False)]
    cases += [] if options.small else [{**base, "num_nodes": 2_400_000}]
    rows = []
    for case in cases:
        rows.append(in_fresh_process(__file__, case))
        print(rows[-1], flush=True)
    last = rows[-1]
    headline = (
        {"error": last["error"]}
        if "error" in last
        else {
            "peak_gb": max(last[name] for name in ("build peak GB", "fit peak GB", "stage 2 peak GB")),
            "epoch_seconds": last["epoch s"],
            "build_seconds": last["build s"],
            "handover_seconds": last["hand-over s"],
            "plain_gb": rows[0]["fit peak GB"] * last["attention edges"] / rows[0]["attention edges"],
        }
    )
    report("estimator", rows, headline, options.small)


if __name__ == "__main__":
    main()
