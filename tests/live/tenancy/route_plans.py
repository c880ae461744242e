"""The plans of what routes really ask: as the application's role, in the caller's scope.

The application runs in this process. Before each SELECT of a request the very same statement, with
the same values, is explained on the same connection, in the same transaction.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import Connection, event

from pgstead.app.transactions import STATE

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Ask:
    """A request, and the index that it is there for."""

    path: str
    index: str = ""  # one of several by `|`; empty: only that nobody else's rows are read


@dataclass(frozen=True)
class Explained:
    """A statement and the nodes of its plan."""

    statement: str
    nodes: tuple[Node, ...]

    @property
    def indexes(self) -> set[str]:
        """The indexes that the plan uses."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    def reads_all_of(self, tables: set[str]) -> list[Node]:
        """Return the nodes that go through rows of everybody: no condition leads to the caller's.

        A bitmap of an index stands below the node that names the table, so its own is looked at.
        """
        return [
            node
            for node in self.nodes
            if node.get("Relation Name") in tables
            and node["Node Type"] != "Bitmap Heap Scan"
            and "Index Cond" not in node
        ]


def below(plan: Node) -> Iterator[Node]:
    """Yield every node of a plan."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from below(inner)


def explain_routes(
    app: FastAPI, headers: Mapping[str, str], paths: Sequence[str]
) -> dict[str, list[Explained]]:
    """Return the plans of all statements of each request."""
    return asyncio.run(_explain(app, headers, paths))


async def _explain(
    app: FastAPI, headers: Mapping[str, str], paths: Sequence[str]
) -> dict[str, list[Explained]]:
    database = getattr(app.state, STATE)
    seen: list[Explained] = []
    explaining = False

    @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def _(
        connection: Connection,
        _cursor: Any,
        statement: str,
        values: Any,
        _context: Any,
        _many: bool,
    ) -> None:
        nonlocal explaining
        if explaining or not statement.lstrip().upper().startswith(("SELECT", "WITH")):
            return
        explaining = True
        try:
            told = connection.exec_driver_sql(f"EXPLAIN (FORMAT json) {statement}", values).scalar()
        finally:
            explaining = False
        plan = json.loads(told) if isinstance(told, (str, bytes)) else told
        seen.append(Explained(statement, tuple(below(plan[0]["Plan"]))))

    found: dict[str, list[Explained]] = {}
    transport = httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=dict(headers)
        ) as client:
            for path in paths:
                seen.clear()
                answer = await client.get(path)
                assert answer.status_code == 200, (path, answer.text)
                found[path] = list(seen)
    finally:
        await database.close()
    return found
