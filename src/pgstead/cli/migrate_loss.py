"""What a downgrade would lose: tables that have rows, columns that have values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgstead.cli.migrating import History

if TYPE_CHECKING:
    from pgstead.ports import Sql

_COUNTED = 100_000  # rows; beyond that it is not worth a scan to know how many


def loss_of(history: History, target: str) -> list[str]:
    """Return what going down to a revision would lose, in words; nothing is changed."""
    from pgstead.cli.wiring import SILENT, wire

    wired = wire(history.invocation.manifest, SILENT, tolerant=True)
    return loss_on(history, target, wired.ports.sql, wired.design.build.major)


def loss_on(history: History, target: str, server: Sql, major: int) -> list[str]:
    """Do the same for a database on another server, a copy."""
    from psycopg import sql

    from pgstead.host.revisions import AlembicRevisions
    from pgstead.lint.loss import losses
    from pgstead.observe.reading import Reading
    from pgstead.plan import history as planned

    entry, files = history.entry, history.files
    stays = planned.applied(files, [] if target == "base" else [target])
    goes = planned.applied(files, history.found.heads) - stays
    roles = {p: getattr(entry, p) for p in ("app", "admin", "readonly", "migrator", "owner")}
    scripts = AlembicRevisions(history.root).written(entry.migrations, roles)
    taken = [s for r in reversed(scripts) if r.name in goes for s in r.downgrade.statements]
    lost: list[str] = []
    with Reading(server, major) as reading:
        for schema, table, column in losses(taken):
            count = sql.SQL(
                "SELECT count(*) AS n FROM (SELECT FROM {} WHERE {} LIMIT {}) AS counted"
            ).format(
                sql.Identifier(schema, table),
                sql.SQL("{} IS NOT NULL").format(sql.Identifier(column))
                if column
                else sql.SQL("true"),
                sql.Literal(_COUNTED + 1),
            )
            there = reading.rows(
                "SELECT to_regclass(format('%%I.%%I', %(s)s::text, %(t)s::text)) IS NOT NULL AS y",
                {"s": schema, "t": table},
                entry.name,
            )
            number = reading.rows(count, {}, entry.name)[0]["n"] if there[0]["y"] else 0
            if number:
                lost.append(_words(schema, table, column, number))
    return lost


def _words(schema: str, table: str, column: str, number: int) -> str:
    name = table if schema == "public" else f"{schema}.{table}"
    many = f"more than {_COUNTED}" if number > _COUNTED else str(number)
    if column:
        return f"{many} value(s) of {name}.{column}"
    return f"{many} row(s) of {name}"
