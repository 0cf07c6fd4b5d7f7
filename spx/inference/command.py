"""`spx predict RUN_FOLDER` and `spx export RUN_FOLDER`."""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spx.arguments import CommandParser
from spx.inference import BATCH_SIZE, DRAWS

RUN_FOLDER = "a finished run, such as lightning_logs/actor/wide/version_0, or a .ckpt file of it"
CHECKPOINT = "best, last, or the path of a .ckpt file (default: best)"


def predict_main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `spx predict RUN_FOLDER`.

    Raises:
        SpxError: the run can't be loaded, or the predictions can't be made or written as asked.
    """
    given = make_predict_parser().parse_args(argv)
    from spx.inference.run import load
    from spx.inference.tables import table_writer

    start = time.perf_counter()
    with table_writer(given.output, given.spreadsheet) as writer:
        nodes = None if given.nodes is None else read_nodes(given.nodes)
        x = None if given.features is None else read_features(given.features)
        places = {"dataset": given.dataset, "data_dir": given.data_dir, "scores": given.scores}
        run = load(given.run_folder, **places, checkpoint=given.checkpoint, device=given.device)
        for batch in run.predict_batches(nodes=nodes, x=x, draws=given.draws, batch_size=given.batch_size):
            writer.write(batch)
    seconds = time.perf_counter() - start
    print(f"Predictions of {writer.num_nodes:,} nodes in {seconds:.1f} s: {given.output}", flush=True)


def export_main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `spx export RUN_FOLDER`.

    Raises:
        SpxError: the run can't be loaded, or the folder can't be written.
    """
    given = make_export_parser().parse_args(argv)
    from spx.inference.export import export_run

    config = export_run(given.run_folder, given.output, given.checkpoint)
    print(f"{config.network} of {len(config.class_names)} outputs: {given.output}", flush=True)


def make_predict_parser() -> argparse.ArgumentParser:
    """The options of `spx predict RUN_FOLDER`."""
    parser = CommandParser(
        "spx predict",
        description="Predict the nodes of a run's graph, with the network of that run.",
        allow_abbrev=False,
    )
    parser.add_argument("run_folder", help=RUN_FOLDER)
    parser.add_argument("--output", required=True, help="table to write: .csv, .parquet or .npz")
    parser.add_argument(
        "--spreadsheet",
        action="store_true",
        help="quote text in a .csv that a spreadsheet would take for a formula (docs/predictions.md)",
    )
    parser.add_argument(
        "--nodes", default=None, help="names of nodes with commas between, or a text file of one a line (default: all)"
    )
    parser.add_argument("--features", default=None, help="new features of all nodes, [N, F]: .npy, or .npz with x")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"sampled graphs to average over (default: {DRAWS})")
    parser.add_argument(
        "--batch_size", type=int, default=BATCH_SIZE, help=f"nodes predicted at once (default: {BATCH_SIZE})"
    )
    add_run_options(parser)
    return parser


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """How a run is loaded: the options that are `spx.load`'s arguments."""
    parser.add_argument("--checkpoint", default="best", help=CHECKPOINT)
    parser.add_argument("--device", default=None, help="cpu or cuda (default: a GPU if there is one)")
    for name, what in (
        ("dataset", "new place of a graph of your own, or the graph as it has become since"),
        ("data_dir", "new place of the datasets' folder"),
        ("scores", "new place of the score file"),
    ):
        parser.add_argument(f"--{name}", default=None, help=f"{what} (default: as the run has it)")


def make_export_parser() -> argparse.ArgumentParser:
    """The options of `spx export`."""
    parser = CommandParser(
        "spx export", description="Write a run's network as model.safetensors and model.json.", allow_abbrev=False
    )
    parser.add_argument("run_folder", help=RUN_FOLDER)
    parser.add_argument("--output", required=True, help="folder to write into")
    parser.add_argument("--checkpoint", default="best", help=CHECKPOINT)
    return parser


def read_nodes(given: str) -> list[str]:
    """Names of nodes: those in a text file, one a line, or those with commas between.

    Raises:
        ConfigError: the file can't be read, or is no text.
    """
    from spx.errors import ConfigError

    if os.path.isfile(given):  # other than pathlib's, never raises: many names are longer than a file's may be
        try:
            return [line for line in Path(given).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The nodes in {given} can't be read: {error}. Give a text file of one name a line."
            ) from error
    if given.endswith((".txt", ".csv")):
        raise ConfigError(f"There is no file {given}. Give one with a node's name in each line, or names with commas.")
    return [name.strip() for name in given.split(",") if name.strip()]


def read_features(given: str) -> Any:
    """The array of an .npy file, memory-mapped, or the array `x` of an .npz file.

    Raises:
        ConfigError: there is no such file or array.
    """
    from zipfile import is_zipfile

    import numpy as np

    from spx.datasets.own.npz import read_npz
    from spx.errors import ConfigError, DatasetError

    try:
        if is_zipfile(given):  # NumPy's reader would take the memory that a damaged header asks for
            content = read_npz(Path(given)).get("x")
            if content is None:
                raise KeyError("it holds no array named x")
            return content
        return np.load(given, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, KeyError, EOFError, OverflowError, DatasetError) as error:
        raise ConfigError(
            f"The features in {given} can't be read: {error}. Give an .npy file of an array [N, F], or an .npz file "
            "that has one named x."
        ) from error
