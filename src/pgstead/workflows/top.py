"""top: look at the running server again and again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import psycopg

from pgstead.model.advice import Answers, Row, Unseen
from pgstead.model.design import Design
from pgstead.model.live import Busy, Picture, Rate
from pgstead.observe import inspection
from pgstead.observe.inspection import Eyes
from pgstead.observe.lanes import Connection, Lane, Silence
from pgstead.ports.telemetry import Monitor

_PATIENCE = 5.0  # seconds for one look
_CONSOLE = "pgbouncer"
_STATEMENTS = 10


class Watching:
    """Keeps the connections, and what the look before told."""

    def __init__(self, design: Design, monitor: Monitor) -> None:
        """Open nothing yet."""
        names = [d.name for d in design.databases]
        self._eyes = Eyes(monitor.connect, names, design.build.major)
        self._console: Lane[tuple[Row, ...]] | None = None
        if design.pooler is not None:
            self._console = Lane("pooler", monitor.console)
        self._before: Answers | None = None

    def look(self) -> Picture:
        """Look once. Raises NotRunningError, SqlError where the server tells nothing."""
        if self._console is not None:
            self._console.begin(_pools)
        answers = self._eyes.look(inspection.LIVE, _PATIENCE)
        # the server was waited for, so the pooler had its time
        pools = self._console.end(0.0) if self._console is not None else None
        unseen = answers.unseen
        if isinstance(pools, Silence):
            unseen, pools = (*unseen, Unseen("the pooler", pools.reason)), None
        before, self._before = self._before, answers
        return _picture(answers, before, pools, unseen)

    def close(self) -> None:
        """Let go of the connections."""
        self._eyes.close()
        if self._console is not None:
            self._console.close()


def _pools(connection: Connection) -> tuple[Row, ...]:
    rows = psycopg.ClientCursor(connection).execute(b"SHOW POOLS").fetchall()
    return tuple(r for r in rows if r["database"] != _CONSOLE)


def _picture(
    answers: Answers,
    before: Answers | None,
    pools: tuple[Row, ...] | None,
    unseen: tuple[Unseen, ...],
) -> Picture:
    server = next((r for r in answers.of("limits") if r["scope"] == "server"), None)
    states: dict[str, float] = {}
    for row in answers.of("sessions"):
        states[str(row["state"])] = states.get(str(row["state"]), 0.0) + row["sessions"]
    return Picture(
        answers.at,
        None if before is None else (answers.at - before.at).total_seconds(),
        None if server is None else (server["used"], server["allowed"]),
        tuple(sorted(states.items())),
        tuple(_rates(answers, before)),
        answers.of("activity"),
        sum(bool(r["blockers"]) for r in answers.of("blocking"))
        if "blocking" in answers.rows
        else None,
        pools,
        tuple(_busy(answers, before))[:_STATEMENTS],
        unseen,
    )


def _rates(answers: Answers, before: Answers | None) -> Iterator[Rate]:
    then = {str(r["datname"]): r for r in before.of("throughput")} if before else {}
    for row in answers.of("throughput"):
        old = then.get(str(row["datname"]))
        if old is None or row["transactions"] < old["transactions"]:  # the first, or a reset
            yield Rate(str(row["datname"]), None, None, None)
            continue
        seconds = max(_seconds(row["at"], old["at"]), 1e-3)
        read, hit = row["read"] - old["read"], row["hit"] - old["hit"]
        yield Rate(
            str(row["datname"]),
            (row["transactions"] - old["transactions"]) / seconds,
            read / seconds,
            hit / (hit + read) if hit + read > 0 else None,
        )


def _seconds(now: datetime, then: datetime) -> float:
    return (now - then).total_seconds()


def _busy(answers: Answers, before: Answers | None) -> Iterator[Busy]:
    """Yield what took the most since the look before, of those that took the most in all."""
    if before is None:
        return
    then = {_named(r): r for r in before.of("statements")}
    found: list[Busy] = []
    for row in answers.of("statements"):
        old = then.get(_named(row))
        calls = row["calls"] - (old["calls"] if old else 0)
        seconds = row["seconds"] - (old["seconds"] if old else 0)
        if calls > 0 and seconds >= 0:
            found.append(Busy(*_named(row), calls, seconds, str(row["query"])))
    yield from sorted(found, key=lambda b: -b.seconds)


def _named(row: Row) -> tuple[str, str, str]:
    return str(row["database"]), str(row["usename"]), str(row["queryid"])
