"""The change histories: which tables feed them, and how they are told to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pgstead.model.audit import HistoryPlan
from pgstead.model.design import Design
from pgstead.model.resources import ChangeHistory
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query

_SOURCES = """
    SELECT p.proname::text AS name, p.prosrc AS source FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = 'pgstead_audit' AND p.pronargs = 0 AND p.prosecdef
      AND to_regclass('pgstead_audit.change') IS NOT NULL
"""
ROWS, STATEMENTS = "record_change", "record_changes"  # functions of both kinds of trigger


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger of a table whose changes are kept."""

    name: str
    event: str  # insert, update, delete, truncate; row: all but the last
    function: str

    def shown(self, arguments: tuple[str, ...]) -> str:
        """Return it as the query shows one that is there and fires always."""
        told = b"".join(a.encode() + b"\0" for a in arguments).hex()
        return f"{self.name} {self.function} A {told}"


@dataclass(frozen=True, slots=True)
class Fed:
    """One table, what its triggers ought to be told, and whether they are."""

    schema: str
    table: str
    wanted: bool
    arguments: tuple[str, str, str]  # names or values, columns of the key, secret columns
    triggers: tuple[Trigger, ...]
    found: tuple[str, ...]  # names of those that are there
    right: bool

    @property
    def shown(self) -> str:
        """The name as people write it."""
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"


def histories(design: Design, reading: Reading, database: str) -> Iterator[ChangeHistory]:
    """Yield the history of a database, as far as there is one."""
    plans = design.audit.histories if design.audit is not None else ()
    plan = next((p for p in plans if p.database == database), None)
    sources = {r["name"]: str(r["source"]).strip() for r in reading.rows(_SOURCES, {}, database)}
    if not sources:
        return
    told = tables(reading.rows(query("change_history", reading.major), {}, database), plan)
    surplus = tuple(t.shown for t in told if t.found and not t.wanted)
    if plan is None and not surplus:
        return  # what was kept stays until it is dropped by hand; nothing feeds it any more
    unfed = tuple(t.shown for t in told if t.wanted and not t.right)
    yield ChangeHistory(
        database, sources.get(ROWS, ""), sources.get(STATEMENTS, ""), unfed, surplus
    )


def tables(rows: list[dict[str, Any]], plan: HistoryPlan | None) -> tuple[Fed, ...]:
    """Return every table that a history could be kept of."""
    return tuple(_fed(row, plan) for row in rows)


def _fed(row: dict[str, Any], plan: HistoryPlan | None) -> Fed:
    schema, table = str(row["schema"]), str(row["table"])
    wanted = plan is not None and chosen(schema, table, plan)
    arguments = ("", "", "")
    if plan is not None:
        secret = [c for c in row["columns"] if c in row["secret"] or _masked(table, c, plan)]
        arguments = ("values" if plan.values else "names", _array(row["key"]), _array(secret))
    triggers = tuple(_triggers(by_statement=bool(row["by_statement"])))
    right = list(row["triggers"]) == sorted(t.shown(arguments) for t in triggers)
    found = tuple(str(t).split(" ", 1)[0] for t in row["triggers"])
    return Fed(schema, table, wanted, arguments, triggers, found, right)


def _triggers(*, by_statement: bool) -> Iterator[Trigger]:
    """Yield the triggers of a table: for each statement, which costs less than for each row."""
    if by_statement:
        for event in ("insert", "update", "delete"):
            yield Trigger(f"pgstead_audit_{event}", event, STATEMENTS)
    else:
        yield Trigger("pgstead_audit_row", "row", ROWS)
    yield Trigger("pgstead_audit_truncate", "truncate", ROWS)


def chosen(schema: str, table: str, plan: HistoryPlan) -> bool:
    """Say whether the changes of a table are to be kept."""
    names = {table, f"public.{table}"} if schema == "public" else {f"{schema}.{table}"}

    def among(patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

    return among(plan.tables) and not among(plan.excluded)


def _masked(table: str, column: str, plan: HistoryPlan) -> bool:
    return any(fnmatchcase(f"{table}.{column}", pattern) for pattern in plan.masked)


def _array(names: list[str]) -> str:
    """Return names as PostgreSQL writes an array of text, each quoted."""
    quoted = [
        f'"{n.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"' for n in names
    ]
    return f"{{{','.join(quoted)}}}"
