"""The journal: what was done, one JSON object a line, on the disk before the next step."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pgstead.host import clock, programs
from pgstead.host.files import problem


class JsonJournal:
    """`ports.Journal` as a file of JSON lines."""

    def __init__(self, path: PurePosixPath) -> None:
        """Keep the path; the file is made with the first event."""
        self._path = path

    def record(self, event: str, **details: object) -> None:
        """Append one line and fsync it. Details carry no secret."""
        entry = {"time": clock.stamp(), "pid": os.getpid(), "user": programs.my_name()}
        entry |= {"event": event, **details}
        line = json.dumps(entry, default=str, ensure_ascii=False).encode() + b"\n"
        try:
            Path(self._path.parent).mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                # A line that a crash cut short must not swallow this one.
                size = os.fstat(handle).st_size
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
                os.write(handle, b"\n" + line if torn else line)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise problem(error, self._path, "writing the journal") from error

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Yield what was recorded, oldest first; lines that a crash cut short are left out."""
        try:
            lines = Path(self._path).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue
