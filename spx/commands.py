"""The commands of `spx` and its help, which import nothing: a question is answered at once."""

from spx import __version__

PLACES = {
    "study": "spx.experiments.study:study_main",
    "results": "spx.experiments.results:results_main",
    "tune": "spx.tuning.command:tune_main",
    "analyze": "spx.score_study.command:analyze_main",
    "check": "spx.graph_check.command:check_main",
    "export": "spx.inference.command:export_main",
    "advise": "spx.inference.advice:advise_main",
    "explain": "spx.inference.explain_command:explain_main",
}
"""Commands that aren't LightningCLI's: module and function, imported when called for."""

SENTENCES = {
    "study": "Runs both stages on a dataset, over seeds and splits, and reports the test figures.",
    "tune": "Looks for a dataset's settings by validation alone, and writes them as a configuration.",
    "check": "Reads a graph and says what it holds and what training on it takes.",
    "fit": "Trains one stage with the settings of configuration files and options.",
    "resume": "Goes on with a run that was stopped or killed.",
    "validate": "Judges a checkpoint on the validation nodes.",
    "test": "Judges a checkpoint on the test nodes.",
    "predict": "Writes the predictions of a finished run as a table.",
    "explain": "Tells why nodes were judged so: a page, or a table.",
    "export": "Writes the network of a finished run for use without Lightning.",
    "advise": "Compares a finished run with baselines and says what to try next.",
    "analyze": "Trains single-head networks and reports what they attend to.",
    "results": "Rewrites the tables of docs/results.md from finished studies.",
}
"""What each command does, in the order of the help."""

HELP = """\
usage: spx COMMAND [arguments]
       spx COMMAND --help | spx --help | spx --version

Spexphormer: sparse graph Transformers, trained in two stages.

commands:
{commands}

`spx COMMAND --help` says what a command takes.
With `--debug` any command shows a failure's traceback.

exit codes:
  0    done
  1    any failure that isn't one of these
  2    what was given can't be used
  3    memory or disk ran out
  130  stopped by Ctrl-C
  143  stopped by SIGTERM
"""


def help_text() -> str:
    """What `spx --help` prints: every command with a sentence."""
    return HELP.format(commands="\n".join(f"  {name:<10}{sentence}" for name, sentence in SENTENCES.items()))


def version_text() -> str:
    """What `spx --version` prints: of the installed package, or of these files where they aren't installed."""
    from importlib.metadata import PackageNotFoundError, version  # takes a tenth of the time that a help has

    try:
        return f"spx {version('spx')}"
    except PackageNotFoundError:
        return f"spx {__version__}"
