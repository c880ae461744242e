"""Log files below the state directory: which there are, their last lines, what comes next."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Logs = Mapping[str, list[Path]]
"""Files by the name of the log, oldest first: the server's collector starts new ones."""

_CHUNK = 64 * 1024
_PAUSE = 0.25
_LONGEST_LINE = 1024 * 1024


def known(state: Path) -> dict[str, list[Path]]:
    """Return the logs that exist, with the server's own in front of what it wrote before."""
    found: dict[str, list[Path]] = {}
    collected = [p for p in (state / "server" / "log").glob("*") if p.suffix in {".log", ".json"}]
    readable = [path for path in collected if path.suffix == ".log"] or collected
    for path in [*(state / "log").glob("*.log"), *(state / "pooler").glob("*.log")]:
        found.setdefault(_name(path), []).append(path)
    if readable:
        found["postgres"] = [*found.get("postgres", []), *readable]
    return {name: sorted(paths, key=_age) for name, paths in sorted(found.items())}


def _name(path: Path) -> str:
    """Undo model.layout.file_label: `=c3a4` stands for a letter that a file name cannot have."""
    head, *rest = path.stem.split("=")
    return head + "".join(_letter(part) for part in rest)


def _letter(part: str) -> str:
    for width in (2, 4, 6, 8):
        try:
            return bytes.fromhex(part[:width]).decode() + part[width:]
        except ValueError:
            continue
    return f"={part}"


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def last_lines(paths: list[Path], count: int) -> list[str]:
    """Return the last lines over all files of a log, read from the end."""
    lines: deque[str] = deque()
    for path in reversed(paths):
        if len(lines) >= count:
            break
        lines.extendleft(reversed(_tail(path, count - len(lines))))
    return list(lines)


def _tail(path: Path, count: int) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            block = b""
            while size > 0 and block.count(b"\n") <= count and len(block) < 64 * _LONGEST_LINE:
                step = min(_CHUNK, size)
                size -= step
                file.seek(size)
                block = file.read(step) + block
    except OSError:
        return []
    lines = block.decode("utf-8", "replace").splitlines()
    return lines[-count:] if count else []


@dataclass
class _Reader:
    """A file that is read on from where it was left."""

    path: Path
    position: int
    inode: int
    rest: bytes = b""

    def lines(self) -> Iterator[str]:
        """Yield the whole lines that were added; begin anew where the file was replaced."""
        try:
            with self.path.open("rb") as file:
                facts = self.path.stat()
                if facts.st_ino != self.inode or facts.st_size < self.position:
                    self.position, self.inode, self.rest = 0, facts.st_ino, b""
                file.seek(self.position)
                added = file.read()
        except OSError:
            return
        self.position += len(added)
        *whole, self.rest = (self.rest + added).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")


def follow(look: Callable[[], Logs]) -> Iterator[tuple[str, str]]:
    """Yield (log, line) of what is added from now on, in new files too. Never ends."""
    readers: dict[Path, _Reader] = {}
    first = True
    while True:
        for log, paths in look().items():
            for path in paths:
                if path not in readers:
                    readers[path] = _reader(path, from_start=not first)
                for line in readers[path].lines():
                    yield log, line
        first = False
        time.sleep(_PAUSE)


def _reader(path: Path, *, from_start: bool) -> _Reader:
    try:
        facts = path.stat()
    except OSError:
        return _Reader(path, 0, 0)
    return _Reader(path, 0 if from_start else facts.st_size, facts.st_ino)
