"""What of a stead holds what the database holds, and on what each of it lies (ENC-4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from pgstead.model.at_rest import Place
from pgstead.model.layout import Layout
from pgstead.observe.block_devices import Devices


def of_data(layout: Layout, devices: Devices) -> tuple[Place, ...]:
    """Return what the server writes, our own secrets, and what the kernel swaps out.

    What is not there yet is told by the directory that it will be made in. Tablespaces that this
    user may not see are left out.
    """
    found = [Place(name, path, devices.beneath(Path(path))) for name, path in _data(layout)]
    found += [Place("swap", name, lying) for name, lying in devices.swaps()]
    return tuple(found)


def of_backups(directories: Iterable[PurePosixPath | str], devices: Devices) -> tuple[Place, ...]:
    """Return the directories of backups, each with its name."""
    named = zip(("backups", "dumps"), map(str, directories), strict=True)
    return tuple(Place(name, path, devices.beneath(Path(path))) for name, path in named)


def _data(layout: Layout) -> Iterator[tuple[str, str]]:
    data = layout.data
    yield "data directory", str(data)
    yield "WAL", str(data / "pg_wal")  # a link where initdb was given --waldir
    for space in _tablespaces(Path(data)):
        yield f"tablespace {space.name}", str(space)  # temporary files too (temp_tablespaces)
    yield "temporary files", str(data / "base" / "pgsql_tmp")
    yield "server log", str(layout.server_log)
    yield "secrets", str(layout.secrets)
    yield "state", str(layout.state)


def _tablespaces(data: Path) -> list[Path]:
    try:
        return sorted((data / "pg_tblspc").iterdir())
    except OSError:
        return []
