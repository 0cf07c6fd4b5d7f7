"""Features that are nearly all zero, as their entries beside a dense tensor: an epoch, peak memory, the first Linear.

Each form is a `spx fit` in a process of its own, by turns; ratios are of medians. Memory is that of the whole process,
libraries and loading included. Both stage 2 configurations sample uniformly, so that no scores are needed.
"""

import json
import statistics
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.common import arguments, in_fresh_process, medians, power_law_edges, report, trained
from spx.datasets import load_dataset
from spx.graph.features import SparseFeatures
from spx.nn.encoder import FeatureEncoder

FORMS = ("dense", "sparse")
CONFIGS = Path("configs")
UNIFORM = ("--data.sampler", "uniform")
PUBLISHED = ("actor", "cora", "cs")
BLOGCATALOG = Path("data/npz/blogcatalog.npz")
PHYSICS = {"num_nodes": 34_493, "num_edges": 495_924, "num_columns": 8_415, "words": 33, "num_classes": 5}
SMALL = {"num_nodes": 2_000, "num_edges": 20_000, "num_columns": 1_000, "words": 20, "num_classes": 5}
WIDTH, DROPOUT = 64, 0.5
RUNS = 3
"""Of each form."""


def written(folder: Path, name: str, x: SparseFeatures, edge_index: Tensor, y: Tensor) -> str:
    """A graph of one's own with sparse features, and its path."""
    indices = torch.stack((x.rows(), x.indices.long()))
    content = {"x": torch.sparse_coo_tensor(indices, x.values, x.shape, check_invariants=True, is_coalesced=True)}
    torch.save({**content, "edge_index": edge_index, "y": y}, folder / f"{name}.pt")
    return str(folder / f"{name}.pt")


def generated(folder: Path, name: str, num_nodes: int, num_edges: int, num_columns: int, words: int, **labels) -> str:
    """Bags of words whose frequencies follow a power law, over a power-law graph."""
    from scipy.sparse import coo_matrix

    stream = torch.Generator().manual_seed(0)
    column = (num_columns ** torch.rand(num_nodes * words, generator=stream)).long().clamp_(max=num_columns) - 1
    row = torch.arange(num_nodes).repeat_interleave(words)
    x = SparseFeatures.from_scipy(coo_matrix((torch.ones(len(row)), (row, column)), (num_nodes, num_columns)))
    x.values.fill_(1)
    y = torch.randint(labels["num_classes"], (num_nodes,), generator=stream)
    return written(folder, name, x, power_law_edges(num_nodes, num_edges), y)


def blogcatalog(folder: Path) -> str:
    """The file of the gnn-benchmark collection's layout, as a graph that the program reads."""
    import numpy as np
    from scipy.sparse import csr_matrix

    def matrix(name: str) -> csr_matrix:
        parts = tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
        return csr_matrix(parts, arrays[f"{name}_shape"])

    with np.load(BLOGCATALOG) as arrays:
        x, adj = matrix("attr"), matrix("adj")
        y = torch.from_numpy(arrays["labels"])
    ends = np.stack(adj.tocoo().coords).astype(np.int64)
    return written(folder, "blogcatalog", SparseFeatures.from_scipy(x), torch.from_numpy(ends), y)


def fits(source: str, kind: str, epochs: int, repeats: int, folder: Path) -> dict[str, dict[str, float]]:
    """Median figures of each form's runs."""
    configs = CONFIGS / (source if source in PUBLISHED else "mine")
    found: dict[str, list[dict]] = {form: [] for form in FORMS}
    more = ["--trainer.max_epochs", str(epochs), "--then_test", "false", *(UNIFORM if kind == "wide" else ())]
    for turn in range(repeats):
        for form in FORMS:
            runs_dir = folder / f"runs-{turn}-{form}-{kind}"
            found[form].append(trained(configs, kind, source, runs_dir, "--data.features", form, *more))
    figures = {"seconds": "seconds_per_epoch", "MB": "peak_rss_mb"}
    return {
        form: {name: statistics.median(run[figure] for run in runs) for name, figure in figures.items()}
        for form, runs in found.items()
    }


def first_linear(case: dict) -> dict[str, float]:
    """Milliseconds forward and backward in both forms, with and without dropout of the features."""
    sparse = load_dataset(case["source"], features="sparse").x
    upstream = torch.randn(len(sparse), WIDTH)
    cases = {}
    for form, x in (("dense", sparse.to_dense()), ("sparse", sparse)):
        for what, dropout in (("", 0.0), (", dropped", DROPOUT)):
            encoder = FeatureEncoder(sparse.num_columns, WIDTH, dropout)
            cases[f"linear ms{what}, {form}"] = lambda encoder=encoder, x=x: step(encoder, x, upstream)
    seconds = medians(cases, case["repeats"])
    return {"entries": sparse.num_entries / sparse.numel(), **{name: 1e3 * each for name, each in seconds.items()}}


def step(encoder: nn.Module, x: Tensor | SparseFeatures, upstream: Tensor) -> None:
    encoder.zero_grad()
    encoder(x).backward(upstream)


def main() -> None:
    options = arguments(__doc__)
    if options.case:
        print(json.dumps(first_linear(json.loads(options.case))))
        return
    rows, headline = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.small:
            sources = {"generated": generated(folder, "generated", **SMALL)}
        else:
            sources = {source: source for source in PUBLISHED}
            sources |= {"blogcatalog": blogcatalog(folder)} if BLOGCATALOG.is_file() else {}
            sources["physics' size"] = generated(folder, "physics", **PHYSICS)
        for graph, source in sources.items():
            repeats = 2 if options.small else 7
            runs = {"runs a form": 1 if options.small else RUNS}
            rows.append({"graph": graph, **runs, **in_fresh_process(__file__, {"source": source, "repeats": repeats})})
            print(rows[-1], flush=True)
            for kind in ("wide", "plus"):
                found = fits(source, kind, 3 if options.small else 6, 1 if options.small else RUNS, folder)
                ratios = {
                    f"{what}_vs_dense": found["sparse"][column] / found["dense"][column]
                    for what, column in (("time", "seconds"), ("memory", "MB"))
                }
                headline[f"{graph}, {kind}"] = ratios
                rows[-1] |= {
                    f"{kind} {column}, {form}": found[form][column] for column in ("seconds", "MB") for form in FORMS
                }
                print(graph, kind, found, ratios, flush=True)
    report("features", rows, headline, options.small)


if __name__ == "__main__":
    main()
