"""Every kind of baseline through the command line: trained, resumed, predicting, exported, on classes and on labels."""

import json
from itertools import product
from pathlib import Path

import polars as pl
import polars.selectors as cs
import torch
import yaml
from daily import every_day

import spx
from spx.__main__ import main
from spx.nn.export import load_network
from spx.nn.settings import BaselineName

KINDS = BaselineName.__args__


def write_baseline(kind: str, dataset: str) -> None:
    model = {"class_path": "spx.training.Baseline", "init_args": {"kind": kind, "width": 8, "num_heads": 2}}
    model["init_args"] |= {"local_epochs": 1, "optimizer": "adam", "decay_first": True, "feature_dropout": 0.2}
    data = {"class_path": "spx.data.AugmentedGraphData", "init_args": {"dataset": dataset, "expander_degree": 0}}
    data["init_args"]["self_loops"] = False
    settings = {"name": kind, "model": model, "data": data, "trainer": {"max_epochs": 2, "accelerator": "cpu"}}
    Path("baseline.yaml").write_text(yaml.safe_dump(settings))


@every_day(("kind", "dataset"), product(KINDS, ("toy", "toy-labels")), {("gcn", "toy"), ("sgformer", "toy-labels")})
def test_a_baseline_does_what_every_run_does(home: Path, kind: str, dataset: str) -> None:
    write_baseline(kind, dataset)
    main(["fit", "--config", "baseline.yaml", "--runs_dir", "runs"])
    folder = Path("runs", dataset, kind, "version_0")
    main(["resume", str(folder), "--trainer.max_epochs", "4"])
    record = json.loads((folder / "run.json").read_text())
    assert record["epochs"] == 4
    assert record["attention_edge_share"] is None
    main(["predict", str(folder), "--output", "p.parquet"])
    table = pl.read_parquet("p.parquet").select(cs.starts_with("p:"))
    main(["export", str(folder), "--output", "exported"])
    data = spx.load(folder).data
    with torch.no_grad():
        logits = load_network("exported")(data.dataset.x, (data.graph,))
    chances = logits.sigmoid() if dataset == "toy-labels" else logits.softmax(-1)
    torch.testing.assert_close(torch.from_numpy(table.to_numpy().copy()), chances, rtol=0, atol=1e-5)
