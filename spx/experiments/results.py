"""`spx results`: the tables of `docs/results.md`, made from the summaries of finished studies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spx.arguments import CommandParser
from spx.errors import ConfigError
from spx.experiments.plan import ESTIMATOR, WIDE
from spx.experiments.report import DASH, number, published_text, share_text, test_text
from spx.experiments.runs import write_text
from spx.experiments.summary import SUMMARIES
from spx.files import read_json

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
HEADING = "# Results\n\n"
NOTE = """\
Test and validation in percent, test as mean +- sample standard deviation over the runs. Published figures follow the
same split protocol, or there is a dash. Attention edges: of one layer, mean over layers; their share is of the
augmented graph's. Stage 1 is the estimator; s: median seconds per epoch; MB: peak resident memory of the stage's own
process (10^6 bytes). Made by `make results`; what stands outside of the markers is left alone.
"""
COLUMNS = (
    *("dataset", "protocol", "configuration", "metric", "test", "runs", "validation", "published"),
    *("attention edges", "share", "stage 1 s", "stage 1 MB", "stage 2 s", "stage 2 MB", "command"),
)


def load_summaries(runs_dir: str | Path) -> list[dict[str, Any]]:
    """The summaries of all studies, sorted by dataset, protocol, configuration (wide first) and overlay.

    Raises:
        ConfigError: there is none.
    """
    read = (read_json(path) for path in Path(runs_dir).glob(f"*/{SUMMARIES}/*.json"))
    summaries = [summary for summary in read if summary]
    if not summaries:
        raise ConfigError(f"No finished study in {runs_dir}. Run one first, such as: make demo.")
    return sorted(summaries, key=_order)


def render(summaries: Sequence[dict[str, Any]]) -> str:
    """The generated section: the note, the table, the machines and versions. Markdown."""
    lines = [NOTE, _row(COLUMNS), _row(["---"] * len(COLUMNS))]
    lines += [_row(_cells(summary)) for summary in summaries]
    lines += ["", *_origins(summaries)]
    return "\n".join(lines) + "\n"


def rewrite(text: str, section: str) -> str:
    """`text` with the section between the markers; markers that are missing are added at the end.

    Raises:
        ConfigError: a marker without the other, markers twice, or in the wrong order.
    """
    generated = f"{BEGIN}\n{section}{END}"
    if text.count(BEGIN) == text.count(END) == 0:
        return f"{text.rstrip()}\n\n{generated}\n" if text.strip() else f"{HEADING}{generated}\n"
    start, stop = text.find(BEGIN), text.find(END)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or stop < start:
        raise ConfigError(f"The markers {BEGIN} and {END} must stand once each, in this order. Correct the page.")
    return text[:start] + generated + text[stop + len(END) :]


def write_results(runs_dir: str | Path, page: str | Path, drop_rows: bool = False) -> int:
    """Rewrite the page's generated section; returns the number of its rows.

    Args:
        runs_dir: folder of the studies.
        page: file to rewrite.
        drop_rows: whether rows may go that the page has and the studies don't, or become means over fewer runs.

    Raises:
        ConfigError: no summaries, broken markers, such rows, or the page can't be written.
    """
    summaries, page = load_summaries(runs_dir), Path(page)
    text = page.read_text() if page.is_file() else ""
    section = render(summaries)
    written = rewrite(text, section)
    if not drop_rows and (lost := _poorer_rows(text, section)):
        raise ConfigError(
            f"{page} has {len(lost)} rows that {runs_dir} holds no study for, or one of fewer runs: "
            f"{'; '.join(lost[:5])}{'; ...' if len(lost) > 5 else ''}. Nothing was written. Give the folder of their "
            "studies (--runs_dir), another page (--page), or --drop_rows."
        )
    write_text(page, written)
    return len(summaries)


def _poorer_rows(before: str, after: str) -> list[str]:
    """Rows of the generated table that are gone afterwards, or means over fewer runs."""

    def runs_of(text: str) -> dict[str, int]:
        _, _, section = text.rpartition(BEGIN)
        rows = (
            line.strip("| ").split(" | ") for line in section.partition(END)[0].splitlines() if line.startswith("|")
        )
        return {" ".join(row[:3]): int(row[5]) for row in rows if len(row) > 5 and row[5].isdigit()}

    found = runs_of(after)
    return [row for row, runs in runs_of(before).items() if found.get(row, 0) < runs]


def results_main(argv: Sequence[str] | None = None) -> None:
    """Entry point.

    Raises:
        SpxError: see `write_results`.
    """
    parser = CommandParser("spx results", description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs_dir", default="lightning_logs", help="folder of the runs")
    parser.add_argument("--page", default="docs/results.md", help="file to rewrite")
    parser.add_argument("--drop_rows", action="store_true", help="leave out rows of the page that have no study there")
    settings = parser.parse_args(argv)
    rows = write_results(settings.runs_dir, settings.page, settings.drop_rows)
    print(f"{settings.page}: {rows} {'study' if rows == 1 else 'studies'} of {settings.runs_dir}")


def _order(summary: dict[str, Any]) -> tuple:
    config = summary["config"]
    return summary["dataset"], summary["protocol"], config != WIDE, config, summary["overlay"] or ""


def _cells(summary: dict[str, Any]) -> list[str]:
    overlay = f", {summary['overlay']}" if summary["overlay"] else ""
    cells = [summary["dataset"], summary["protocol"], summary["config"] + overlay, summary["metric"]]
    cells += [test_text(summary), str(len(summary["test"])), number(summary["val_mean"], 2), published_text(summary)]
    cells += [number(summary["attention_edges"]), share_text(summary)]
    for kind in (ESTIMATOR, WIDE):
        figures = summary["stages"].get(kind)
        cells += [DASH, DASH] if figures is None else _stage_cells(figures)
    return [*cells, f"`{summary['command']}`"]


def _stage_cells(figures: dict[str, float | None]) -> list[str]:
    return [number(figures["seconds_per_epoch"], 2), number(figures["peak_rss_mb"])]


def _origins(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each machine and set of versions, with the datasets measured there."""
    datasets: dict[str, set[str]] = {}
    for summary in summaries:
        machine, versions = summary["machine"], summary["versions"]
        packages = ", ".join(f"{package} {version}" for package, version in versions.items())
        where = f"{machine['cpu']}, {machine['cores']} cores; {packages}"
        datasets.setdefault(where, set()).add(summary["dataset"])
    return [f"- {', '.join(sorted(names))}: {where}." for where, names in datasets.items()]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
