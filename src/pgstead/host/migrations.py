"""Alembic as a program: one history per database, on a direct connection as the migrator."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.errors import SteadError

if TYPE_CHECKING:
    from pgstead.model.design import DatabasePlan, Design

_TRIES, _PAUSE = 5, 0.05  # seconds between two
_LONGEST = 3600.0  # seconds; MIG-9 asks for 5 minutes per GB, a stuck lock ends far earlier


class AlembicMigrations:
    """The migrations of a manifest's databases; paths are relative to the manifest."""

    def __init__(self, manifest_directory: Path, cache: Path) -> None:
        """Keep where the scripts lie, and a file that remembers heads by the scripts' digest."""
        self._directory = manifest_directory
        self._cache = cache

    def heads_of(self, migrations: str) -> tuple[str, ...]:
        """Return the revisions that a folder's scripts lead to, sorted; none without scripts.

        Importing Alembic costs more than a whole warm `up`, hence the memory.
        """
        folder = self._directory / migrations
        if not migrations or not (folder / "alembic.ini").exists():
            return ()
        digest = _digest(folder)
        known = self._remembered()
        if digest not in known:
            known[digest] = _read_heads(folder)
            self._remember(known)
        return tuple(known[digest])

    def heads(self, plan: DatabasePlan) -> tuple[str, ...]:
        """Return the revisions that the scripts of a database lead to."""
        return self.heads_of(plan.migrations)

    def upgrade(self, plan: DatabasePlan, design: Design, *, reason: str = "") -> None:
        """Run `alembic upgrade heads`; the ledger keeps the reason.

        Raises SteadError with Alembic's last words.
        """
        folder = self._directory / plan.migrations
        environment = {
            **os.environ,
            "PGSTEAD_CONNECTION": str(design.layout.connection(plan.name)),
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(self._directory), os.environ.get("PYTHONPATH", "")))
            ),
        }
        told = ["-x", f"reason={reason}"] if reason else []
        alembic = [sys.executable, "-m", "alembic", "-c", "alembic.ini", *told]
        command = [*alembic, "upgrade", "heads"]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_LONGEST,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SteadError(f"migrating {plan.name!r} failed: {error}") from error
        if done.returncode != 0:
            words = [line for line in done.stderr.splitlines() if line.strip()][-4:]
            raise SteadError(
                f"migrating {plan.name!r} failed: {' / '.join(words) or 'no output'}",
                hint=f"run `alembic upgrade head` in {plan.migrations} to see all of it",
            )

    def _remembered(self) -> dict[str, list[str]]:
        try:
            return json.loads(self._cache.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _remember(self, known: dict[str, list[str]]) -> None:
        if self._cache.parent.is_dir() and os.access(self._cache.parent, os.W_OK):
            partial = self._cache.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(known), encoding="utf-8")
            partial.replace(self._cache)


def _digest(folder: Path) -> str:
    """Return what tells the scripts of a folder from others. Raises SteadError."""
    for _ in range(_TRIES):
        told = hashlib.sha256(str(folder).encode())
        try:
            for script in sorted(scripts(folder)):
                told.update(script.read_bytes())
            told.update((folder / "alembic.ini").read_bytes())
        except FileNotFoundError:
            time.sleep(_PAUSE)  # as `git switch` takes files away; others may come
            continue
        return told.hexdigest()
    raise SteadError(
        f"the migrations in {folder} change while they are read",
        hint="run it again when `ls` shows them as they are to be; a link there may lead nowhere",
    )


def scripts(folder: Path) -> Iterator[Path]:
    """Yield the scripts below a folder.

    Not by `Path.rglob`, which fails where a directory goes while it looks: whoever imports a
    revision makes a `__pycache__`, and whoever cleans up removes it. `os.walk` passes over it.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(place, name) for name in names if name.endswith(".py"))


def _read_heads(folder: Path) -> list[str]:
    from alembic.config import Config  # noqa: PLC0415  heavy, and only when scripts changed
    from alembic.script import ScriptDirectory  # noqa: PLC0415  as above
    from alembic.util import CommandError  # noqa: PLC0415  as above

    config = Config(str(folder / "alembic.ini"))
    location = config.get_main_option("script_location") or ""
    if ":" not in location and not Path(location).is_absolute():
        # Alembic takes it from the working directory, which `alembic` runs in and this does not
        beside = str(folder / location).replace("%", "%%")
        config.set_main_option("script_location", beside)
    try:
        scripts = ScriptDirectory.from_config(config)
        return sorted(scripts.get_heads())
    except Exception as error:  # the files of the revisions are executed here
        told = error if isinstance(error, CommandError) else f"{type(error).__name__}: {error}"
        raise SteadError(
            f"the migrations in {folder} cannot be read: {told}",
            hint="run `alembic heads` there",
        ) from error
