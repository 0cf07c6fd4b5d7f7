"""Folders of runs: a free number, which runs nobody else works on, and damaged ones set aside."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from spx.errors import ArtifactError, ConfigError
from spx.files import reason
from spx.run_folder import BEST_CHECKPOINT, DAMAGED, LAST_CHECKPOINT, LOCK_FILE, SCORES_FILE, claim_version

STUDY_LOCK = ".study.lock"
"""Held by a study from before a run's settings are written until its process has ended: that takes `LOCK_FILE` late."""
CHUNK_BYTES = 1 << 24
TENSORS = ("indptr", "source", "edge_type", "scores")
"""Of a score file, in the order that its fingerprint takes them."""
DTYPES = {"I64": "torch.int64", "I32": "torch.int32", "U8": "torch.uint8", "F32": "torch.float32"}


@contextmanager
def held_run(folder: Path, known: Sequence[Path] = ()) -> Iterator[tuple[Path, bool]]:
    """Give a run that no other process works on, until the block ends, and whether it was there before.

    Args:
        folder: of runs of one name.
        known: runs that would do, the best first; a new one where none of them is free.

    Raises:
        ConfigError: the folder can't be written.
    """
    for run in known:
        with _held(run) as free:
            if free:
                yield run, True
                return
    run = claim_version(folder)
    with _held(run) as free:
        if not free:
            raise ConfigError(f"The run's folder {run} can't be locked. Choose another disk with --runs_dir.")
        yield run, False


def can_resume(run: Path) -> bool:
    """Whether the run was stopped, and isn't still going on in another process."""
    return all(_is_free(run / name) for name in (STUDY_LOCK, LOCK_FILE))


def without_damaged(runs: Sequence[Path]) -> list[Path]:
    """The runs whose files are whole; the others are set aside, which a line for each says.

    Runs that another process works on are left alone.
    """
    return [run for run in runs if not _set_aside_if_damaged(run)]


def scores_digest(path: Path) -> str:
    """Of a score file's header, which holds the fingerprint of its tensors.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    return hashlib.sha256(_read_header(path)).hexdigest()


@contextmanager
def _held(run: Path) -> Iterator[bool]:
    """Hold the run's folder as a study does; False where another process has it."""
    lock = FileLock(run / STUDY_LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield _is_free(run / LOCK_FILE)
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _is_free(path: Path) -> bool:
    if not os.path.lexists(path):
        return True
    try:  # a process that was killed leaves the file, but not the lock
        with FileLock(path).acquire(timeout=0):
            return True
    except (Timeout, OSError):
        return False


def _set_aside_if_damaged(run: Path) -> bool:
    with _held(run) as free:
        problem = _damage(run) if free else None
        if problem is None:
            return False
        place = run.parent / DAMAGED / run.name
        try:
            place.parent.mkdir(exist_ok=True)
            while os.path.lexists(place):
                place = place.with_name(f"{place.name}-")
            run.rename(place)
        except OSError as error:
            raise ConfigError(f"{run} is damaged ({problem}) and can't be moved: {reason(error)}.") from error
    print(f"{run} is damaged: {problem}. It was set aside as {place}, and is made anew.", flush=True)
    return True


def _damage(run: Path) -> str | None:
    """What of a run's files can't be read, so that going on with them would fail each time."""
    for name in (LAST_CHECKPOINT, BEST_CHECKPOINT):
        if (run / name).is_file():
            try:
                with zipfile.ZipFile(run / name) as archive:
                    if (member := archive.testzip()) is not None:
                        return f"{name} has a wrong checksum ({member})"
            except Exception as error:  # whatever a damaged file makes its reader raise
                return f"{name} can't be read ({type(error).__name__})"
    if (run / SCORES_FILE).is_file():
        try:
            _check_scores(run / SCORES_FILE)
        except (ArtifactError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            return f"{SCORES_FILE} isn't what was written ({type(error).__name__})"
    return None


def _read_header(path: Path) -> bytes:
    """The text of a safetensors file's header, of which no more is read than the file has."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= size - 8:
                raise ArtifactError(
                    f"{path} is no score file, or a damaged one: it has {size:,} bytes and announces a header of "
                    f"{length:,}. Run the estimator's fit again."
                )
            return file.read(length)
    except OSError as error:
        raise ArtifactError(
            f"The score file {path} can't be read: {reason(error)}. Run the estimator's fit again."
        ) from error


def _check_scores(path: Path) -> None:
    """Compare the file with the fingerprint in its header, as `spx.graph.scores.load_scores` does, but without torch.

    Raises:
        ValueError: it has another; or what a damaged file makes its reader raise.
    """
    header = _read_header(path)
    content = json.loads(header)
    made_from = json.loads(content["__metadata__"]["spx"])
    described = json.dumps({**made_from, "fingerprint": ""}, sort_keys=True)
    digest = _digest(path, 8 + len(header), content)
    if hashlib.sha256((described + digest).encode()).hexdigest() != made_from["fingerprint"]:
        raise ValueError("another fingerprint")


def _digest(path: Path, start: int, content: dict[str, Any]) -> str:
    """SHA-256 over types, shapes and values of the tensors (`spx.graph.csr.fingerprint`)."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for name in TENSORS:
            begin, end = content[name]["data_offsets"]
            digest.update(f"{DTYPES[content[name]['dtype']]}{tuple(content[name]['shape'])}".encode())
            file.seek(start + begin)
            left = end - begin
            while left > 0 and (part := file.read(min(left, CHUNK_BYTES))):
                digest.update(part)
                left -= len(part)
            if left:
                raise ValueError("it is cut off")
    return digest.hexdigest()
