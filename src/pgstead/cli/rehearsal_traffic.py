"""What the clients beside a rehearsal say: synthetic statements on the tables, or a file's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pgstead.app.migration_watch import shown
from pgstead.errors import UsageError
from pgstead.host.traffic import Saying
from pgstead.observe.contents import Shape

if TYPE_CHECKING:
    import psycopg

_SAMPLE = 50  # rows of each table that are read and written


def named_in(texts: Iterable[str], tables: Iterable[Shape]) -> tuple[Shape, ...]:
    """Return the tables whose names occur in some statements."""
    words = {word for text in texts for word in re.findall(r"\w+", text.lower())}
    return tuple(t for t in tables if t.name.lower() in words or " " in t.name)


def of_tables(
    connection: psycopg.Connection[dict[str, Any]], tables: Iterable[Shape]
) -> Iterator[Saying]:
    """Yield reads of a row of each table, and updates of a row that change nothing."""
    for table in tables:
        if not table.key:
            read = sql.SQL("SELECT * FROM {} LIMIT 1").format(table.identifier)
            yield Saying(f"reads of {table.shown}", read, changes=False)
            continue
        names = sql.SQL(", ").join(map(sql.Identifier, table.key))
        sample = sql.SQL("SELECT {} FROM {} LIMIT {}").format(names, table.identifier, _SAMPLE)
        rows = connection.execute(sample).fetchall()
        values = [{f"k{at}": row[name] for at, name in enumerate(table.key)} for row in rows]
        if not values:
            continue
        which = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"k{at}"))
            for at, name in enumerate(table.key)
        )
        read = sql.SQL("SELECT * FROM {} WHERE {}").format(table.identifier, which)
        yield Saying(f"reads of {table.shown}", read, values, changes=False)
        if column := _written(table):
            update = sql.SQL("UPDATE {} SET {} = {} WHERE {}").format(
                table.identifier, sql.Identifier(column), sql.Identifier(column), which
            )
            yield Saying(f"writes of {table.shown}", update, values)


def _written(table: Shape) -> str:
    """Return the column to write: rather none of the key, which would lock the row harder."""
    return next(
        (name for name in table.writable if name not in table.key), next(iter(table.writable), "")
    )


def of_file(path: Path) -> tuple[list[bytes], list[Saying]]:
    """Return what each client says once, and again and again. Raises UsageError."""
    from pgstead.lint.tree import SyntaxProblem, parse

    try:
        found = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"the traffic in {path} cannot be read: {error.strerror}",
            hint="--traffic FILE: SQL statements, each with its `;`",
        ) from error
    except (SyntaxProblem, UnicodeDecodeError) as error:
        raise UsageError(
            f"the traffic in {path} is no SQL: {error}",
            hint="values have to be filled in: what pg_stat_statements keeps has $1 for them",
        ) from error
    setup = [each.text.encode() for each in found if each.node.kind == "VariableSetStmt"]
    sayings = [
        Saying(shown(each.text), each.text.encode())
        for each in found
        if each.node.kind != "VariableSetStmt"
    ]
    return setup, sayings
