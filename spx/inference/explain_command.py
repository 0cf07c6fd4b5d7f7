"""`spx explain RUN_FOLDER`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spx.arguments import CommandParser
from spx.explanation import BATCH_SIZE, MOST
from spx.inference import DRAWS
from spx.inference.command import RUN_FOLDER, add_run_options, read_nodes

if TYPE_CHECKING:
    from spx.inference.run import TrainedRun

PAGES, TABLES = (".html", ".htm"), (".csv", ".parquet")


def explain_main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `spx explain RUN_FOLDER`.

    Raises:
        SpxError: the run can't be loaded or explained, or the page or table can't be written as asked.
    """
    given = make_explain_parser().parse_args(argv)
    start = time.perf_counter()
    nodes = asked_nodes(given.nodes)
    write = _write_page if _is_page(given, len(nodes)) else _write_table
    from spx.inference.run import load

    places = {name: getattr(given, name) for name in ("dataset", "data_dir", "scores", "checkpoint", "device")}
    write(load(given.run_folder, **places), nodes, given)
    seconds = time.perf_counter() - start
    print(f"Explanations of {len(nodes):,} nodes in {seconds:.1f} s: {given.output}", flush=True)


def make_explain_parser() -> argparse.ArgumentParser:
    """The options of `spx explain`."""
    parser = CommandParser(
        "spx explain",
        description="Tell why a run judges nodes so: neighbours taken out, attention, features.",
        allow_abbrev=False,
    )
    parser.add_argument("run_folder", help=RUN_FOLDER)
    parser.add_argument(
        "--nodes",
        required=True,
        nargs="+",
        help="names of nodes; one word may be names with commas between, or a text file of one name a line",
    )
    parser.add_argument("--output", required=True, help="page or table to write: .html, .csv or .parquet")
    parser.add_argument(
        "--spreadsheet",
        action="store_true",
        help="quote text in a .csv that a spreadsheet would take for a formula (docs/predictions.md)",
    )
    parser.add_argument(
        "--most",
        type=int,
        default=MOST,
        help=f"of each node: neighbours that are taken out, input nodes, features (default: {MOST})",
    )
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"sampled graphs to average over (default: {DRAWS})")
    parser.add_argument(
        "--batch_size", type=int, default=BATCH_SIZE, help=f"nodes explained at once (default: {BATCH_SIZE})"
    )
    add_run_options(parser)
    return parser


def asked_nodes(words: Sequence[str]) -> list[str]:
    """Names of nodes: several words are names as they are, one is read as `spx predict --nodes` reads it.

    Raises:
        ConfigError: a file can't be read, or there is no name.
    """
    from spx.errors import ConfigError

    names = read_nodes(words[0]) if len(words) == 1 else list(words)
    if not names:
        raise ConfigError(f"--nodes {words[0]} names no node. Give at least one.")
    return names


def _is_page(given: argparse.Namespace, num_nodes: int) -> bool:
    from spx.errors import ConfigError

    ending = Path(given.output).suffix.lower()
    if ending not in (*PAGES, *TABLES):
        raise ConfigError(f"The output is {given.output}; its name must end in {', '.join((PAGES[0], *TABLES))}.")
    if ending in TABLES:
        return False
    from spx.explanation.page import check_page

    if given.spreadsheet:
        raise ConfigError(f"The output is {given.output}; only a .csv is written for a spreadsheet: give its name.")
    check_page(given.output, num_nodes)
    return True


def _write_page(run: "TrainedRun", nodes: list[str], given: argparse.Namespace) -> None:
    run.explain(nodes, draws=given.draws, most=given.most, batch_size=given.batch_size).write_page(given.output)


def _write_table(run: "TrainedRun", nodes: list[str], given: argparse.Namespace) -> None:
    """Batch by batch."""
    from spx.inference.explaining import explain_batches
    from spx.inference.tables import table_writer

    with table_writer(given.output, given.spreadsheet) as writer:
        for batch in explain_batches(run, nodes, given.draws, given.most, given.batch_size):
            writer.write(batch)
