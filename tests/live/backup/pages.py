"""Pages of a running server altered in its files, with checksums that hold: only reading tells.

The server goes by its buffers and notices nothing; what copies the files copies the damage. Each
page is put back afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fix_stead import LiveStead

SIZE = 8192
# include/storage/bufpage.h: pd_checksum of the header; line pointers of 4 bytes follow on it
_CHECKSUM, _POINTERS = 8, 24
_T_HOFF = 22  # access/htup_details.h: where a tuple says that its data begins


@contextmanager
def altered(
    stead: LiveStead, relation: str, where: str, change: Callable[[bytearray, int], None],
    *, database: str = "jeex_idea", checksum: bool = True,
) -> Iterator[None]:  # fmt: skip
    """Alter a row's item of its page; `checksum` is made to fit."""
    with stead.superuser(database) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pageinspect")
        # hints that are set later would have the page written anew, from the buffer
        connection.execute(f"SELECT count(*) FROM {relation}")
        connection.execute("CHECKPOINT")
        row = connection.execute(
            f"SELECT (ctid::text::point)[0]::int AS page, (ctid::text::point)[1]::int AS item,"
            f" pg_relation_filepath('{relation}') AS path FROM {relation} WHERE {where}"
        ).fetchone()
        path = Path(stead.wired.design.layout.data, row["path"])
        place = row["page"] * SIZE
        before = path.read_bytes()[place : place + SIZE]
        page = bytearray(before)
        change(page, row["item"])
        if checksum:
            query = "SELECT page_checksum(%s, %s) AS sum"
            told = connection.execute(query, (bytes(page), row["page"])).fetchone()["sum"]
            page[_CHECKSUM : _CHECKSUM + 2] = (told & 0xFFFF).to_bytes(2, "little")
    _put(path, place, page)
    try:
        yield
    finally:
        _put(path, place, before)


def _put(path: Path, place: int, page: bytes | bytearray) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(page)
        file.flush()
        os.fsync(file.fileno())


def forget(page: bytearray, item: int) -> None:
    """Have a line pointer lead nowhere: the row is not there any more."""
    place = _POINTERS + 4 * (item - 1)
    page[place : place + 4] = bytes(4)


def shift(page: bytearray, item: int) -> None:
    """Have a tuple's data begin 8 bytes too late."""
    pointer = int.from_bytes(page[_POINTERS + 4 * (item - 1) :][:4], "little")
    page[(pointer & 0x7FFF) + _T_HOFF] += 8
