"""Memory of a forked process made what it would be had the process started by itself.

A fork takes along what a process has written, but not which pages of files it has mapped: the code of libraries. They
would be missing in the process's resident memory, some 200 MB, until they are used.
"""

import ctypes
import mmap
from pathlib import Path

POPULATE_READ = 22  # MADV_POPULATE_READ: Linux 5.14 or newer; older ones refuse it, and the memory stays smaller


def mapped_pages() -> list[tuple[int, int]]:
    """Runs of pages of files that are resident in this process: address and bytes of each. Linux; empty elsewhere."""
    runs: list[tuple[int, int]] = []
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            for line in lines:
                places, access, _, _, inode, *_ = line.split()
                if inode != "0" and access[0] == "r":
                    first, last = (int(place, 16) for place in places.split("-"))
                    runs += _resident(pagemap, first, last)
    except OSError:
        return []
    return runs


def map_pages(runs: list[tuple[int, int]]) -> None:
    """Let pages be resident in this process, too."""
    advise = ctypes.CDLL(None).madvise
    for address, length in runs:
        advise(ctypes.c_void_p(address), ctypes.c_size_t(length), POPULATE_READ)


def _resident(pagemap, first: int, last: int) -> list[tuple[int, int]]:
    import numpy as np  # not before the server ends with what has started it

    pagemap.seek(first // mmap.PAGESIZE * 8)
    entries = np.frombuffer(pagemap.read((last - first) // mmap.PAGESIZE * 8), dtype=np.uint64)
    present = np.concatenate(([0], (entries >> np.uint64(63)).astype(np.int8), [0]))
    ends = np.flatnonzero(np.diff(present)).reshape(-1, 2) * mmap.PAGESIZE
    return [(first + int(begin), int(end - begin)) for begin, end in ends]
