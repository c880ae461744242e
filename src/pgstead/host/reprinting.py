"""An older server's definitions, written by the newer one: what only reads otherwise is equal then.

A server writes an expression back in its own way, and what is read again need not be written the
same: `(ARRAY['a'::varchar])::text[]` comes back as `ARRAY[('a'::varchar)::text]`. So where two
definitions differ in the text of an expression, one server reads both and writes both. What it
refuses, or writes differently, stays a difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from pgstead.model.definition import Definition, Facet, Name

if TYPE_CHECKING:
    from pgstead.ports import Sql

_CHECK = re.compile(r"CHECK \((?P<expression>.*)\)(?P<rest>(?: NO INHERIT)?)", re.DOTALL)
_NAMED_CHECK = re.compile(r"(?P<rest>\S+) CHECK \((?P<expression>.*)\)", re.DOTALL)
_PREDICATE = re.compile(r"(?P<rest>.*?) WHERE \((?P<expression>.*)\)", re.DOTALL)
_WHEN = re.compile(
    r"(?P<before>.*?) WHEN \((?P<expression>.*)\) (?P<after>EXECUTE FUNCTION .*)", re.DOTALL
)
_ON = re.compile(r" ON (?:ONLY )?(.+?) USING ")
_PART = re.compile(r'"(?:[^"]|"")*"|[^".]+')
_VIEW = "pg_temp.pgstead_reprinted"
_FUNCTION = """
    SELECT pg_get_functiondef(p.oid) AS text
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE quote_ident(n.nspname) || '.' || quote_ident(p.proname)
          || '(' || pg_get_function_identity_arguments(p.oid) || ')' = %s
"""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two queries that may mean the same."""

    old: str
    new: str


def reprinted(server: Sql, database: str, before: Definition, after: Definition) -> Definition:
    """Return `before` with the newer server's words for what that server takes for the same.

    It is asked by temporary views and by functions that are replaced, and all of that is rolled
    back.
    """
    differing = {
        name: facets
        for name, facets in before.objects.items()
        if name in after.objects and after.objects[name] != facets
    }
    if not differing:
        return before
    with server.connect(database) as session:
        told = {
            name: {
                facet: _word(session, name, facet, value, after.objects[name])
                for facet, value in facets.items()
            }
            for name, facets in differing.items()
        }
    return Definition({**before.objects, **told})


def _word(
    session: psycopg.Connection[dict[str, Any]], name: Name, facet: str, old: Facet,
    after: Mapping[str, Facet],
) -> Facet:  # fmt: skip
    new = after.get(facet)
    if old == new or not isinstance(old, str) or not isinstance(new, str):
        return old
    pairs = [*_pairs(name, facet, old, new, after)]
    same = bool(pairs) and all(_is_same(session, pair) for pair in pairs)
    return new if same or _replaces(session, name, facet, old, new) else old


def _pairs(
    name: Name, facet: str, old: str, new: str, after: Mapping[str, Facet]
) -> Iterator[_Pair]:
    """Yield the expressions of two texts; none where more than these differs."""
    parts = _PART.findall(name.name)
    table = ".".join(parts[:2])
    match name.kind, facet:
        case ("column", "default" | "expression") | ("policy", "using" | "check"):
            yield _expressions(old, new, table)
        case "constraint", "definition":
            yield from _inside(_CHECK, old, new, table)
            yield from _inside(_PREDICATE, old, new, table)
        case "index", "definition":
            if (found := _ON.search(new)) is not None:
                yield from _inside(_PREDICATE, old, new, found[1])
        case "trigger", "definition":
            yield from _inside(_WHEN, old, new, f"{table} AS old, {table} AS new")
        case (("view" | "materialized view"), "text"):
            yield _Pair(old.rstrip("; \n"), new.rstrip("; \n"))
        case "domain", "default":
            yield _expressions(old, new, "")
        case "domain", "checks":
            base = f"(SELECT CAST(NULL AS {after['base type']}) AS value) AS it"
            yield from _inside(_NAMED_CHECK, old, new, base)
        case _:
            return


def _inside(pattern: re.Pattern[str], old: str, new: str, source: str) -> Iterator[_Pair]:
    """Yield the expression within two texts that agree in all else."""
    first, second = pattern.fullmatch(old), pattern.fullmatch(new)
    if first is None or second is None:
        return
    a, b = first.groupdict(), second.groupdict()
    one, other = a.pop("expression"), b.pop("expression")
    if a == b:
        yield _expressions(one, other, source)


def _expressions(old: str, new: str, source: str) -> _Pair:
    """Pair two expressions over the columns of a FROM clause, whose names are quoted."""
    rest = f" FROM {source}" if source else ""
    return _Pair(f"SELECT {old} AS it{rest}", f"SELECT {new} AS it{rest}")


def _is_same(session: psycopg.Connection[dict[str, Any]], pair: _Pair) -> bool:
    first = _written(session, pair.old)
    return first is not None and first == _written(session, pair.new)


def _written(session: psycopg.Connection[dict[str, Any]], query: str) -> str | None:
    """Return a query as the server writes it back; None where it does not take it."""
    try:
        with session.transaction(force_rollback=True):
            session.execute("SET LOCAL search_path = pg_catalog")
            # as bytes: what a server wrote of its own catalogs is SQL, and no text of ours
            session.execute(f"CREATE VIEW {_VIEW} AS {query}".encode())
            row = session.execute("SELECT pg_get_viewdef(%s::regclass) AS text", [_VIEW]).fetchone()
    except psycopg.Error:
        return None
    return None if row is None else str(row["text"])


def _replaces(
    session: psycopg.Connection[dict[str, Any]], name: Name, facet: str, old: str, new: str
) -> bool:
    """Say whether a function made of the one text is written as the other."""
    if name.kind not in {"function", "procedure"} or facet != "definition":
        return False
    try:
        with session.transaction(force_rollback=True):
            session.execute("SET LOCAL check_function_bodies = off")
            session.execute("SET LOCAL search_path = pg_catalog")
            session.execute(old.encode())
            row = session.execute(_FUNCTION, [name.name]).fetchone()
    except psycopg.Error:
        return False
    return row is not None and row["text"] == new
