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
    stead: LiveStead, relation: str, item: int, change: Callable[[bytearray, int], None],
    *, database: str = "jeex_idea", checksum: bool = True,
) -> Iterator[None]:  # fmt: skip
    """Alter item N (1, 2, ...) of the first page of a table; `checksum` is made to fit."""
    with stead.superuser(database) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pageinspect")
        # hints that are set later would have the page written anew, from the buffer
        connection.execute(f"SELECT count(*) FROM {relation}")
        connection.execute("CHECKPOINT")
        query = "SELECT pg_relation_filepath(%s::regclass) AS path"
        row = connection.execute(query, (relation,)).fetchone()
        path = Path(stead.wired.design.layout.data, row["path"])
        before = path.read_bytes()[:SIZE]
        page = bytearray(before)
        change(page, item)
        if checksum:
            told = connection.execute("SELECT page_checksum(%s, 0) AS sum", (bytes(page),))
            page[_CHECKSUM : _CHECKSUM + 2] = (told.fetchone()["sum"] & 0xFFFF).to_bytes(
                2, "little"
            )
    _put(path, page)
    try:
        yield
    finally:
        _put(path, before)


def _put(path: Path, page: bytes | bytearray) -> None:
    with path.open("r+b") as file:
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


def item_of(stead: LiveStead, relation: str, where: str, database: str = "jeex_idea") -> int:
    """Return which item of the first page a row is."""
    with stead.superuser(database) as connection:
        rows = connection.execute(
            f"SELECT (ctid::text::point)[0] AS page, (ctid::text::point)[1] AS item"
            f" FROM {relation} WHERE {where}"
        ).fetchall()
    ((page, item),) = [(row["page"], row["item"]) for row in rows]
    assert page == 0
    return int(item)
