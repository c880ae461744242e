"""What masked copies are made with: pg_dump and pg_restore, and the key of the pseudonyms."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from pgstead.errors import PersonalDataError, StateDirectoryError
from pgstead.host import pipeline
from pgstead.host.files import problem, sync_directory
from pgstead.host.pipeline import Stage
from pgstead.model.design import Design

_LONG = 24 * 3600.0
_KEY = 32  # bytes


class DatabaseCopies:
    """`ports.personal.Copies` by PostgreSQL's own programs, as the servers' user (peer)."""

    def __init__(self, design: Design) -> None:
        """Keep which programs, and where the server is."""
        self._design = design

    def copy(self, source: str, target: str) -> None:
        """Fill an empty database with all of another one but its change history."""
        _run([
            self._stage("pg_dump", "--format", "custom", "--compress", "none",
                        "--exclude-table-data", "pgstead_audit.*", "--dbname", source),
            self._stage("pg_restore", "--exit-on-error", "--dbname", target),
        ], f"copying {source}")  # fmt: skip

    def dump(self, database: str, file: Path) -> None:
        """Write a database to a new file of mode 0600; it has its name when it is whole."""
        part = file.with_name(f".{file.name}.part")
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise problem(error, part, "writing") from error
        try:
            told = [self._stage("pg_dump", "--format", "custom", "--dbname", database)]
            _run(told, f"writing {file}", handle)
            os.fsync(handle)
            part.rename(file)
        except OSError as error:
            raise problem(error, part, "writing") from error
        finally:
            os.close(handle)
            part.unlink(missing_ok=True)

    def _stage(self, program: str, *arguments: str) -> Stage:
        build, layout = self._design.build, self._design.layout
        reached = ["--host", str(layout.socket), "--port", self._design.settings["port"]]
        command = [str(Path(build.bindir, program)), *reached, "--no-password"]
        library = {"LD_LIBRARY_PATH": build.library_path} if build.library_path else None
        named = ["--username", self._design.superuser]
        return Stage([*command, *named, *arguments], self._design.host.server_user, library)


def _run(stages: Sequence[Stage], doing: str, output: int | None = None) -> None:
    outcomes = pipeline.run(stages, output, timeout=_LONG)
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        # what a program says last is why; the data of a row is in no message of these two
        told = " ".join(failed[-1].err.split())[-300:]
        raise PersonalDataError(
            f"{doing} failed: {told}", hint="`df -h` shows whether there is room"
        )


def key_at(path: Path) -> bytes:
    """Return the key of the pseudonyms, made where there is none. Raises StateDirectoryError."""
    _make_key(path)
    text = path.read_text(encoding="ascii").strip()
    if len(text) != 2 * _KEY:
        raise StateDirectoryError(
            f"{path} holds no key of {_KEY} bytes",
            hint="remove it: the next masked copy gets other pseudonyms",
        )
    return bytes.fromhex(text)


def _make_key(path: Path) -> None:
    """Make a key where there is none, whole or not at all; of several the first one's holds."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(_KEY))
                file.flush()
                os.fsync(handle)
            os.link(temporary, path)  # unlike a rename it replaces nothing
        finally:
            temporary.unlink()
        sync_directory(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise problem(error, path, "writing") from error
