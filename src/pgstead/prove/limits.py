"""Time-outs: nothing that an application starts, waits for or forgets lasts for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg

from pgstead.model.address import Capability
from pgstead.prove.finding import Answer, Finding
from pgstead.prove.promise import promise
from pgstead.prove.session import Session
from pgstead.prove.witness import Witness

_UNITS = {"": 1, "us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_IDLE_LIMIT = 15 * 60_000


def milliseconds(text: str) -> int | None:
    """Return what a time setting means, in its base unit of milliseconds; None for nonsense."""
    match = re.fullmatch(r"\s*(\d+)\s*([a-z]*)\s*", text)
    if match is None or match[2] not in _UNITS:
        return None
    return int(int(match[1]) * _UNITS[match[2]])


def effective(session: Session, name: str) -> Answer[int]:
    """Return a time setting as this session has it, in milliseconds."""
    told = session.ask("SELECT setting, unit FROM pg_catalog.pg_settings WHERE name = %s", [name])
    value = milliseconds("".join(part or "" for part in told.value[0])) if told.value else None
    return Answer(told.tried, told.text, value or 0, told.seconds, told.at)


def _application_has(w: Witness, name: str) -> Iterator[Finding]:
    """Judge a time limit as the applications' sessions have it, by every door."""
    for plan in w.databases:
        wanted = milliseconds(w.wanted_setting(plan.app, plan.name, name)) or 0
        for door in w.doors:
            with w.session(plan.app, plan.name, door.name) as session:
                told = effective(session, name)
            yield told.shows(
                holds=told.value > 0 and (not wanted or told.value <= wanted),
                expected=f"{wanted} ms" if wanted else "a limit",
                said=f"{told.value} ms",
                hint="`pgstead up` sets the role's limits again",
            )


def _ends_with(
    session: Session, state: str, statement: str, values: tuple[object, ...] = ()
) -> Finding:
    """Judge a statement that a time limit has to end."""
    result = session.attempt(statement, values)
    if not isinstance(result.value, psycopg.Error):
        return result.broken(f"SQLSTATE {state}")
    if result.value.sqlstate == state:
        return result.kept()
    return result.unproven(f"ended for another reason than {state}")


@promise(
    "SRV-020",
    "a statement of an application that takes too long is ended",
    requirement="SRV-8",
    capability=Capability.SERVER,
    needs=("door", "database"),
)
def long_statements_end(w: Witness) -> Iterator[Finding]:
    yield from _application_has(w, "statement_timeout")
    plan = w.databases[0]
    for door in w.doors:
        with w.session(plan.app, plan.name, door.name) as session, session.undone():
            session.attempt("SET LOCAL statement_timeout = '50ms'")
            yield _ends_with(session, "57014", "SELECT pg_sleep(2)")


@promise(
    "SRV-021",
    "an application that waits too long for a lock is told so",
    requirement="SRV-8",
    capability=Capability.SERVER,
    needs=("door", "database"),
)
def long_lock_waits_end(w: Witness) -> Iterator[Finding]:
    yield from _application_has(w, "lock_timeout")
    plan, door = w.databases[0], w.doors[-1].name
    key = 0x7067737465616421  # no application takes this advisory lock
    with w.session(plan.app, plan.name, door) as first, first.undone():
        first.ask("SELECT pg_advisory_xact_lock(%s)", [key])
        with w.session(plan.app, plan.name, door) as second, second.undone():
            second.attempt("SET LOCAL lock_timeout = '50ms'")
            yield _ends_with(second, "55P03", "SELECT pg_advisory_xact_lock(%s)", (key,))


@promise(
    "SRV-022",
    "a transaction that an application forgot is ended",
    requirement="SRV-8",
    capability=Capability.SERVER,
    needs=("door", "database"),
)
def forgotten_transactions_end(w: Witness) -> Iterator[Finding]:
    yield from _application_has(w, "idle_in_transaction_session_timeout")
    plan, door = w.databases[0], w.doors[0].name
    with w.session(plan.app, plan.name, door) as session:
        session.attempt("BEGIN")
        # asked for first: on a busy machine the 20 ms are over before a further statement comes
        backend = int(session.ask("SELECT pg_backend_pid()").value[0][0])
        session.attempt("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        gone = w.wait_until(lambda: not _lives(w, backend), seconds=3)
        seen = w.look("SELECT state FROM pg_catalog.pg_stat_activity WHERE pid = %s", [backend])
        yield seen.shows(holds=bool(gone), expected="the session to be ended after 20 ms")
        # The session is gone: what libpq would say on closing it tells nothing more.
        session.connection.close()


def _lives(w: Witness, backend: int) -> bool:
    told = w.look("SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = %s", [backend])
    return bool(told.value)


@promise(
    "SRV-023",
    "a session that does nothing is ended within 15 minutes",
    requirement="SRV-8",
    capability=Capability.SERVER,
    needs=("door", "database"),
)
def idle_sessions_end(w: Witness) -> Iterator[Finding]:
    pooled = w.door("pooler") is not None
    for role, plan in w.people():
        wanted = milliseconds(w.wanted_setting(role, plan.name, "idle_session_timeout")) or 0
        with w.session(role, plan.name, w.doors[0].name) as session:
            told = effective(session, "idle_session_timeout")
        # A limit on a pooled role would cut the pooler's own idle connections (3 errors in 100);
        # there the pooler lets its idle clients go instead.
        by_pooler = pooled and wanted == 0
        good = told.value == 0 if by_pooler else 0 < told.value <= _IDLE_LIMIT
        yield told.shows(
            holds=good,
            expected="0, since the pooler ends idle clients" if by_pooler else "1 ms to 15 min",
            said=f"{told.value} ms",
        )
    if pooled:
        config = w.pooler_config()
        seconds = float(config.value.get("client_idle_timeout") or 0)
        yield config.shows(
            holds=0 < seconds <= _IDLE_LIMIT / 1000,
            expected="client_idle_timeout of at most 900 s",
            said=f"client_idle_timeout {seconds:g} s",
        )


PROMISES = (long_statements_end, long_lock_waits_end, forgotten_transactions_end, idle_sessions_end)
