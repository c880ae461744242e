"""The migration revisions that the databases are at."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.model.resources import Revision
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query


def resources(reading: Reading, database: str) -> Iterator[Revision]:
    """Yield the revision of a database, or nothing where it never migrated."""
    (row,) = reading.rows(query("has_revisions", reading.major), {}, database)
    if not row["present"]:
        return
    rows = reading.rows(query("revisions", reading.major), {}, database)
    if rows:
        yield Revision(database, tuple(r["revision"] for r in rows))
