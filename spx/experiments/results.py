"""`spx results`: the tables of `docs/results.md`, made from the summaries of finished studies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

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


def write_results(runs_dir: str | Path, page: str | Path, drop_rows: bool = False) -> list[str]:
    """Rewrite the page's generated section; returns which rows were kept as they are.

    Rows of the page that the studies don't have, or have as means over fewer runs, are kept.

    Args:
        runs_dir: folder of the studies.
        page: file to rewrite.
        drop_rows: whether such rows go.

    Raises:
        ConfigError: no summaries, broken markers, or the page can't be written.
    """
    summaries, page = load_summaries(runs_dir), Path(page)
    text = page.read_text() if page.is_file() else ""
    section = render(summaries)
    kept = [] if drop_rows else _kept(_rows(text), _rows(section))
    write_text(page, rewrite(text, _with_kept(section, text, kept) if kept else section))
    return [row.name for row in kept]


class _Row(NamedTuple):
    name: str
    runs: int
    line: str


def _rows(text: str) -> list[_Row]:
    """Of the generated table."""
    _, _, section = text.rpartition(BEGIN) if BEGIN in text else ("", "", text)
    lines = [line for line in section.partition(END)[0].splitlines() if line.startswith("|")]
    cells = [line.strip("| ").split(" | ") for line in lines]
    return [
        _Row(" ".join(row[:3]), int(row[5]), line)
        for row, line in zip(cells, lines, strict=True)
        if len(row) > 5 and row[5].isdigit()
    ]


def _kept(before: Sequence[_Row], after: Sequence[_Row]) -> list[_Row]:
    found = {row.name: row.runs for row in after}
    return [row for row in before if found.get(row.name, 0) < row.runs]


def _with_kept(section: str, page: str, kept: Sequence[_Row]) -> str:
    """The section with the page's rows among its own, and the machines that they were measured on."""
    head, lines = section.split("\n| ---", 1)
    rule, *lines = lines.splitlines()
    replaced = {row.name for row in kept}
    rows = [*kept, *(row for row in _rows(section) if row.name not in replaced)]
    rows = sorted(rows, key=lambda row: _place(row.line))
    _, _, old = page.rpartition(BEGIN)
    old = old.partition(END)[0].replace("\n  ", " ")  # a line that goes on
    origins = dict.fromkeys(line for line in (*lines, *old.splitlines()) if line.startswith("- "))
    return "\n".join([f"{head}\n| ---{rule}", *(row.line for row in rows), "", *origins]) + "\n"


def _place(line: str) -> tuple:
    """Where `_order` puts it."""
    dataset, protocol, configuration = line.strip("| ").split(" | ")[:3]
    config, _, overlay = configuration.partition(", ")
    return dataset, protocol, config != WIDE, config, overlay


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
    kept = write_results(settings.runs_dir, settings.page, settings.drop_rows)
    studies = len(load_summaries(settings.runs_dir))
    print(f"{settings.page}: {studies} {'study' if studies == 1 else 'studies'} of {settings.runs_dir}")
    if kept:
        shown = f"{'; '.join(kept[:5])}{'; ...' if len(kept) > 5 else ''}"
        print(f"Kept as they were, since there is no study of as many runs: {shown}. --drop_rows leaves them out.")


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
