"""Whole training: seconds an epoch and peak memory of Spexphormer beside its plain formulation, GCN, GAT, Exphormer."""

import json

from benchmarks.common import arguments, in_fresh_process, report
from benchmarks.models import load, train

MODELS = ("spexphormer", "plain", "gcn", "gcn-sparse", "gat", "exphormer")
EPOCHS = {"spexphormer": 16, "gcn-sparse": 16, "gat": 4}
"""Others: 6."""
GENERATED_NODES = 20_000


def cases(small: bool) -> list[dict]:
    degrees = (10, 50) if small else (10, 50, 250)
    generated = [
        {
            "graph": {"name": "generated", "num_nodes": 2000 if small else GENERATED_NODES, "mean_degree": degree},
            "setting": {"k": [5, 5, 5], "width": 64, "heads": 4},
        }
        for degree in degrees
    ]
    actor = {"graph": {"name": "actor"}, "setting": {"k": [2, 2, 2], "width": 32, "heads": 4}}
    minesweeper = {"graph": {"name": "minesweeper"}, "setting": {"k": [12, 5, 5, 5], "width": 32, "heads": 4}}
    return generated if small else [actor, minesweeper, *generated]


def measure(case: dict) -> dict:
    return train(case["model"], load(**case["graph"]), epochs=case["epochs"], **case["setting"])


def main() -> None:
    options = arguments(__doc__)
    if options.case:
        print(json.dumps(measure(json.loads(options.case))))
        return
    rows, headline = [], {}
    models = ("spexphormer", "gcn") if options.small else MODELS
    for case in cases(options.small):
        name = case["graph"]["name"]
        name = f"degree {case['graph']['mean_degree']}" if name == "generated" else name
        found = {}
        for model in models:
            epochs = 4 if options.small else EPOCHS.get(model, 6)
            found[model] = in_fresh_process(__file__, {**case, "model": model, "epochs": epochs})
            print(name, model, found[model], flush=True)
        ours = found["spexphormer"]
        rows += [{"graph": name, "model": model, **figures} for model, figures in found.items()]
        headline[name] = {
            f"{what}_vs_{model.replace('-', '_')}": ours[column] / figures[column]
            for model, figures in found.items()
            for what, column in (("time", "seconds"), ("memory", "MB"))
            if model != "spexphormer" and column in figures
        }
    report("training", rows, headline, options.small)


if __name__ == "__main__":
    main()
