"""Files with a few bytes changed, as damage or malice would."""

import io
import random
import zipfile
from pathlib import Path

import pytest


def budget(few: int, many: int) -> pytest.MarkDecorator:
    """A test takes `count`: few every day, many in full."""
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.full)])


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The bytes after one to four flips, replacements, insertions, repeats, cuts, or numbers of extreme size."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(damaged) + 1)
        kind = rng.randrange(7)
        if kind == 0 and place < len(damaged):
            damaged[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and place < len(damaged):
            damaged[place] = rng.randrange(256)
        elif kind == 2:
            damaged[place:place] = rng.randbytes(rng.randrange(1, 6))
        elif kind == 3:
            damaged[place:place] = damaged[place : place + rng.randrange(40)]
        elif kind == 4:
            del damaged[place : place + rng.choice((1, 1, 5, 50, len(damaged)))]
        elif kind == 5:
            damaged[place : place + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"99999999", b"-1"))
        else:
            damaged[place : place + 1] = rng.choice((b",", b"\n", b'"', b"", b"nan", b"1e999", b"\r\n", b"-"))
    return bytes(damaged)


def mutated_member(content: bytes, rng: random.Random) -> bytes:
    """A zip with one member mutated and its checksums right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = rng.choice(list(members))
    members[chosen] = mutated(members[chosen], rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return packed.getvalue()


def damage(file: Path, rng: random.Random) -> None:
    """Mutate the file in place: all of it, or (of two zips in three) one member."""
    content = file.read_bytes()
    inside = file.suffix in (".npz", ".pt") and rng.random() < 2 / 3
    file.write_bytes(mutated_member(content, rng) if inside else mutated(content, rng))
