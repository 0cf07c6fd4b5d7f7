"""Where a graph comes from: raw files that are fetched, parsed and cached, or a generator."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from spx.datasets.cache import FORMAT, OLDER, Stamp, raw_stamp, read_cache, write_cache
from spx.datasets.download import fetch_missing, missing_files
from spx.datasets.scratch import scratch_folder
from spx.datasets.types import GraphTensors
from spx.errors import DatasetError
from spx.graph.features import SparseFeatures, has_few_entries


class Source(Protocol):
    """Anything that gives a graph."""

    def load(self, data_dir: Path) -> GraphTensors:
        """The graph, its raw files being kept below `data_dir`."""

    def by_hand(self, data_dir: Path) -> str:
        """What to fetch by hand from where, and where to put it."""


@dataclass(frozen=True)
class RawFiles:
    """Raw files in `<data_dir>/<folder>/<raw>`, parsed once into `<data_dir>/<folder>/processed`.

    files   file name -> URL to fetch it from, or "" where only a person can fetch it
    parse   (folder with the raw files, empty scratch folder) -> graph
    origin  where a person finds the files, if not at the URLs
    sparse  whether they hold the features' entries alone, which stay so
    """

    folder: str
    files: Mapping[str, str]
    parse: Callable[[Path, Path], GraphTensors]
    raw: str = "raw"
    origin: str = ""
    sparse: bool = False

    def load(self, data_dir: Path) -> GraphTensors:
        """Read the cache; if there is none, fetch what is missing and parse, under a lock.

        A folder that has all raw files may be one that can't be written: the cache then goes to the user's own.
        Raises DatasetError for raw files that can't be had or can't be parsed, and for a folder that
        can't be written.
        """
        home = data_dir / self.folder
        place = home
        if (graph := self._cached(home, place)) is None:
            whole = not missing_files(self.files, home / self.raw) or self._cache_file(home, OLDER).is_file()
            if home.is_dir() and not os.access(home, os.W_OK) and whole:
                place = _own_cache(home)
            with scratch_folder(place) as scratch:
                if (graph := self._cached(home, place)) is None:  # no other process has made it meanwhile
                    graph = self._prepare(home, place, scratch)
        return graph

    def by_hand(self, data_dir: Path) -> str:
        return self._wanted(data_dir / self.folder / self.raw)

    def _wanted(self, raw: Path) -> str:
        return "\n".join(f"  {url or self.origin}  as  {raw / name}" for name, url in self.files.items())

    def _prepare(self, home: Path, place: Path, scratch: Path) -> GraphTensors:
        raw = home / self.raw
        stamp = raw_stamp(self.files, raw)
        if (graph := read_cache(self._cache_file(home, OLDER), stamp)) is None:
            graph, stamp = self._parsed(raw, scratch)
        if isinstance(graph.x, Tensor) and (self.sparse or has_few_entries(graph.x)):
            graph = graph._replace(x=SparseFeatures.from_dense(graph.x))
        try:
            write_cache(graph, self._cache_file(place), stamp, scratch)
        except OSError as error:
            raise DatasetError(
                f"the parsed graph could not be written to {self._cache_file(place)} ({error}): make room or "
                "choose another data_dir"
            ) from error
        return self._cached(home, place) or graph

    def _parsed(self, raw: Path, scratch: Path) -> tuple[GraphTensors, Stamp]:
        if missing_files(self.files, raw) and self.origin:
            raise DatasetError(f"a raw file is missing and only a person can fetch it:\n{self._wanted(raw)}")
        fetch_missing(self.files, raw, scratch)
        stamp = raw_stamp(self.files, raw)
        return self._parse(raw, scratch), stamp

    def _parse(self, raw: Path, scratch: Path) -> GraphTensors:
        try:
            return self.parse(raw, scratch)
        except (DatasetError, ImportError, MemoryError):
            raise
        except Exception as error:  # whatever a damaged file makes its parser raise
            names = ", ".join(self.files)
            raise DatasetError(
                f"the raw files in {raw} can't be parsed ({type(error).__name__}: {str(error)[:300]}). "
                f"If one of {names} is damaged or of another version, delete it and load again"
            ) from error

    def _cached(self, home: Path, place: Path) -> GraphTensors | None:
        return read_cache(self._cache_file(place), raw_stamp(self.files, home / self.raw))

    def _cache_file(self, place: Path, version: str = FORMAT) -> Path:
        return place / "processed" / f"{version}.safetensors"


def _own_cache(home: Path) -> Path:
    """The user's folder for what belongs to `home` and can't be written there."""
    import pooch

    return Path(pooch.os_cache("spx"), "datasets", hashlib.sha256(str(home).encode()).hexdigest()[:16])


@dataclass(frozen=True)
class Generated:
    """A graph that is computed, with nothing on disk."""

    make: Callable[[], GraphTensors]

    def load(self, data_dir: Path) -> GraphTensors:
        return self.make()

    def by_hand(self, data_dir: Path) -> str:
        return "nothing to fetch: it is generated"
