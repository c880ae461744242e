"""What an upgrade must know of the running cluster, and what of it has to be equal afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql as composed
from psycopg.rows import tuple_row

from pgstead.model.upgrade import ClusterFacts
from pgstead.observe.contents import contents, shapes
from pgstead.observe.definition import definition

if TYPE_CHECKING:
    from typing import LiteralString

    from psycopg import Connection
    from psycopg.sql import Composed

    from pgstead.model.definition import Definition
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
    -- since 16 a membership says itself whether it is inherited; before, the member did
    SELECT 'membership ' || r.rolname || '/' || m.rolname, string_agg(concat_ws(' ',
            a.admin_option, coalesce((to_jsonb(a) ->> 'inherit_option')::bool, m.rolinherit),
            coalesce((to_jsonb(a) ->> 'set_option')::bool, true)), ', ' ORDER BY a.grantor)
    FROM pg_auth_members AS a JOIN pg_roles AS r ON r.oid = a.roleid
    JOIN pg_roles AS m ON m.oid = a.member WHERE m.rolname !~ '^pg_'
    GROUP BY r.rolname, m.rolname
    UNION ALL
    SELECT concat('setting ', coalesce(r.rolname, '*'), '/', coalesce(d.datname, '*')),
        array_to_string(ARRAY(SELECT unnest(s.setconfig) ORDER BY 1), ' ')
    FROM pg_db_role_setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole
    LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
    UNION ALL
    SELECT 'database ' || datname, concat_ws(' ', pg_encoding_to_char(encoding), datcollate,
        datctype, pg_get_userbyid(datdba), datconnlimit,
        (SELECT string_agg(a::text, ' ' ORDER BY a::text COLLATE "C") FROM unnest(datacl) AS a))
    FROM pg_database WHERE datname NOT IN ('template0', 'template1')
    ORDER BY 1
"""


# Read as whole rows: what pg_upgrade carries beside the tables of applications.
_OTHER_ROWS = """
    SELECT n.nspname AS schema, c.relname AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE (c.relkind = 'm' AND c.relispopulated AND n.nspname !~ '^pg_')
       OR (c.relkind = 'r' AND (n.nspname = 'pgstead_migrations' OR c.relname = 'alembic_version'))
    ORDER BY 1, 2
"""
_SEQUENCES = """
    SELECT n.nspname AS schema, c.relname AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' ORDER BY 1, 2
"""
_LARGE_OBJECTS = """
    SELECT concat_ws(' ', count(*), sum(hashtextextended(
        concat_ws(' ', loid, pageno, encode(data, 'base64')), 0))) AS value FROM pg_largeobject
"""
_EXTENSION_VERSIONS = "SELECT extname::text AS name, extversion AS value FROM pg_extension"
_STATISTICS = "SELECT count(*) AS n FROM pg_statistic WHERE starelid >= 16384"


@dataclass(frozen=True, slots=True)
class Whole:
    """All of a cluster that an upgrade must keep."""

    single: Mapping[str, str]  # what is compared by one value each: roles, sequences, ...
    databases: Mapping[str, tuple[Definition, Mapping[str, Contents]]]
    statistics: int  # columns of which the planner knows something

    @property
    def objects(self) -> int:
        """How many objects were looked at."""
        return len(self.single) + sum(len(d.objects) for d, _ in self.databases.values())

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
        single = {row["name"]: row["facets"] for row in session.execute(_SHARED).fetchall()}
    databases: dict[str, tuple[Definition, Mapping[str, Contents]]] = {}
    statistics = 0
    for name in _names(sql):
        with sql.connect(name, read_only=True) as session:
            session.execute("SET statement_timeout = 0")
            rows = contents(session, shapes(session, major))
            single |= {f"{what} of {name}": value for what, value in _single(session)}
            statistics += _one(session, _STATISTICS)["n"]
            session.row_factory = tuple_row  # pyright: ignore[reportAttributeAccessIssue]  another kind of rows
            found = definition(session, major)  # pyright: ignore[reportArgumentType]
            databases[name] = found, rows
    return Whole(single, databases, statistics)


def _single(session: Connection[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what a database holds beside definitions and the rows of its tables."""
    for row in session.execute(_SEQUENCES).fetchall():
        place = composed.Identifier(row["schema"], row["name"])
        asking = composed.SQL("SELECT concat_ws(' ', last_value, is_called) AS value FROM {}")
        value = _one(session, asking.format(place))["value"]
        yield f"the value of sequence {row['schema']}.{row['name']}", str(value)
    for row in session.execute(_OTHER_ROWS).fetchall():
        place = composed.Identifier(row["schema"], row["name"])
        asking = composed.SQL(
            "SELECT concat_ws(' ', count(*), sum(hashtextextended(t::text, 0))) AS value"
            " FROM {} AS t"
        )
        value = _one(session, asking.format(place))["value"]
        yield f"what is in {row['schema']}.{row['name']}", str(value)
    for row in session.execute(_EXTENSION_VERSIONS).fetchall():
        yield f"extension {row['name']}", str(row["value"])
    yield "what is in large objects", str(_one(session, _LARGE_OBJECTS)["value"])


def _one(
    session: Connection[dict[str, Any]], statement: LiteralString | Composed
) -> dict[str, Any]:
    row = session.execute(statement).fetchone()
    assert row is not None
    return row


def outdated(sql: Sql) -> Mapping[str, tuple[str, ...]]:
    """Return by database the extensions that are older than what the binaries bring."""
    found: dict[str, tuple[str, ...]] = {}
    for name in _names(sql):
        with sql.connect(name, read_only=True) as session:
            rows = session.execute(_OUTDATED).fetchall()
        if rows:
            found[name] = tuple(row["name"] for row in rows)
    return found
