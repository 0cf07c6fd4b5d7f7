"""Growth: epoch time and memory of stage 2 (width 16) by nodes, sampled degree, layers and core nodes; log-log slopes.

And the trade of the paper: memory and time against the number of core nodes, with the test metric beside them.
"""

import json
import logging
import tempfile
import warnings
from typing import Any

import lightning as L
import numpy as np

from benchmarks.common import arguments, in_fresh_process, report, resident, settle
from benchmarks.models import EpochTimes, load, train
from spx.data import AugmentedGraphData, ResampledGraphData
from spx.training import AttentionEstimator, Spexphormer
from spx.training.callbacks import BestCheckpoint
from spx.training.handover import ScoreHandover

BASE = {"num_nodes": 100_000, "k": 5, "layers": 2, "core": 10_000}
WIDTH, HEADS = 16, 2


def sweeps(small: bool) -> dict[str, list[dict]]:
    """For each swept quantity its cases; everything else as in BASE."""
    base = {**BASE, "num_nodes": 5000, "core": 1000} if small else BASE
    values: dict[str, list[int]] = {
        "num_nodes": [2500, 5000, 10_000] if small else [10_000, 50_000, 200_000, 1_000_000, 2_000_000],
        "k": [2, 10] if small else [2, 5, 10, 20],
        "layers": [1, 3] if small else [1, 2, 3, 4],
        "core": [500, 2000] if small else [1000, 3000, 10_000, 30_000],
    }
    return {name: [{**base, name: value} for value in points] for name, points in values.items()}


def measure(case: dict) -> dict:
    if "tradeoff" in case:
        return tradeoff(case)
    dataset = load("generated", num_nodes=case["num_nodes"], mean_degree=20)
    k = [case["k"]] * case["layers"]
    epochs = 2 if case["num_nodes"] > 500_000 else 4
    return train("spexphormer", dataset, k, WIDTH, HEADS, epochs, batch_size=case["core"], expander_degree=5)


def tradeoff(case: dict) -> dict:
    """Both stages on the generated Minesweeper field with batches of so many core nodes."""
    logging.getLogger("lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    L.seed_everything(0, verbose=False)
    name = "minesweeper-sim"
    first = AugmentedGraphData(name)
    from_data: dict[str, Any] = first.for_model
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    quiet |= {"gradient_clip_val": 1.0, "num_sanity_val_steps": 0}
    with tempfile.TemporaryDirectory() as folder:
        scores = f"{folder}/scores.safetensors"
        callbacks = [BestCheckpoint(f"{folder}/first"), ScoreHandover(scores)]
        trainer = L.Trainer(max_epochs=case["epochs"], callbacks=callbacks, **quiet)
        trainer.fit(AttentionEstimator(4, 4, temperature_wait=20, **from_data), first)
        settle()
        before = resident("VmRSS")
        data = ResampledGraphData(name, k=[12, 5, 5, 5], scores=scores, batch_size=case["tradeoff"], eval_samples=5)
        model = Spexphormer(width=32, num_layers=4, num_heads=4, dropout=0.2, **from_data)
        times = EpochTimes()
        trainer = L.Trainer(
            max_epochs=case["epochs"],
            callbacks=[times, BestCheckpoint(f"{folder}/second")],
            reload_dataloaders_every_n_epochs=1,
            **quiet,
        )
        trainer.fit(model, data)
        peak = resident("VmHWM")
        (tested,) = trainer.test(model, data, ckpt_path="best", verbose=False)
    return {"seconds": times.median, "MB": (peak - before) / 1e6, "test": tested[f"test/{first.metric}"]}


def slope(x: list[float], y: list[float]) -> float:
    """Exponent of y ~ x^slope, by least squares over the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def main() -> None:
    options = arguments(__doc__)
    if options.case:
        print(json.dumps(measure(json.loads(options.case))))
        return
    rows: list[dict] = []
    slopes: dict[str, float] = {}
    for name, cases in sweeps(options.small).items():
        found = [{"swept": name, **case, **in_fresh_process(__file__, case)} for case in cases]
        rows += found
        print(*found, sep="\n", flush=True)
        good = [row for row in found if "error" not in row]
        for column in ("seconds", "MB"):
            slopes[f"{column} vs {name}"] = slope([row[name] for row in good], [row[column] for row in good])
    for core in [2000] if options.small else [500, 1500, 5000]:
        case = {"tradeoff": core, "epochs": 3 if options.small else 50}
        rows.append({"swept": "core nodes and test metric", "core": core, **in_fresh_process(__file__, case)})
        print(rows[-1], flush=True)
    headline = {
        "slope_time_edges": slopes["seconds vs num_nodes"],  # edges grow as nodes do
        "slope_memory_edges": slopes["MB vs num_nodes"],
        "slopes": slopes,
    }
    report("growth", rows, headline, options.small)


if __name__ == "__main__":
    main()
