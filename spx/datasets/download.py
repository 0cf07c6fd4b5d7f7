"""Raw files from the network: into scratch, checked, and only then into the raw folder."""

from collections.abc import Iterable, Mapping
from http.client import HTTPException
from pathlib import Path

from spx.datasets.archive import check_archive
from spx.datasets.scratch import move_into_place
from spx.errors import DatasetError

_TIMEOUT_SECONDS = 60
_ZIPPED = {".zip", ".npz"}


def fetch_missing(files: Mapping[str, str], raw: Path, scratch: Path) -> None:
    """Fetch those of `files` (file name -> URL) that the folder `raw` does not hold yet.

    Raises DatasetError, with what to put where by hand, when a file can't be fetched or arrives damaged.
    """
    missing = missing_files(files, raw)
    for position, name in enumerate(missing):
        url = files[name]
        try:
            _fetch(url, scratch / name)
            check_whole(scratch / name)
            move_into_place(scratch / name, raw / name)
        except (OSError, HTTPException, ValueError) as error:
            wanted = "".join(f"\n  {files[left]}  as  {raw / left}" for left in missing[position:])
            raise DatasetError(
                f"{name} could not be fetched from {url} ({_short(error)}). "
                f"Load again when the network is up, or put the raw files there by hand:{wanted}"
            ) from error


def missing_files(names: Iterable[str], raw: Path) -> list[str]:
    """Those of `names` that are not files in the folder `raw`."""
    return [name for name in names if not (raw / name).is_file()]


def check_whole(path: Path) -> None:
    """Raise DatasetError for an empty file, and for a zip (.zip, .npz) that is cut off or damaged."""
    if path.stat().st_size == 0:
        raise DatasetError(f"{path.name} is empty")
    if path.suffix in _ZIPPED:
        check_archive(path)


def _fetch(url: str, path: Path) -> None:
    """Download with a progress bar, the announced length enforced. No checksums are published for these."""
    import pooch

    downloader = pooch.HTTPDownloader(progressbar=True, timeout=_TIMEOUT_SECONDS)
    pooch.retrieve(url, known_hash=None, fname=path.name, path=path.parent, downloader=downloader)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"
