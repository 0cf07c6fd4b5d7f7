"""What a search leaves to look at: a table of trials, pictures, a page, and the same in TensorBoard."""

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spx.experiments.runs import write_text
from spx.files import replacing
from spx.tuning.choice import Candidate
from spx.tuning.search import FIGURES, PROBLEM, RECIPE, ROUND, Search

TABLE, PAGE = "trials.csv", "index.html"
MEASURED = ("attention_edges", "peak_rss_mb", "seconds_per_epoch", "seconds")
PICTURES = {
    "history": ("Optimisation history", "Each trial's best validation figure, and the best of all so far."),
    "importances": (
        "What matters",
        "Share of each parameter in how the trials differ (PED-ANOVA), among those that all trials have.",
    ),
    "curves": ("Validation by epochs", "Figures of each trial at the epochs where trials are compared."),
}


def rows(search: Search) -> list[dict[str, Any]]:
    """A row a trial, in their order."""
    found = []
    for each in search.study.get_trials(deepcopy=False):
        if not each.state.is_finished():
            continue
        attributes = each.user_attrs
        row = {
            "trial": each.number,
            "round": attributes.get(ROUND),
            "recipe": attributes.get(RECIPE, ""),
            "state": each.state.name.lower(),
            "validation": None if each.value is None else round(each.value, 6),
            "epochs": max(map(int, attributes.get(FIGURES, ())), default=""),
        }
        row |= {parameter.name: each.params.get(parameter.name, "") for parameter in search.space.parameters}
        row |= {name: attributes.get(name, "") for name in MEASURED}
        found.append({**row, "problem": attributes.get(PROBLEM, "")})
    return found


def write_table(folder: Path, table: Sequence[Mapping[str, Any]]) -> Path:
    """`trials.csv`.

    Raises:
        ConfigError: the folder can't be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(folder / TABLE, text.getvalue())
    return folder / TABLE


def draw(folder: Path, search: Search) -> dict[str, Path]:
    """The pictures as PNG files, by name; that of the importances where enough trials differ."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    optuna, study = search.optuna, search.study
    shown = optuna.visualization.matplotlib
    drawn: dict[str, Path] = {}
    makers = {
        "history": lambda: shown.plot_optimization_history(study),
        "importances": lambda: shown.plot_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        ),
        "curves": lambda: shown.plot_intermediate_values(study),
    }
    for name, make in makers.items():
        try:
            axes = make()
        except (ValueError, RuntimeError, ZeroDivisionError):  # too few trials to say anything
            continue
        figure = axes.figure
        figure.set_size_inches(8, 4.5)
        if (legend := axes.get_legend()) is not None and name == "curves":
            legend.remove()
        drawn[name] = folder / f"{name}.png"
        with replacing(drawn[name]) as temporary:
            figure.savefig(temporary, format="png", dpi=100, bbox_inches="tight")
        plt.close(figure)
    return drawn


def write_page(
    folder: Path,
    search: Search,
    candidates: Sequence[Candidate],
    pictures: Mapping[str, Path],
    words: Mapping[str, str],
) -> Path:
    """`index.html`.

    Args:
        folder: of the search.
        search: that has ended.
        candidates: the best, in their order.
        pictures: by name.
        words: `title`, `summary`, `metric` and `command`.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    shown = [
        {"title": PICTURES[name][0], "text": PICTURES[name][1], "file": file.name} for name, file in pictures.items()
    ]
    names = [each.name for each in search.space.parameters]
    text = environment.get_template("page.html.jinja").render(
        **words, candidates=candidates, pictures=shown, table=rows(search), names=names
    )
    write_text(folder / PAGE, text + "\n")
    return folder / PAGE


def write_board(folder: Path, table: Sequence[Mapping[str, Any]], pictures: Mapping[str, Path]) -> None:
    """TensorBoard's file anew: `tune/validation` and `tune/best` by trial, and the pictures as `tune/NAME`."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = EventFileWriter(str(folder))

    def add(step: int, **value: Any) -> None:
        writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=[Summary.Value(**value)])))

    best = float("-inf")
    for row in table:
        if row["validation"] is not None:
            best = max(best, row["validation"])
            add(row["trial"], tag="tune/validation", simple_value=row["validation"])
            add(row["trial"], tag="tune/best", simple_value=best)
    for name, file in pictures.items():
        content = file.read_bytes()
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))  # of a PNG's header
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=content)
        add(0, tag=f"tune/{name}", image=image)
    writer.close()
