"""Entry point of the command `spx`, also `python -m spx`."""

import logging
import sys
import warnings

from spx.errors import SpxError

EXIT_USER_ERROR = 2


def main(args: list[str] | None = None) -> None:
    """Run a command. What a user gave and can't be used ends in one line on standard error and exit code 2.

    Args:
        args: the command line; default: that of the process.
    """
    command, *rest = (sys.argv[1:] if args is None else args) or ["--help"]
    try:
        if command == "study":
            from spx.experiments.study import study_main

            study_main(rest)
        elif command == "results":
            from spx.experiments.results import results_main

            results_main(rest)
        else:
            _lightning(args)
    except Exception as error:
        user_error = _user_error(error)
        if user_error is None:
            raise
        print(f"spx: error: {user_error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


def _user_error(error: BaseException | None) -> BaseException | None:
    """The error that a user can mend among an exception and its causes: jsonargparse wraps those of constructors."""
    while error is not None:
        if isinstance(error, SpxError) or type(error).__name__ == "MisconfigurationException":
            return error
        error = error.__cause__ or error.__context__
    return None


def _lightning(args: list[str] | None) -> None:
    # Noise of other packages that a user can do nothing about.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip:" not in str(record.msg))
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    from spx.cli import SpxCLI

    SpxCLI(args)


if __name__ == "__main__":
    main()
