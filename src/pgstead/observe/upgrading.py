"""What an upgrade must know of the running cluster, and what of it has to be equal afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import tuple_row

from pgstead.model.definition import Definition, Facet, Facets, Name
from pgstead.model.upgrade import ClusterFacts
from pgstead.observe.contents import contents, shapes
from pgstead.observe.definition import definition

if TYPE_CHECKING:
    from pgstead.model.rehearsal import Contents
    from pgstead.ports import Sql

_CLUSTER = """
    SELECT
        ARRAY(SELECT gid FROM pg_prepared_xacts ORDER BY 1) AS prepared,
        ARRAY(SELECT slot_name::text FROM pg_replication_slots WHERE NOT temporary ORDER BY 1)
            AS slots,
        ARRAY(SELECT spcname::text FROM pg_tablespace WHERE oid >= 16384 ORDER BY 1) AS tablespaces,
        ARRAY(SELECT datname::text FROM pg_database
              WHERE datname <> 'template0' AND (NOT datallowconn OR datconnlimit = -2) ORDER BY 1)
            AS closed,
        (SELECT sum(pg_database_size(oid))::int8 FROM pg_database) AS bytes
"""
_DATABASES = "SELECT datname::text AS name FROM pg_database WHERE datallowconn ORDER BY 1"
_EXTENSIONS = "SELECT extname::text AS name FROM pg_extension ORDER BY 1"
_OUTDATED = """
    SELECT e.extname::text AS name FROM pg_extension AS e
    JOIN pg_available_extensions AS a ON a.name = e.extname
    WHERE a.default_version <> e.extversion ORDER BY 1
"""
# What belongs to no database. Passwords are compared as what they hash to, and not shown.
_SHARED = """
    SELECT 'role ' || rolname AS name,
        concat_ws(' ', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
            rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil,
            md5(coalesce(rolpassword, ''))) AS facets
    FROM pg_authid WHERE rolname !~ '^pg_'
    UNION ALL
    SELECT 'membership ' || r.rolname || '/' || m.rolname, a.admin_option::text
    FROM pg_auth_members AS a JOIN pg_roles AS r ON r.oid = a.roleid
    JOIN pg_roles AS m ON m.oid = a.member WHERE m.rolname !~ '^pg_'
    UNION ALL
    SELECT concat('setting ', coalesce(r.rolname, '*'), '/', coalesce(d.datname, '*')),
        array_to_string(ARRAY(SELECT unnest(s.setconfig) ORDER BY 1), ' ')
    FROM pg_db_role_setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole
    LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
    UNION ALL
    SELECT 'database ' || datname, concat_ws(' ', pg_encoding_to_char(encoding), datcollate,
        datctype, pg_get_userbyid(datdba), datconnlimit, datacl::text)
    FROM pg_database WHERE datname NOT IN ('template0', 'template1')
    ORDER BY 1
"""


_SPLIT = re.compile(r",\s*")
_CAST = re.compile(
    r"::(?:character varying|timestamp with(?:out)? time zone|double precision|[\w.\"]+)"
    r"(?:\(\d+(?:,\d+)?\))?(?:\[\])?"
)


@dataclass(frozen=True, slots=True)
class Whole:
    """All of a cluster that an upgrade must keep."""

    shared: Mapping[str, str]
    databases: Mapping[str, tuple[Definition, Mapping[str, Contents]]]

    @property
    def objects(self) -> int:
        """How many objects were looked at."""
        return len(self.shared) + sum(len(d.objects) for d, _ in self.databases.values())

    @property
    def tables(self) -> int:
        """How many tables were read."""
        return sum(len(rows) for _, rows in self.databases.values())

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return sum(c.rows for _, found in self.databases.values() for c in found.values())


def facts(sql: Sql) -> ClusterFacts:
    """Return what may stand in the way. Raises NotRunningError."""
    with sql.connect(read_only=True) as session:
        row = session.execute(_CLUSTER).fetchone()
    assert row is not None
    found: dict[str, list[str]] = {}
    for database in _names(sql):
        with sql.connect(database, read_only=True) as session:
            for entry in session.execute(_EXTENSIONS).fetchall():
                found.setdefault(entry["name"], []).append(database)
    return ClusterFacts(
        prepared=tuple(row["prepared"]),
        slots=tuple(row["slots"]),
        tablespaces=tuple(row["tablespaces"]),
        closed=tuple(row["closed"]),
        extensions={name: tuple(databases) for name, databases in found.items()},
        bytes=int(row["bytes"]),
    )


def _names(sql: Sql) -> list[str]:
    with sql.connect(read_only=True) as session:
        return [row["name"] for row in session.execute(_DATABASES).fetchall()]


def whole(sql: Sql, major: int) -> Whole:
    """Read everything: definitions from the catalogs, and every row of every table.

    `major` is the version whose words the definitions are told in: the older one of two.
    """
    with sql.connect(read_only=True) as session:
        shared = {row["name"]: row["facets"] for row in session.execute(_SHARED).fetchall()}
    databases: dict[str, tuple[Definition, Mapping[str, Contents]]] = {}
    for name in _names(sql):
        with sql.connect(name, read_only=True) as session:
            session.execute("SET statement_timeout = 0")
            rows = contents(session, shapes(session, major))
            session.row_factory = tuple_row  # pyright: ignore[reportAttributeAccessIssue]  another kind of rows
            found = definition(session, major)  # pyright: ignore[reportArgumentType]
            databases[name] = Definition(dict(_comparable(found, major))), rows
    return Whole(shared, databases)


def _comparable(found: Definition, major: int) -> Iterator[tuple[Name, Facets]]:
    """Leave out what only newer versions have, and how an expression is written down.

    Since 17 an owner may MAINTAIN what is his; since 18 each NOT NULL is a constraint, too.
    """
    for name, facets in found.objects.items():
        told = str(facets.get("definition", ""))
        if name.kind == "grants" and major < 17:
            yield name, {who: _without_maintain(what) for who, what in facets.items()}
        elif name.kind != "constraint" or not told.startswith("NOT NULL "):
            yield name, {facet: _as_meant(facet, value) for facet, value in facets.items()}


def _without_maintain(privileges: Facet) -> str:
    words = str(privileges).split(", ")
    return ", ".join(word for word in words if not word.startswith("MAINTAIN"))


def _as_meant(facet: str, value: Facet) -> Facet:
    """Return a facet as it is after it was written down and read again.

    `(ARRAY['a'::varchar])::text[]` comes back as `ARRAY[('a'::varchar)::text]`: casts move inwards.
    """
    if not isinstance(value, str):
        return value
    if facet == "roles":
        return ", ".join(sorted(_SPLIT.split(value.strip("{}"))))
    return _CAST.sub("", value).replace("(", "").replace(")", "")


def outdated(sql: Sql) -> Mapping[str, tuple[str, ...]]:
    """Return by database the extensions that are older than what the binaries bring."""
    found: dict[str, tuple[str, ...]] = {}
    for name in _names(sql):
        with sql.connect(name, read_only=True) as session:
            rows = session.execute(_OUTDATED).fetchall()
        if rows:
            found[name] = tuple(row["name"] for row in rows)
    return found
