"""The seals of change histories: what rows add up to, and whether they still do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgstead.model.audit import Flaw, Kind, Record, Seal

if TYPE_CHECKING:
    import psycopg

_THERE = "SELECT to_regclass('pgstead_audit.change') IS NOT NULL AS there"
# as JSON, which writes times the same whatever DateStyle is; the port's sessions are in UTC
_SUM = """
    SELECT s.number, c.rows, c.first, c.last, c.sum
    FROM unnest(%(begins)s::xid8[], %(ends)s::xid8[]) WITH ORDINALITY AS s(begin, beyond, number)
    CROSS JOIN LATERAL (
        SELECT count(*) AS rows, min(at) AS first, max(at) AS last,
               encode(sha256(convert_to(coalesce(string_agg(
                   to_jsonb(c)::text, E'\\n' ORDER BY c.transaction, c.id), ''), 'UTF8')),
                   'hex') AS sum
        FROM pgstead_audit.change AS c
        WHERE c.transaction >= s.begin AND c.transaction < s.beyond
    ) AS c ORDER BY s.number
"""
_AT_ONCE = 500  # seals of one statement: a busy stead makes one a minute, for months


def sealed(
    connection: psycopg.Connection[dict[str, Any]], database: str, begin: str, end: str
) -> Seal | None:
    """Return what the rows of some transactions add up to, None where there is none."""
    (row,) = _sums(connection, [(begin, end)])
    if not row["rows"]:
        return None
    first, last = row["first"].isoformat(), row["last"].isoformat()
    return Seal(database, begin, end, int(row["rows"]), first, last, str(row["sum"]))


def _sums(
    connection: psycopg.Connection[dict[str, Any]], stretches: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return what the rows of each stretch add up to, in their order."""
    bounds = {"begins": [b for b, _ in stretches], "ends": [e for _, e in stretches]}
    return connection.execute(_SUM, bounds).fetchall()


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
    connection: psycopg.Connection[dict[str, Any]], mine: Sequence[Seal]
) -> Iterator[Flaw]:
    """Yield the seals of a connection's database that its rows do not add up to any more."""
    row = connection.execute(_THERE).fetchone()
    there = row is not None and bool(row["there"])
    for first in range(0, len(mine), _AT_ONCE):
        some = mine[first : first + _AT_ONCE]
        sums = _sums(connection, [(s.begin, s.end) for s in some]) if there else [None] * len(some)
        for seal, found in zip(some, sums, strict=True):
            if found and found["rows"] and found["sum"] in (seal.sum, *seal.also):
                continue
            said = "the change history is gone"
            if found is not None:
                said = f"not as they were sealed: of {seal.rows} rows {found['rows']} are there"
            yield Flaw(f"{seal.database}, changes from {seal.first} to {seal.last}", said)
