"""`spx analyze`: its options, whose help waits for no import of torch."""

import json
import sys
from collections.abc import Sequence
from dataclasses import fields

from jsonargparse import ArgumentParser

from spx.arguments import OneLineErrors
from spx.configurations import with_bases
from spx.score_study.settings import ScoreStudy

DESCRIPTION = """The attention-score study (Appendix F of "Even Sparser Graph Transformers"): trains single-head
networks over widths, seeds and graphs, measures what they attend to, and writes a report. A study that was stopped goes
on with the same command."""
LISTS = ("--scores", "--widths", "--seeds", "--graphs", "--ks")
"""Options that take several words, as well as the [one,list] of jsonargparse."""


class AnalyzeParser(OneLineErrors, ArgumentParser):
    """jsonargparse's parser, whose errors are raised as one sentence in place of a page of usage."""


def make_parser() -> ArgumentParser:
    """The options of `spx analyze`, which are those of `ScoreStudy`."""
    parser = AnalyzeParser(prog="spx analyze", description=DESCRIPTION)
    parser.add_argument("--config", action="config", help="file of settings, such as configs/pokec/analysis.yaml")
    parser.add_class_arguments(ScoreStudy)
    return parser


def arguments_of(argv: Sequence[str]) -> list[str]:
    """The command line as the parser takes it: lists as one word, and the base before a dataset's file."""
    return with_bases(gathered(argv), "--dataset")


def gathered(argv: Sequence[str]) -> list[str]:
    """The arguments with the words that follow an option of `LISTS` made one list: --widths 4 8 as --widths [4,8]."""
    groups: list[list[str]] = [[]]
    for argument in argv:
        if argument.startswith("--"):
            groups.append([])
        groups[-1].append(argument)
    return [word for group in groups for word in _one_list(*group)]


def _one_list(option: str = "", *words: str) -> list[str]:
    if option not in LISTS or not words or words[0].startswith("["):
        return [option, *words] if option else []
    return [option, json.dumps([int(word) if word.isdigit() else word for word in words])]


def analyze_main(argv: Sequence[str] | None = None) -> None:
    """Entry point. A failed run ends the program with the run's exit code.

    Raises:
        SpxError: the study can't be run as asked.
    """
    settings = make_parser().parse_args(arguments_of(sys.argv[2:] if argv is None else argv))
    study = ScoreStudy(**{each.name: settings[each.name] for each in fields(ScoreStudy)})
    from spx.experiments.runs import StageError
    from spx.score_study.study import analyze

    try:
        analyze(study)
    except StageError as error:
        print(f"spx: error: {error}", file=sys.stderr)
        raise SystemExit(error.code) from error
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on with the runs that aren't finished.", file=sys.stderr)
        raise SystemExit(130) from None
