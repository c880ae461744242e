"""The seals of change histories: what rows add up to, and whether they still do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgstead.model.audit import Flaw, Kind, Record, Seal

if TYPE_CHECKING:
    import psycopg

_THERE = "SELECT to_regclass('pgstead_audit.change') IS NOT NULL AS there"
# as JSON, which writes times the same whatever DateStyle is; the port's sessions are in UTC
_SUM = """
    SELECT count(*) AS rows, min(at) AS first, max(at) AS last,
           encode(sha256(convert_to(coalesce(
               string_agg(to_jsonb(c)::text, E'\\n' ORDER BY c.transaction, c.id), ''), 'UTF8')),
               'hex') AS sum
    FROM pgstead_audit.change AS c
    WHERE c.transaction >= %(begin)s::xid8 AND c.transaction < %(end)s::xid8
"""


def sealed(
    connection: psycopg.Connection[dict[str, Any]], database: str, begin: str, end: str
) -> Seal | None:
    """Return what the rows of some transactions add up to, None where there is none."""
    row = connection.execute(_SUM, {"begin": begin, "end": end}).fetchone()
    if row is None or not row["rows"]:
        return None
    first, last = row["first"].isoformat(), row["last"].isoformat()
    return Seal(database, begin, end, int(row["rows"]), first, last, str(row["sum"]))


def seals(records: Iterable[Record]) -> tuple[Seal, ...]:
    """Return the seals in the trail whose rows retention has left."""
    found: list[Seal] = []
    before: dict[str, str] = {}
    for record in records:
        detail: Mapping[str, Any] = record.body.get("detail") or {}
        if record.body.get("kind") == Kind.SEAL and "sum" in detail:
            found.append(Seal(**detail))
        elif record.body.get("kind") == Kind.EXPIRED and "history" in detail:
            name = str(detail["history"])
            before[name] = max(before.get(name, ""), str(detail["before"]))
        elif record.body.get("kind") == Kind.ERASED:
            found = [_also(seal, detail.get("seals", ())) for seal in found]
    return tuple(s for s in found if s.first[:10] >= before.get(s.database, ""))


def _also(seal: Seal, others: Iterable[Mapping[str, Any]]) -> Seal:
    """Return a seal that is whole too as an erasure left its rows.

    As they were it stays whole: an erasure is told before it is committed, and may not be.
    """
    stretch = (seal.database, seal.begin, seal.end)
    sums = (str(o["sum"]) for o in others if (o["database"], o["begin"], o["end"]) == stretch)
    return replace(seal, also=(*seal.also, *sums))


def broken_seals(
    connection: psycopg.Connection[dict[str, Any]], mine: Iterable[Seal]
) -> Iterator[Flaw]:
    """Yield the seals of a connection's database that its rows do not add up to any more."""
    row = connection.execute(_THERE).fetchone()
    there = row is not None and bool(row["there"])
    for seal in mine:
        where = f"{seal.database}, changes from {seal.first} to {seal.last}"
        if not there:
            yield Flaw(where, "the change history is gone")
            continue
        found = sealed(connection, seal.database, seal.begin, seal.end)
        if found is None or found.sum not in (seal.sum, *seal.also):
            rows = 0 if found is None else found.rows
            yield Flaw(where, f"not as they were sealed: of {seal.rows} rows {rows} are there")
