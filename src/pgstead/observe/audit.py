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

_SOURCE = """
    SELECT p.prosrc AS source FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = 'pgstead_audit' AND p.proname = 'record_change' AND p.pronargs = 0
      AND p.prosecdef AND to_regclass('pgstead_audit.change') IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Fed:
    """One table, what its trigger ought to be told, and whether it is."""

    schema: str
    table: str
    wanted: bool
    arguments: tuple[str, str, str]  # names or values, columns of the key, secret columns
    fed: bool
    right: bool

    @property
    def shown(self) -> str:
        """The name as people write it."""
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"


def histories(design: Design, reading: Reading, database: str) -> Iterator[ChangeHistory]:
    """Yield the history of a database, as far as there is one."""
    plans = design.audit.histories if design.audit is not None else ()
    plan = next((p for p in plans if p.database == database), None)
    found = reading.rows(_SOURCE, {}, database)
    if not found:
        return
    told = tables(reading.rows(query("change_history", reading.major), {}, database), plan)
    surplus = tuple(t.shown for t in told if t.fed and not t.wanted)
    if plan is None and not surplus:
        return  # what was kept stays until it is dropped by hand; nothing feeds it any more
    unfed = tuple(t.shown for t in told if t.wanted and not t.right)
    yield ChangeHistory(database, str(found[0]["source"]).strip(), unfed, surplus)


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
    told = b"".join(a.encode() + b"\0" for a in arguments).hex()
    right = row["arguments"] == told and row["always"]
    return Fed(schema, table, wanted, arguments, bool(row["fed"]), bool(right))


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
