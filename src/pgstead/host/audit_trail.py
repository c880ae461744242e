"""The trail as files: one a day, JSON lines, each with the hash over itself and the one before.

Nobody but the owner of the state may enter the directory; the servers' user is another one where
the stead was made by root. Heads are noted beside the trail and in the journal, so that records
cut off its end are missed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from pgstead.host.files import problem
from pgstead.host.journal import JsonJournal
from pgstead.model.audit import GENESIS, Head, Kind, Place, Record, parsed

_PREFIX, _SUFFIX = "trail-", ".jsonl"
_TAIL = 1 << 16
_ANCHOR = "audit-head"  # the journal's word


class TrailFiles:
    """`ports.audit.TrailStore` in a directory."""

    def __init__(self, directory: Path, journal: JsonJournal) -> None:
        """Keep where they lie; they are made by who writes first."""
        self._directory = directory
        self._journal = journal

    @contextmanager
    def writing(self) -> Generator[None]:
        """Hold the trail. Raises StateDirectoryError."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise problem(error, self._directory, "holding the trail in") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def head(self) -> Head:
        """Return what the next record follows on: what was noted, where the files say less."""
        noted, found = self._noted(), self._last()
        return noted if noted.seq >= found.seq else found

    def append(self, bodies: Sequence[Mapping[str, Any]]) -> Head:
        """Write records. Raises StateDirectoryError."""
        head = self.head()
        if not bodies:
            return head
        now = datetime.now(UTC)
        path = self._directory / f"{_PREFIX}{now.date().isoformat()}{_SUFFIX}"
        lines: list[str] = []
        if not path.exists():
            at = now.isoformat(timespec="milliseconds")
            opened = {"at": at, "kind": Kind.OPENED.value, "previous": head.hash}
            bodies = [opened, *bodies]
            self._journal.record(_ANCHOR, seq=head.seq, hash=head.hash)
        for body in bodies:
            record = Record.after(head, body)
            lines.append(record.line())
            head = Head(record.seq, record.hash)
        try:
            _write(path, "".join(f"{line}\n" for line in lines).encode())
            self._keep("head.json", {"seq": head.seq, "hash": head.hash})
        except OSError as error:
            raise problem(error, path, "writing the trail") from error
        return head

    def lines(self, since: date | None = None) -> Iterator[tuple[str, str]]:
        """Yield the lines, oldest first. Raises StateDirectoryError."""
        for day, path in self._files():
            if since is not None and day < since:
                continue
            try:
                for number, line in enumerate(_whole_lines(path, 0), 1):
                    yield f"{path.name}:{number}", line.decode(errors="replace")
            except OSError as error:
                raise problem(error, path, "reading the trail") from error

    def records(self, since: date | None = None) -> Iterator[tuple[str, Record | None]]:
        """Yield the records, oldest first. Raises StateDirectoryError."""
        return ((where, _record(line)) for where, line in self.lines(since))

    def following(self, after: Place | date) -> Iterator[tuple[Place, Record | None]]:
        """Yield the records behind a place or from a day on. Raises StateDirectoryError."""
        place, since = (after, None) if isinstance(after, Place) else (None, after)
        for day, path in self._files():
            if (place and path.name < place.file) or (since and day < since):
                continue
            # the file of a place may be gone by retention: the next ones are read from the first
            at = place.offset if place is not None and path.name == place.file else 0
            try:
                for line in _whole_lines(path, at):
                    at += len(line)
                    yield Place(path.name, at), _record(line.decode(errors="replace"))
            except OSError as error:
                raise problem(error, path, "reading the trail") from error

    def end(self) -> Place | None:
        """Return the place behind the last record, None where there is none yet."""
        files = self._files()
        if not files:
            return None
        path = files[-1][1]
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                torn = _torn(file.fileno(), size)
        except OSError as error:
            raise problem(error, path, "reading the trail") from error
        return Place(path.name, size - len(torn))

    def anchors(self) -> Iterable[Head]:
        """Yield the heads in the journal, and the one beside the trail."""
        for told in self._journal.events():
            if told.get("event") == _ANCHOR:
                yield Head(int(told["seq"]), str(told["hash"]))
        yield self._noted()

    def aged(self, before: date) -> Sequence[tuple[str, Head]]:
        """Return files of days before one, each with its last record. Raises StateDirectoryError.

        The newest is not among them: the chain goes on from it.
        """
        return [(path.name, _last_of(path)) for day, path in self._files()[:-1] if day < before]

    def remove(self, name: str) -> None:
        """Remove a file. Raises StateDirectoryError."""
        path = self._directory / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise problem(error, path, "removing from the trail") from error

    def notes(self) -> Mapping[str, Any]:
        """Return the notes; none where they cannot be read: the logs are read anew then."""
        return self._kept("notes.json")

    def note(self, notes: Mapping[str, Any]) -> None:
        """Replace the notes. Raises StateDirectoryError."""
        try:
            # the logs are read again from older notes; what is in the trail is not written twice
            self._keep("notes.json", notes, sync=False)
        except OSError as error:
            raise problem(error, self._directory, "writing notes to") from error

    def _files(self) -> list[tuple[date, Path]]:
        found: list[tuple[date, Path]] = []
        for path in self._directory.glob(f"{_PREFIX}*{_SUFFIX}"):
            try:
                day = date.fromisoformat(path.name[len(_PREFIX) : -len(_SUFFIX)])
            except ValueError:
                continue
            found.append((day, path))
        return sorted(found)

    def _last(self) -> Head:
        files = self._files()
        return _last_of(files[-1][1]) if files else Head()

    def _noted(self) -> Head:
        told = self._kept("head.json")
        return Head(int(told.get("seq", 0)), str(told.get("hash", GENESIS)))

    def _kept(self, name: str) -> Mapping[str, Any]:
        try:
            told: Any = json.loads((self._directory / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}  # pyright: ignore[reportUnknownVariableType]

    def _keep(self, name: str, told: Mapping[str, Any], *, sync: bool = True) -> None:
        path = self._directory / name
        made = path.with_suffix(".new")
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, json.dumps(told, default=str).encode())
            if sync:
                os.fsync(handle)
        finally:
            os.close(handle)
        made.replace(path)


def _whole_lines(path: Path, at: int) -> Iterator[bytes]:
    """Yield the lines from a place on; one without its end is still being written."""
    with path.open("rb") as file:
        file.seek(at)
        yield from takewhile(lambda line: line.endswith(b"\n"), file)


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(handle).st_size
        # a line that a crash cut short must not swallow the next one
        if size and os.pread(handle, 1, size - 1) != b"\n":
            os.ftruncate(handle, size - len(_torn(handle, size)))
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _torn(handle: int, size: int) -> bytes:
    step = min(size, _TAIL * 16)
    return os.pread(handle, step, size - step).rpartition(b"\n")[2]


def _last_of(path: Path) -> Head:
    """Return the last whole record of a file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            step = min(size, _TAIL * 16)
            file.seek(size - step)
            lines = file.read().splitlines()
    except OSError as error:
        raise problem(error, path, "reading the trail") from error
    for line in reversed(lines):
        record = _record(line.decode(errors="replace"))
        if record is not None:
            return Head(record.seq, record.hash)
    return Head()


def _record(line: str) -> Record | None:
    try:
        return parsed(line)
    except ValueError:
        return None
