"""Logs that programs write in turn into a few files, read once and in order.

The server overwrites last week's file (log_truncate_on_rotation): same name, same inode. What
tells one content from the next is its first line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgstead.host.files import problem
from pgstead.ports.audit import Mark, Stretch

_AT_ONCE = 4 << 20  # bytes of one look
_FIRST = 4096  # bytes of the first line that tell the content; its time is in them


@dataclass(frozen=True, slots=True)
class _Content:
    """What a file holds now."""

    path: Path
    first: bytes  # the beginning of its first line, which begins with the time or holds it

    @property
    def born(self) -> str:
        return hashlib.sha256(self.first).hexdigest()[:16]


class RotatedLog:
    """`ports.audit.LogReader` over the files of a pattern."""

    def __init__(self, folder: Path, pattern: str) -> None:
        """Keep where they lie."""
        self._folder = folder
        self._pattern = pattern

    def read(self, mark: Mark) -> Stretch:
        """Return what follows on a mark, from one file. Raises StateDirectoryError."""
        try:
            return self._read(mark)
        except OSError as error:
            raise problem(error, self._folder, "reading the logs in") from error

    def _read(self, mark: Mark) -> Stretch:
        contents = list(self._contents())
        at = next((i for i, c in enumerate(contents) if _is(c, mark)), None)
        if at is not None:
            found = _stretch(contents[at], mark.offset)
            if found.lines or found.more or at + 1 == len(contents):
                return found
            return _stretch(contents[at + 1], 0)
        if not contents:
            return Stretch(())
        gap = f"{mark.file} was overwritten before it was read to its end" if mark.file else ""
        return _stretch(contents[0], 0, gap)

    def _contents(self) -> Iterator[_Content]:
        """Yield the files that hold a whole line, in the order in which they were begun."""
        found: list[tuple[int, _Content]] = []
        for path in self._folder.glob(self._pattern):
            with path.open("rb") as file:
                first = file.readline(_FIRST)
            if first.endswith(b"\n") or len(first) == _FIRST:
                found.append((path.stat().st_mtime_ns, _Content(path, first)))
        # each is written to until the next one begins: the last change orders them as well
        yield from (content for _, content in sorted(found, key=lambda pair: pair[0]))


def _is(content: _Content, mark: Mark) -> bool:
    return content.path.name == mark.file and content.born == mark.born


def _stretch(content: _Content, offset: int, gap: str = "") -> Stretch:
    with content.path.open("rb") as file:
        file.seek(offset)
        found = file.read(_AT_ONCE)
    whole = found.rfind(b"\n") + 1
    lines: list[tuple[Mark, bytes]] = []
    at = offset
    for line in found[:whole].splitlines(keepends=True):
        at += len(line)
        lines.append((Mark(content.path.name, content.born, at), line.rstrip(b"\n")))
    return Stretch(tuple(lines), gap, more=len(found) == _AT_ONCE)
