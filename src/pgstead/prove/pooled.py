"""How the pooler behaves under applications: sharing, queueing, replacing, preparing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import psycopg

from pgstead.model.address import Capability
from pgstead.model.design import DatabasePlan, Door
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import Login, open_session, try_login
from pgstead.prove.promise import promise
from pgstead.prove.refusal import Refusal
from pgstead.prove.session import Session
from pgstead.prove.witness import Witness

POOLER = Capability.POOLER
_NEEDS = ("pooler", "database")
_CLIENTS = 6
_ROUNDS = 20


def _pooler(w: Witness) -> Door:
    door = w.door("pooler")
    assert door is not None
    return door


def _must_answer(login: Login) -> None:
    """See that one client is served at all; where not, many show nothing."""
    tried = try_login(login)
    if tried.value.refusal is not None:
        raise CannotTryError(f"no client is let in: {tried.text}", evidence=tried.evidence)


def _port_of(session: Session) -> int:
    """Return the local port of a session, by which PgBouncer's console knows it."""
    with socket.socket(fileno=os.dup(session.connection.fileno())) as link:
        return int(link.getsockname()[1])


@promise(
    "POL-020",
    "a client holds a server connection for the length of a transaction, and no longer",
    requirement="POL-1",
    capability=POOLER,
    needs=_NEEDS,
)
def clients_share_between_transactions(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    with w.session(plan.app, plan.name, "pooler") as session:
        port = _port_of(session)
        with session.undone():
            session.ask("SELECT 1")
            yield _linked(w, port, during=True)
        yield _linked(w, port, during=False)


def _linked(w: Witness, port: int, *, during: bool) -> Finding:
    told = w.console("SHOW CLIENTS")
    mine = [r for r in told.value if int(r["port"]) == port]
    if len(mine) != 1:
        raise CannotTryError(f"the console does not know the client at port {port}")
    link = str(mine[0]["link"] or "").strip()
    when = "within a transaction" if during else "between transactions"
    return told.shows(
        holds=bool(link) is during,
        expected=f"{'a' if during else 'no'} server connection {when}",
        said=f"{when}: {'one' if link else 'no'} server connection",
        hint="pool_mode = transaction",
    )


@promise(
    "POL-021",
    "more clients than the pool has connections wait their turn, and the server sees no storm",
    requirement="POL-4 SRV-5",
    capability=POOLER,
    needs=_NEEDS,
)
def clients_queue(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    entry = next((d for d in w.design.pooler_databases if d.name == plan.name), None)
    if entry is None:
        raise CannotTryError(f"the pooler has no entry for {plan.name}", could_try=False)
    clients = min(entry.pool_size, 60) + 5
    login = w.login(_pooler(w), plan.app, plan.name)
    first = try_login(login)
    if first.value.refusal is Refusal.LIMIT:
        yield first.broken("to wait for a turn")
        return
    _must_answer(login)
    with timed() as watch, ThreadPoolExecutor(clients) as workers:
        outcomes = list(workers.map(_backend_of, [login] * clients))
    failures = [o for o in outcomes if isinstance(o, str)]
    backends = {o for o in outcomes if isinstance(o, int)}
    told = answer(
        f"{clients} clients at once, each SELECT pg_sleep(0.15): {login.shown()}",
        f"{len(backends)} server connections used, {len(failures)} failures {failures[:1]}",
        outcomes,
        watch,
    )
    most = entry.max_connections or entry.pool_size + entry.reserve_pool
    yield told.shows(
        holds=not failures and len(backends) <= most,
        expected=f"no failure, and at most {most} server connections",
    )


def _backend_of(login: Login) -> int | str:
    try:
        with open_session(login) as session:
            row = session.execute("SELECT pg_backend_pid(), pg_sleep(0.15)").fetchone()
    except psycopg.Error as error:
        return " ".join(str(error).split())
    assert row is not None
    return int(row[0])


@promise(
    "POL-022",
    "a server connection that broke is replaced before a client meets it",
    requirement="POL-5",
    capability=POOLER,
    needs=_NEEDS,
)
def broken_connections_are_replaced(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    # The read-only role's pool: the least busy one, should this be a day of work.
    with w.session(plan.readonly, plan.name, "pooler") as session:
        before = int(session.ask("SELECT pg_backend_pid()").value[0][0])
        ended = w.look(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_catalog.pg_stat_activity"
            " WHERE pid = %s AND state = 'idle'",
            [before],
        )
        if not ended.value:
            yield ended.unproven("the connection was in use again; nothing was broken")
            return
        after = session.attempt("SELECT pg_backend_pid()")
    replaced = not isinstance(after.value, psycopg.Error) and after.value[0][0] != before
    yield after.shows(
        holds=replaced,
        expected=f"another process than {before}",
        said=f"{after.text} after process {before} was ended",
    )


@dataclass
class Tally:
    """How the statements of one driver fared."""

    right: int = 0
    wrong: int = 0
    errors: tuple[str, ...] = ()

    def __str__(self) -> str:
        first = f" ({self.errors[0]})" if self.errors else ""
        return f"{self.right} right, {self.wrong} wrong, {len(self.errors)} errors{first}"

    @property
    def good(self) -> bool:
        """Say whether there were answers, and all of them were right."""
        return self.right > 0 and not self.wrong and not self.errors


@promise(
    "POL-023",
    "drivers get the right answers when they share connections, asyncpg and psycopg alike",
    requirement="POL-6 APP-1",
    capability=POOLER,
    needs=_NEEDS,
)
def drivers_get_right_answers(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    login = w.login(_pooler(w), plan.app, plan.name)
    _must_answer(login)
    ways: list[tuple[str, Callable[[], Tally]]] = [
        ("psycopg, prepare_threshold=None", lambda: _by_psycopg(login, None)),
        ("asyncpg, both caches 0", lambda: asyncio.run(_by_asyncpg(w, login))),
    ]
    if w.design.pooler is not None and w.design.pooler.prepares:
        ways.append(("psycopg, prepare_threshold=0", lambda: _by_psycopg(login, 0)))
    for name, way in ways:
        with timed() as watch:
            tally = way()
        tried = f"{_CLIENTS} x {_ROUNDS} transactions of 3 statements with {name}"
        told: Answer[Tally] = answer(tried, str(tally), tally, watch)
        yield told.shows(holds=tally.good, expected="right answers only")


def _by_psycopg(login: Login, threshold: int | None) -> Tally:
    def client(number: int) -> Tally:
        tally = Tally()
        try:
            with open_session(login) as session:
                session.prepare_threshold = threshold
                for n in range(number * 1000, number * 1000 + _ROUNDS):
                    _one_by_psycopg(session, n, tally)
        except psycopg.Error as error:
            tally.errors += (" ".join(str(error).split()),)
        return tally

    with ThreadPoolExecutor(_CLIENTS) as workers:
        return _summed(list(workers.map(client, range(1, _CLIENTS + 1))))


def _one_by_psycopg(session: psycopg.Connection[Any], n: int, tally: Tally) -> None:
    with session.transaction():
        rows = [
            session.execute("SELECT %s::int + 1", [n]).fetchone(),
            session.execute("SELECT %s::text || 'x'", [f"n{n}"]).fetchone(),
            session.execute("SELECT %s::float8 / 2", [n]).fetchone(),
        ]
    _count(tally, n, [row[0] if row else None for row in rows])


def _count(tally: Tally, n: int, got: list[object]) -> None:
    right = sum(a == b for a, b in zip(got, [n + 1, f"n{n}x", n / 2], strict=True))
    tally.right += right
    tally.wrong += 3 - right


async def _by_asyncpg(w: Witness, login: Login) -> Tally:
    context = w.trusting(login.ca)

    async def client(number: int) -> Tally:
        tally = Tally()
        try:
            session: Any = await _connect(
                host=login.host,
                port=login.port,
                user=login.user,
                database=login.database,
                passfile=login.passfile,
                ssl=context,
                timeout=login.timeout,
                statement_cache_size=0,
            )
        except (OSError, asyncpg.PostgresError) as error:
            return Tally(errors=(str(error),))
        try:
            for n in range(number * 1000, number * 1000 + _ROUNDS):
                await _one_by_asyncpg(session, n, tally)
        except asyncpg.PostgresError as error:
            tally.errors += (str(error),)
        finally:
            await session.close(timeout=5)
        return tally

    return _summed(await asyncio.gather(*(client(n) for n in range(1, _CLIENTS + 1))))


async def _one_by_asyncpg(session: Any, n: int, tally: Tally) -> None:
    async with session.transaction():
        got = [
            await session.fetchval("SELECT $1::int + 1", n),
            await session.fetchval("SELECT $1::text || 'x'", f"n{n}"),
            await session.fetchval("SELECT $1::float8 / 2", float(n)),
        ]
    _count(tally, n, got)


# asyncpg ships no types.
_connect = cast("Any", asyncpg).connect


def _summed(tallies: list[Tally]) -> Tally:
    errors = tuple(error for t in tallies for error in t.errors)
    return Tally(sum(t.right for t in tallies), sum(t.wrong for t in tallies), errors)


@promise(
    "POL-030",
    "a killed pooler is back by itself",
    requirement="REL-1 POL-5",
    capability=POOLER,
    needs=("pooler", "database", "proc"),
    disruptive=True,
    limit=60,
)
def a_killed_pooler_returns(w: Witness) -> Iterator[Finding]:
    plan: DatabasePlan = w.databases[0]
    pid = w.pooler_process()
    try:
        os.kill(pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError) as error:
        raise CannotTryError(f"process {pid} could not be killed: {error}") from error
    login = w.login(_pooler(w), plan.app, plan.name, timeout=2)
    with timed() as watch:
        back = w.wait_until(lambda: try_login(login).value.refusal is None, 20)
    said = f"answering after {watch.seconds:.2f} s" if back else "no answer"
    told = answer(f"kill -9 {pid}, then {login.shown()}", said, back, watch)
    yield told.shows(holds=bool(back), expected="an answer within 20 s", hint="`pgstead logs`")


PROMISES = (
    clients_share_between_transactions,
    clients_queue,
    broken_connections_are_replaced,
    drivers_get_right_answers,
    a_killed_pooler_returns,
)
