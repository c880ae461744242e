"""Looking for plaintext where none may be: data files, WAL, temporary files, logs, dumps."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LEAST = 8  # bytes; anything shorter is found by chance
_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class Trace:
    """A plaintext that was found, by its name: never the plaintext itself."""

    name: str
    where: str


@dataclass(frozen=True, slots=True)
class Search:
    """What was looked through, and what was found."""

    files: int
    size: int  # bytes
    traces: tuple[Trace, ...]


def forms(plain: bytes) -> tuple[bytes, ...]:
    """Return what a plaintext may look like: as it is, as hex (bytea in logs), as base64.

    Base64 of a text inside another one has three forms, by where it begins; the characters at
    their ends depend on the neighbours and are left out.
    """
    found = {plain, plain.hex().encode(), plain.hex().upper().encode()}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        start = (0, 2, 3)[shift]
        end = len(coded) - (0 if (len(plain) + shift) % 3 == 0 else 4)
        if end - start >= LEAST:
            found.add(coded[start:end])
    return tuple(sorted(found))


def search(places: Iterable[Path], plain: Mapping[str, bytes]) -> Search:
    """Look for plaintexts in files and below folders. A file that goes away meanwhile held none."""
    needles = {name: forms(p) for name, p in plain.items() if len(p) >= LEAST}
    files = size = 0
    traces: list[Trace] = []
    for path in files_in(places):
        try:
            found, length = _of_file(path, needles)
        except FileNotFoundError:
            continue
        files, size = files + 1, size + length
        traces += [Trace(name, str(path)) for name in found]
    return Search(files, size, tuple(traces))


def files_in(places: Iterable[Path]) -> Iterator[Path]:
    """Yield the files in places; what goes while they are looked at is none (os.walk)."""
    for place in places:
        if place.is_file():
            yield place
        for folder, _folders, names in os.walk(place):
            yield from (Path(folder, n) for n in names if Path(folder, n).is_file())


def _of_file(path: Path, needles: Mapping[str, tuple[bytes, ...]]) -> tuple[list[str], int]:
    longest = max((len(f) for many in needles.values() for f in many), default=0)
    found: dict[str, None] = {}
    tail, length = b"", 0
    with path.open("rb") as file:
        while part := file.read(_PART):
            found.update(dict.fromkeys(in_bytes(tail + part, needles)))
            tail, length = (tail + part)[-longest:], length + len(part)
    return list(found), length


def in_bytes(data: bytes, needles: Mapping[str, tuple[bytes, ...]]) -> list[str]:
    """Return the names of the plaintexts that the data holds in any form."""
    return [name for name, many in needles.items() if any(form in data for form in many)]


def dump(program: str, socket: str, port: int, user: str, database: str, library: str) -> bytes:
    """Return a plain dump of a database, made by pg_dump over the administrative socket.

    Raises CalledProcessError.
    """
    environment = {"PATH": os.defpath, **({"LD_LIBRARY_PATH": library} if library else {})}
    command = [program, "-h", socket, "-p", str(port), "-U", user, "--no-password", "-d", database]
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout
