"""What a downgrade would lose: tables that have rows, columns that have values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgstead.cli.migrating import History

if TYPE_CHECKING:
    from pgstead.lint.loss import Thing
    from pgstead.observe.reading import Reading
    from pgstead.ports import Sql

_COUNTED = 100_000  # rows; beyond that it is not worth a scan to know how many
_THERE = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        LEFT JOIN pg_catalog.pg_attribute AS a
            ON a.attrelid = c.oid AND a.attname = %(c)s::text AND NOT a.attisdropped
        WHERE c.relnamespace = to_regnamespace(quote_ident(%(s)s::text))
            AND c.relname = %(t)s::text AND (%(c)s::text = '' OR a.attnum IS NOT NULL)
    ) AS y
"""


def loss_of(history: History, target: str) -> list[str]:
    """Return what going down to a revision would lose, in words; nothing is changed."""
    from pgstead.cli.wiring import SILENT, wire

    wired = wire(history.invocation.manifest, SILENT, tolerant=True)
    return loss_on(history, target, wired.ports.sql, wired.design.build.major)


def loss_on(history: History, target: str, server: Sql, major: int) -> list[str]:
    """Do the same for a database on another server, a copy."""
    from pgstead.observe.reading import Reading

    lost: list[str] = []
    with Reading(server, major) as reading:
        for schema, table, column in taken_away(history, target):
            if number := _number(reading, history.entry.name, (schema, table, column)):
                many = f"more than {_COUNTED}" if number > _COUNTED else str(number)
                name = in_words((schema, table, column))
                lost.append(f"{many} {'value' if column else 'row'}(s) of {name}")
    return lost


def taken_away(history: History, target: str) -> tuple[Thing, ...]:
    """Return the tables and columns that going down to a revision drops or empties."""
    from pgstead.host.revisions import AlembicRevisions
    from pgstead.lint.loss import losses
    from pgstead.plan import history as planned

    entry, files = history.entry, history.files
    stays = planned.applied(files, [] if target == "base" else [target])
    goes = planned.applied(files, history.found.heads) - stays
    roles = {p: getattr(entry, p) for p in ("app", "admin", "readonly", "migrator", "owner")}
    scripts = AlembicRevisions(history.root).written(entry.migrations, roles)
    return losses(s for r in reversed(scripts) if r.name in goes for s in r.downgrade.statements)


def in_words(thing: Thing) -> str:
    """Return the name of a table or a column as it is shown."""
    schema, table, column = thing
    name = table if schema == "public" else f"{schema}.{table}"
    return f"{name}.{column}" if column else name


def _number(reading: Reading, database: str, thing: Thing) -> int:
    """Return how many rows or values there are, at most one more than are counted."""
    from psycopg import sql

    schema, table, column = thing
    there = reading.rows(_THERE, {"s": schema, "t": table, "c": column}, database)
    if not there[0]["y"]:
        return 0
    counted = (
        sql.SQL("{} IS NOT NULL").format(sql.Identifier(column)) if column else sql.SQL("true")
    )
    count = sql.SQL("SELECT count(*) AS n FROM (SELECT FROM {} WHERE {} LIMIT {}) AS counted")
    statement = count.format(sql.Identifier(schema, table), counted, sql.Literal(_COUNTED + 1))
    return int(reading.rows(statement, {}, database)[0]["n"])
