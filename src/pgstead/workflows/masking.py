"""A masked copy: for tests, with everything as it was but what tells something of a person.

The copy is made under a name of its own, in which nobody but the superuser may connect. It gets
the name that was asked for when it is masked, and not before: a run that is cut off leaves a
database that the next one removes.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from pgstead.errors import PersonalDataError, UsageError
from pgstead.model.design import Design
from pgstead.model.personal import IDENTIFYING, Column, Inventory, Table
from pgstead.observe.personal import Spot, inventory, spots, trusted
from pgstead.plan.pseudonyms import UNMASKED, Pseudonyms
from pgstead.ports import Ports
from pgstead.ports.personal import MaskingPorts
from pgstead.workflows.person import QUIET

if TYPE_CHECKING:
    Session = psycopg.Connection[dict[str, Any]]

_UNFINISHED = "pgstead_masking_"
_BATCH = 2_000  # values
_ATTEMPTS = 64  # pseudonyms that are tried for a value of a column without doubles
_LOOKED_FOR = 20  # values of each identifying column that the copy is searched for
_SOURCE = """
    SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datctype,
           datlocprovider::text AS provider,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
           pg_get_userbyid(datdba) AS owner
    FROM pg_catalog.pg_database AS d WHERE datname = %s
"""


@dataclass(frozen=True, slots=True)
class Masked:
    """One column that was masked."""

    table: str
    column: str
    kind: str
    values: int  # different ones


@dataclass(frozen=True, slots=True)
class Copied:
    """A masked copy."""

    database: str  # empty where it went to a file
    file: str
    columns: tuple[Masked, ...]
    searched: int
    found: tuple[Spot, ...]  # where values that were to be masked still are


def mask(
    design: Design, ports: Ports, masking: MaskingPorts, source: str, *,
    into: str = "", file: Path | None = None,
) -> Copied:  # fmt: skip
    """Make a masked copy of a database: as a database, or as a dump in a file.

    Raises UsageError for a name that is taken, PersonalDataError for columns without a class.
    """
    with ports.sql.connect(source, read_only=True) as connection:
        held = inventory(connection, source, design.build.major)
    if missing := held.unclassified:
        raise PersonalDataError(
            f"{len(missing)} columns of {source} say no class: {', '.join(missing[:5])}",
            hint="what is not known to be harmless is not copied; classify them, and migrate",
        )
    _must_be_free(ports, into, file)
    pseudonyms = Pseudonyms(masking.key())
    with _copied(ports, masking, source) as name:
        with ports.sql.connect(name) as connection:
            columns = tuple(_masked(connection, held, pseudonyms, ports))
            # the rows as they were lie in the files of the copy until it is written anew
            ports.progress.step("writing the copy anew")
            connection.execute("VACUUM (FULL, ANALYZE)")
            wanted = _known(ports, held)
            found = tuple(spots(connection, wanted))
        if file is not None:
            ports.progress.step(f"dumping to {file}")
            masking.copies.dump(name, file)
            return Copied("", str(file), columns, len(wanted), found)
        _named(ports, name, into)
        return Copied(into, "", columns, len(wanted), found)


def _must_be_free(ports: Ports, into: str, file: Path | None) -> None:
    with ports.sql.connect(read_only=True) as connection:
        asked = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
        if into and connection.execute(asked, [into]).rowcount:
            raise UsageError(f"there is a database {into} already", hint="name another: --to NAME")
    if file is not None and file.exists():
        raise UsageError(f"{file} exists already", hint="name another file: --to FILE")


@contextmanager
def _copied(ports: Ports, masking: MaskingPorts, source: str) -> Generator[str]:
    """Give a copy that nobody may connect to; it is gone afterwards unless it was renamed."""
    name = f"{_UNFINISHED}{secrets.token_hex(4)}"
    with ports.sql.connect() as connection:
        old = connection.execute(
            "SELECT datname::text AS name FROM pg_catalog.pg_database"
            " WHERE starts_with(datname, %s)",
            [_UNFINISHED],
        ).fetchall()
        for row in old:  # of runs that were cut off; one that is used is somebody's work
            with suppress(psycopg.errors.ObjectInUse):
                connection.execute(_dropping(row["name"]))
        connection.execute(_creating(connection, source, name))
    try:
        ports.progress.step(f"copying {source}")
        masking.copies.copy(source, name)
        yield name
    finally:
        with ports.sql.connect() as connection:
            connection.execute(_dropping(name))


def _dropping(name: str) -> sql.Composed:
    return sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))


def _creating(connection: Session, source: str, name: str) -> sql.Composed:
    row = connection.execute(_SOURCE, [source]).fetchone()
    assert row is not None
    told = sql.SQL(
        "CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {}"
        " CONNECTION LIMIT 0"
    ).format(
        sql.Identifier(name), sql.Identifier(row["owner"]), sql.Literal(row["encoding"]),
        sql.Literal(row["datcollate"]), sql.Literal(row["datctype"]),
    )  # fmt: skip
    match row["provider"]:
        case "b":
            more = sql.SQL(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}")
        case "i":
            more = sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}")
        case _:
            return told
    return told + more.format(sql.Literal(row["locale"]))


def _named(ports: Ports, name: str, into: str) -> None:
    """Give the copy its name. Who may enter it besides is for the manifest to say."""
    old, new = sql.Identifier(name), sql.Identifier(into)
    with ports.sql.connect() as connection:
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(old))
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, new))
        connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1").format(new))


# -- masking ------------------------------------------------------------------------------------


def _masked(
    connection: Session, held: Inventory, pseudonyms: Pseudonyms, ports: Ports
) -> Iterator[Masked]:
    # triggers would stamp, refuse and record; what the copy records is nobody's business
    connection.execute(QUIET)
    connection.execute("SET session_replication_role = replica; SET statement_timeout = 0")
    connection.execute("DROP SCHEMA IF EXISTS pgstead_audit CASCADE")
    for table in held.tables:
        for column in table.personal:
            if column.generated or column.kind == "flag":
                continue
            ports.progress.step(f"masking {table.shown}.{column.name}")
            with connection.transaction():
                count = _column(connection, table, column, pseudonyms)
            yield Masked(table.shown, column.name, column.kind, count)


def _column(connection: Session, table: Table, column: Column, pseudonyms: Pseudonyms) -> int:
    named, place = sql.Identifier(column.name), sql.Identifier(*table.full)
    if column.kind in UNMASKED:
        moved = sql.SQL("UPDATE {0} SET {1} = {1} + make_interval(days => {2})").format(
            place, named, sql.Literal(pseudonyms.days())
        )
        return connection.execute(moved).rowcount
    listed = column.kind == "list"
    shown = sql.SQL("to_jsonb({})::text" if listed else "{}::text").format(named)
    kind = sql.SQL(trusted(column.type))
    back = sql.SQL(
        "ARRAY(SELECT jsonb_array_elements_text(m.new::jsonb))::{}" if listed else "m.new::{}"
    ).format(kind)
    connection.execute("CREATE TEMP TABLE pgstead_masks (old text, new text) ON COMMIT DROP")
    count = _filled(connection, table, column, shown, pseudonyms)
    connection.execute("ANALYZE pgstead_masks")
    update = sql.SQL("UPDATE {} SET {} = {} FROM pgstead_masks AS m WHERE {} = m.old")
    connection.execute(update.format(place, named, back, shown))
    return count


def _filled(
    connection: Session, table: Table, column: Column, shown: sql.Composed, pseudonyms: Pseudonyms
) -> int:
    """Write the pseudonym of each value beside it; where no two may be the same, none are."""
    taken: set[str] = set()
    count = 0
    query = sql.SQL("SELECT DISTINCT {} AS v FROM {} WHERE {} IS NOT NULL ORDER BY 1").format(
        shown, sql.Identifier(*table.full), sql.Identifier(column.name)
    )
    with connection.cursor("pgstead_values") as values, connection.cursor() as writer:
        values.execute(query)
        while batch := values.fetchmany(_BATCH):
            pairs = [(row["v"], _pseudonym(column, row["v"], pseudonyms, taken)) for row in batch]
            with writer.copy("COPY pgstead_masks (old, new) FROM STDIN") as copy:
                for pair in pairs:
                    copy.write_row(pair)
            count += len(pairs)
    return count


def _pseudonym(column: Column, value: str, pseudonyms: Pseudonyms, taken: set[str]) -> str:
    if not column.unique:
        return pseudonyms.of(column.kind, value)
    for attempt in range(_ATTEMPTS):
        made = pseudonyms.of(column.kind, value, attempt)
        if made not in taken:
            taken.add(made)
            return made
    raise PersonalDataError(
        f"there are too few pseudonyms for {column.name}, whose values must differ",
        hint="its values are short; give the column a kind: [personal: email], name, url, digest",
    )


def _known(ports: Ports, held: Inventory) -> tuple[str, ...]:
    """Return some values of the original that the copy must not have."""
    found: set[str] = set()
    with ports.sql.connect(held.database, read_only=True) as connection:
        connection.execute(QUIET)
        for table in held.tables:
            for column in (c for c in table.personal if c.kind in IDENTIFYING):
                some = sql.SQL(
                    "SELECT DISTINCT {0}::text AS v FROM {1} WHERE length({0}::text) > 7 LIMIT {2}"
                ).format(
                    sql.Identifier(column.name), sql.Identifier(*table.full),
                    sql.Literal(_LOOKED_FOR),
                )  # fmt: skip
                found |= {row["v"] for row in connection.execute(some)}
    return tuple(sorted(found))
