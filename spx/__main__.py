"""Entry point of the command `spx`, also `python -m spx`.

Exit codes: 0 done; 2 what a user gave can't be used; 3 memory or disk ran out; 1 any other failure; 130 stopped by
Ctrl-C; 143 stopped by SIGTERM.
"""

import atexit
import contextlib
import errno
import gc
import re
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

from spx.commands import PLACES, SENTENCES, help_text, version_text
from spx.errors import SpxError
from spx.quiet import less_noise

EXIT_FAILURE, EXIT_USER_ERROR, EXIT_RESOURCES, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 3, 130, 143
DEBUG = "--debug"


def main(args: list[str] | None = None) -> None:
    """Run a command; every failure ends in one line on standard error, `--debug` shows its traceback too.

    Args:
        args: the command line; default: that of the process.
    """
    args = list(sys.argv[1:] if args is None else args)
    debug = DEBUG in args
    args = [argument for argument in args if argument != DEBUG]
    _end_on_sigterm()
    try:
        _command(args)(args)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning has said goodbye
            sys.exit(EXIT_INTERRUPTED)
        raise
    except Exception as error:
        if debug:
            raise
        message, code = explain(error)
        print(f"spx: error: {message}", file=sys.stderr)
        sys.exit(code)


def explain(error: Exception) -> tuple[str, int]:
    """One line for a person, and the exit code."""
    chain = list(_causes(error))
    full = next((cause for cause in chain if _disk_is_full(cause)), None)
    starved = next((cause for cause in chain if _out_of_memory(cause)), None)
    for cause in chain:
        if isinstance(cause, SpxError) or type(cause).__name__ == "MisconfigurationException":
            return _own_words(str(cause)), EXIT_USER_ERROR if full is None else EXIT_RESOURCES
    if missing := next((cause for cause in chain if _lacks_a_package(cause)), None):
        return f"a package is missing: {' '.join(str(missing).split())[:300]}", EXIT_USER_ERROR
    if full is not None:
        return f"the disk is full ({full}). Free space, or choose other folders", EXIT_RESOURCES
    if any(map(_lost_a_rank, chain)):
        return (
            f"another device's process ended or did not answer ({_short(chain[0])}). Its own error says why",
            EXIT_FAILURE,
        )
    if starved is not None:
        mend = "set a smaller --data.batch_size and --data.eval_batch_size, or a smaller width"
        return f"memory ran out ({_short(starved)}): {mend}", EXIT_RESOURCES
    if named := _named_class(chain):
        return f"{named}, which the settings name, can't be made: {_short(chain[-1])}", EXIT_USER_ERROR
    return f"{_short(error)}. This wasn't expected; {DEBUG} shows where it happened", EXIT_FAILURE


def _causes(error: BaseException | None):
    """The error and its causes: jsonargparse wraps those of constructors."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _own_words(text: str) -> str:
    """The message alone where a loader's worker process raised it: torch puts the traceback there before it."""
    return text.rpartition("\nspx.errors.")[2].partition(": ")[2].strip() if "\nOriginal Traceback" in text else text


def _named_class(chain: list[BaseException]) -> str | None:
    """The innermost class that jsonargparse was making when it failed, if it is one of a user or a library."""
    texts = [re.findall(r"^Given value: Namespace\(class_path='([^']+)'", str(error), re.M) for error in chain]
    named = [path for found in texts for path in found]
    return named[-1] if named and not named[-1].startswith("spx.") else None


def _lacks_a_package(error: BaseException) -> bool:
    """One of those that an option asks for, such as a logger's."""
    return isinstance(error, ModuleNotFoundError) and not str(error.name or "").startswith("spx")


def _disk_is_full(error: BaseException) -> bool:
    """Also where a library tells it in words alone, as safetensors does."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)


def _lost_a_rank(error: BaseException) -> bool:
    """Words of the backends of torch.distributed."""
    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting", "NCCL")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error))
    )


def _short(error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _end_on_sigterm() -> None:
    """Lightning would go on to the epoch's end, and then report success."""

    def end(*_: object) -> None:
        raise SystemExit(EXIT_TERMINATED)

    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, end)


def _command(args: list[str]) -> Callable[[list[str]], None]:
    name, following = args[0] if args else "", args[1] if len(args) > 1 else ""
    if name in ("", "help", "-h", "--help"):
        return lambda _: print(help_text(), end="")
    if name == "--version":
        return lambda _: print(version_text())
    if not name.startswith("-") and name not in SENTENCES:
        from spx.arguments import nearest

        close, listed = nearest(name, SENTENCES), f"There are: {', '.join(SENTENCES)}"
        close = f"{close} {listed}" if close.endswith("?") else f". {listed}"
        raise SpxError(f"{name!r} is no command{close}; --help says what each does.")
    if name == "resume":
        return _resume
    if name == "predict" and (following in ("", "-h", "--help") or not following.startswith("-")):
        return _own("spx.inference.command:predict_main")
    return _own(PLACES[name]) if name in PLACES else _lightning


def _own(place: str) -> Callable[[list[str]], None]:
    module, function = place.split(":")
    return lambda args: getattr(import_module(module), function)(args[1:])


def _resume(args: list[str]) -> None:
    from spx.run_folder import resume_arguments

    description = "Go on with a run that was stopped or killed. Nothing that its files name is run."
    from spx.arguments import CommandParser

    parser = CommandParser("spx resume", description=description)
    parser.add_argument("run_folder", help="such as lightning_logs/actor/wide/version_0; then arguments of spx fit")
    settings, more = parser.parse_known_args(args[1:])
    arguments = resume_arguments(settings.run_folder)
    from spx.saved_settings import check_saved  # brings torch

    check_saved(settings.run_folder)
    _lightning([*arguments, *more])


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """For imports: what they make stays, hundreds of thousands of objects, and the garbage collector would look through
    them again and again, now and later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # libraries that look for leaks at the end would find all of it


def _lightning(args: list[str]) -> None:
    less_noise()
    with collector_at_rest():
        from spx.cli import SpxCLI
    sys.argv[1:] = args  # where LightningCLI reads them, and processes of other ranks
    SpxCLI()


if __name__ == "__main__":
    main()
