"""The definition of a database, read from its catalogs alone.

Every query is a SELECT on `pg_catalog`, which everybody may read; nothing is locked above
ACCESS SHARE, and all of it is one snapshot.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

from pgstead.model.definition import Definition, Facets, Name
from pgstead.observe.sql_files import query

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

_FOLDER = "definitions"
# What `up` keeps in a database beside what migrations make: the change history (ADR 0032).
_KEPT = re.compile(r"(^|[ .])pgstead_audit(\W|$)|\.pgstead_audit_[a-z]+$")


def definition(connection: psycopg.Connection[TupleRow], major: int) -> Definition:
    """Return what the database of a connection is made of. Any role that may connect will do.

    The connection must be idle; its transaction is repeatable read, read only, and rolled back.
    """
    objects: dict[Name, Facets] = {}
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # names are written in full, whatever the role's own path is
        connection.execute("SET LOCAL search_path = pg_catalog")
        for what in _subjects():
            for kind, name, facets in connection.execute(query(what, major)):
                if not _KEPT.search(str(name)):
                    objects[Name(str(kind), str(name))] = facets
    return Definition(objects)


def _subjects() -> tuple[str, ...]:
    folder = files("pgstead.observe") / "queries" / _FOLDER
    names = {entry.name.rsplit("_", 1)[0] for entry in folder.iterdir()}
    return tuple(f"{_FOLDER}/{name}" for name in sorted(names))
