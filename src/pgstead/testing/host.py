"""The process beside the tests: brings their stead up, and removes it when nobody needs it.

`python -m pgstead.testing.host DIRECTORY` reads `request.json`, answers in `answer.json` and
waits for the lease. Who needs the stead holds a shared lock on the file `lease`; the kernel lets
go of it whatever becomes of the holder, so `kill -9` of the tests ends the servers too.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from pgstead.errors import SteadError
from pgstead.host import state
from pgstead.testing import template
from pgstead.testing.place import ANSWER, HOST, LEASE, MARK, REQUEST, Answer, Place, Request

_RESERVED_PREFIXES = ("PG", "PGSTEAD_")
_OTHER_DATABASES = ("DATABASE_URL", "POSTGRES_", "PGBOUNCER_")


def main(directory: Path) -> int:
    """Bring up, answer, wait, remove. Return the exit status."""
    place = Place(directory)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _end)
    with place.held(HOST, fcntl.LOCK_EX):
        try:
            sweep(directory.parent)
            _serve(place)
        finally:
            for ending in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(ending, signal.SIG_IGN)
            remove(place)
    return 0


def _end(_signal: int, _frame: object) -> None:
    """End as if nobody needed the stead any more."""
    raise SystemExit(0)


def _serve(place: Place) -> None:
    request = Request(**json.loads((place.directory / REQUEST).read_text(encoding="utf-8")))
    try:
        place.write(ANSWER, asdict(bring_up(place, request)))
    except SteadError as error:
        place.write(ANSWER, error.as_dict())
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        place.write(ANSWER, {"error": "bug", "message": f"pgstead has a bug: {told}", "hint": ""})
        raise
    place.lock(LEASE, fcntl.LOCK_EX)  # to the end of this process: who comes now waits for it


def bring_up(place: Place, request: Request) -> Answer:
    """Bring a stead up with a template of the migrated database."""
    from pgstead.cli import throwaway
    from pgstead.cli.wiring import read_manifest
    from pgstead.design import likeness

    os.chdir(request.directory)
    source = read_manifest(request.manifest)
    entry = likeness.entry_of(source.manifest, request.database)
    _forget_other_databases(entry.prefix)
    design, ports = throwaway.designed(place.state, source, entry, workers=request.workers)
    with state.lock(design.layout, "pytest"):
        throwaway.bring_up(design, ports)
    with ports.sql.connect() as superuser:
        template.settle(superuser, entry.name, entry.owner, design.lookup_role)
    return Answer(
        manifest=str(source.path),
        database=entry.name,
        owner=entry.owner,
        prefix=entry.prefix,
        models=entry.models,
        connection=str(design.layout.connection(entry.name)),
        socket=str(design.layout.socket),
        port=int(design.settings["port"]),
        superuser=design.superuser,
        log=str(design.layout.server_log / "server.json"),
    )


def _forget_other_databases(prefix: str) -> None:
    """Take away what would lead migrations to somebody's real database."""
    for name in list(os.environ):
        bare = name.removeprefix(prefix)
        if name.startswith(_RESERVED_PREFIXES) or bare.startswith(_OTHER_DATABASES):
            del os.environ[name]


def remove(place: Place) -> None:
    """Stop what runs in a directory, and remove it."""
    from pgstead.cli import throwaway

    throwaway.remove(place.state, place.directory)


def sweep(parent: Path) -> None:
    """Remove what a host left that was killed itself."""
    for directory in parent.glob(f"{MARK}*/"):
        place = Place(directory)
        try:
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            free = fcntl.LOCK_EX | fcntl.LOCK_NB
            with place.held(HOST, free), place.held(LEASE, free):
                if (directory / REQUEST).exists():
                    remove(place)
        except OSError:  # held, or gone meanwhile
            continue


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
