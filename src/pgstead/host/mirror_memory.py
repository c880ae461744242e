"""What this machine remembers of the copy in object storage."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pgstead.host.files import problem
from pgstead.model.mirror import Known, known_of, known_text


class MirrorMemory:
    """`ports.MirrorMemory` in a file; where it is gone, all is read and compared once more."""

    def __init__(self, path: PurePosixPath) -> None:
        """Keep where it lies."""
        self._path = Path(path)

    def load(self) -> Known | None:
        """Return what is remembered; None where that is nothing, or cannot be read."""
        try:
            return known_of(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise problem(error, self._path, "reading") from error

    def save(self, known: Known) -> None:
        """Keep it."""
        temporary = self._path.with_name(f".{self._path.name}.new")
        try:
            temporary.touch(mode=0o600)
            temporary.write_text(known_text(known), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            raise problem(error, self._path, "writing") from error
