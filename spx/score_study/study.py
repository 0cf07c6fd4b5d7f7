"""The score study: train what is missing, measure, judge, draw, report."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from spx.data import AugmentedGraphData
from spx.errors import ConfigError
from spx.files import reason, replacing
from spx.run_folder import check_writable
from spx.score_study.artifacts import Group, check_data, load_groups
from spx.score_study.choice_tables import choice_tables
from spx.score_study.claims import Claim, claims_table, judge
from spx.score_study.grid import estimator_data, train
from spx.score_study.networks import at_last_temperature, untrained_tables, without_failed
from spx.score_study.settings import ScoreStudy
from spx.score_study.tables import Labels, Tables, score_tables
from spx.score_study.wide import check_graph, load_wide

STATES = {
    "best": "best on validation",
    "last": "after the last epoch",
    "authors": "best on validation, at the temperature of the last epoch",
}
FAILED = "Failed to train"
GRAPH_SETTINGS = ("expander_degree", "expander", "expander_seed", "self_loops", "seed")


def analyze(study: ScoreStudy) -> Path:
    """Run the study; returns the report's path.

    Raises:
        SpxError: the study can't be run as asked.
        StageError: a run failed.
    """
    started = time.monotonic()
    if study.dataset:
        check_writable(study.folder(study.dataset), "--output")
    if study.wide_checkpoint:
        load_wide(Path(study.wide_checkpoint))  # what can't be used is told before hours of training
    files, checkpoint = (study.scores, None) if study.scores else train(study)
    checkpoint = Path(study.wide_checkpoint) if study.wide_checkpoint else checkpoint
    groups = load_groups(files)
    header = groups[0].networks[0].header
    data = AugmentedGraphData(**_data_settings(study, header))
    check_data(groups, data)
    print(f"Measuring {sum(len(group.networks) for group in groups)} networks on {data.dataset_name}", flush=True)
    groups = without_failed(groups, data.dataset)
    if study.state == "authors":
        groups = [at_last_temperature(group, data.dataset.x) for group in groups]
    labels = Labels(None if data.task == "multilabel" else data.dataset.y, data.num_outputs)
    tables = score_tables(groups, labels, study.ks, study.resistance_nodes)
    if study.untrained:
        tables |= untrained_tables(groups, data.dataset.x)
    if checkpoint is not None:
        tables |= _choice(study, checkpoint, groups, data)
    claims = judge(tables)
    tables["claims"] = claims_table(claims)
    folder = study.folder(study.dataset or header.dataset)
    return _write(folder, study, data, tables, claims, time.monotonic() - started)


def _data_settings(study: ScoreStudy, header) -> dict[str, Any]:
    """Of the dataset that the scores were made for: the estimator's configuration, where the study has one."""
    given = {} if study.scores else estimator_data(study)
    given = {name: value for name, value in given.items() if name not in GRAPH_SETTINGS}
    dataset = study.dataset or header.dataset
    return {**given, "dataset": dataset, "data_dir": study.data_dir, "protocol": header.protocol, "split": header.split}


def _choice(study: ScoreStudy, checkpoint: Path, groups: list[Group], data: AugmentedGraphData) -> Tables:
    group = groups[-1]
    if (group.graph.degrees() == 0).any():
        raise ConfigError(
            f"{group.networks[0].path} is over a graph where some nodes have no attention edge to sample from. Give "
            "scores of an augmented graph, or leave --wide_checkpoint out."
        )
    network = load_wide(checkpoint)
    check_graph(checkpoint, group.fingerprint, _data_settings(study, group.networks[0].header))
    print(f"Measuring how well they choose edges for {checkpoint}", flush=True)
    return choice_tables(network, data.dataset.x, group.graph, group.networks, study.ks, study.draws)


def _write(
    folder: Path, study: ScoreStudy, data: AugmentedGraphData, tables: Tables, claims: list[Claim], seconds: float
) -> Path:
    from spx.score_study.board import write_board
    from spx.score_study.pictures import draw_all
    from spx.score_study.report import FIGURES, REPORT_FILE, write_report

    try:
        for name, table in tables.items():
            with replacing(folder / "tables" / f"{name}.csv") as temporary:
                table.write_csv(temporary)
            with replacing(folder / "tables" / f"{name}.parquet") as temporary:
                table.write_parquet(temporary)
        pictures = draw_all(tables, folder / FIGURES)
        write_board(folder, tables, claims, {name: folder / FIGURES / f"{name}.png" for name in pictures})
    except OSError as error:
        raise ConfigError(
            f"{folder} can't be written: {reason(error)}. Free space or choose another --output."
        ) from error
    title = f"What the networks attend to: {data.dataset_name}"
    facts = _facts(study, data, tables, seconds)
    report = write_report(folder / REPORT_FILE, title, facts, tables, claims, pictures)
    if FAILED in facts:
        print(f"{FAILED}: {facts[FAILED]}")
    for claim in claims:
        print(f"- {claim.title}, {claim.graph}: {claim.verdict}.\n  {claim.text}")
    print(f"Report:      {report}\nTensorBoard: tensorboard --logdir {folder}   (or: make tensorboard)", flush=True)
    return report


def _facts(study: ScoreStudy, data: AugmentedGraphData, tables: Tables, seconds: float) -> dict[str, str]:
    runs = tables["runs"]
    widths, seeds = (", ".join(map(str, sorted(set(runs[name])))) for name in ("width", "seed"))
    facts = {
        "Dataset": f"{data.dataset_name}, protocol {data.protocol}, split {data.split}",
        "Networks": f"{runs.height} of one head; widths {widths}; seeds {seeds}",
        "State": STATES[study.state],
        "Wide network": study.wide_checkpoint or study.wide or "none",
        "Command": f"spx {shlex.join(sys.argv[1:])}" if sys.argv[1:] else "from Python",
        "Seconds": f"{seconds:.0f} (runs that were finished before not counted)",
    }
    if runs["failed"].any():
        failed = runs.filter("failed").group_by("graph", "width").len().sort("graph", "width")
        which = "; ".join(f"{number} of width {width} ({graph})" for graph, width, number in failed.iter_rows())
        facts[FAILED] = f"{which}: not above chance in validation; left out, unless all of a graph failed"
    if study.max_epochs:
        remark = "a version to look at, its numbers mean little" if study.runs == "small" else "as asked"
        facts["Epochs"] = f"{study.max_epochs} a run: {remark}"
    if "mass_kept" not in tables:
        facts["Wide network"] = "none: how well the estimators choose edges was not measured"
    return facts
