"""Damage, planted on a real server: pages altered in its files while it is down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fix_stead import LiveStead

SIZE = 8192
_CHECKSUM, _POINTERS = 8, 24  # include/storage/bufpage.h
DATABASE = "jeex_idea"


def path_of(stead: LiveStead, relation: str) -> Path:
    """Return the file of a relation, all of it on the disk."""
    with stead.superuser(DATABASE) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_relation_filepath(%s) AS path", [relation]).fetchone()
    return Path(stead.wired.design.layout.data, row["path"])


def rotten(page: bytearray) -> None:
    """Have a disk return something else than was written: the checksum is wrong then."""
    page[4000:4100] = bytes(byte ^ 0xFF for byte in page[4000:4100])


def gone(page: bytearray) -> None:
    """Have the second item of a page lead nowhere."""
    page[_POINTERS + 4 : _POINTERS + 8] = bytes(4)


def sealed(stead: LiveStead, page: bytearray, block: int) -> None:
    """Make the checksum fit: only who reads what is in the page can tell."""
    with stead.superuser(DATABASE) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pageinspect")
        row = connection.execute("SELECT page_checksum(%s, %s) AS sum", (bytes(page), block))
        told = row.fetchone()["sum"] & 0xFFFF
        connection.execute("DROP EXTENSION pageinspect")
    page[_CHECKSUM : _CHECKSUM + 2] = told.to_bytes(2, "little")


def read(path: Path, block: int) -> bytearray:
    """Return a page as it lies on the disk."""
    with path.open("rb") as file:
        file.seek(block * SIZE)
        return bytearray(file.read(SIZE))


def write(path: Path, block: int, page: bytes | bytearray) -> None:
    """Put a page on the disk."""
    with path.open("r+b") as file:
        file.seek(block * SIZE)
        file.write(page)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def down(stead: LiveStead) -> Iterator[None]:
    """Stop the server while pages are altered: what it has in memory is read anew."""
    supervisor = stead.wired.ports.supervisor
    supervisor.stop("postgres")
    try:
        yield
    finally:
        supervisor.start("postgres")
