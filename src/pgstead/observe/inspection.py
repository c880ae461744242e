"""What `inspect` and `top` ask a running server, as the monitoring role and with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from pgstead.errors import NotRunningError, SqlError
from pgstead.model.advice import Answers, Row, Subject, Unseen
from pgstead.observe.lanes import Connection, Lane, Silence
from pgstead.observe.sql_files import floor, query
from pgstead.observe.telemetry import words

_CLUSTER = "postgres"
_DEADLINE = 15.0  # seconds for all databases together
_LIMIT = "5s"  # for one question: what is dear is asked by hand, not each interval


@dataclass(frozen=True, slots=True)
class Question:
    """A file in `queries/inspect`, asked once or in each database."""

    what: str
    per_database: bool = True


def _cluster(what: str) -> Question:
    return Question(what, per_database=False)


STATEMENTS = (Question("statements"), Question("statements_info"))
LIVE = (
    *map(_cluster, ("activity", "throughput", "limits", "sessions")),
    Question("statements"),
    Question("blocking"),
)
QUESTIONS: Mapping[Subject, tuple[Question, ...]] = {
    Subject.QUERIES: STATEMENTS,
    Subject.INDEXES: (
        Question("index_usage"),
        Question("index_duplicates"),
        Question("foreign_keys"),
        Question("statements"),
    ),
    Subject.BLOAT: (Question("dead_rows"), Question("index_widths"), Question("measured_tables")),
    Subject.LOCKS: (Question("blocking"), _cluster("transactions")),
    Subject.CONNECTIONS: tuple(map(_cluster, ("limits", "sessions", "transactions"))),
    Subject.VACUUM: (
        *map(_cluster, ("horizon", "slots", "freezing")),
        Question("dead_rows"),
        Question("sequences"),
    ),
    Subject.SETTINGS: (_cluster("settings"), _cluster("role_overrides")),
    Subject.FORECAST: (),  # it is told by samples alone
    Subject.PERFORMANCE: (),  # and this by the services
    Subject.IO: (Question("database_io"), _cluster("checkpoints"), _cluster("io")),
}

_Told = tuple[dict[str, tuple[Row, ...]], tuple[Unseen, ...]]


def ask(
    connect: Callable[[str], Connection],
    databases: Sequence[str],
    major: int,
    questions: Sequence[Question],
) -> Answers:
    """Ask everywhere at once, and let go of the connections.

    Raises NotRunningError where the server does not answer, SqlError where it refuses the role.
    """
    eyes = Eyes(connect, databases, major)
    try:
        return eyes.look(questions)
    finally:
        eyes.close()


class Eyes:
    """Connections that are kept open from one look to the next."""

    def __init__(
        self, connect: Callable[[str], Connection], databases: Sequence[str], major: int
    ) -> None:
        """Open nothing yet."""
        self._major = major
        self._lanes = {name: _lane(connect, name) for name in dict.fromkeys([_CLUSTER, *databases])}

    def look(self, questions: Sequence[Question], patience: float = _DEADLINE) -> Answers:
        """Ask everywhere at once, for so many seconds. Raises as `ask` does."""
        deadline = time.monotonic() + patience
        for name, lane in self._lanes.items():
            wanted = [q for q in questions if q.per_database is (name != _CLUSTER)]
            lane.begin(_asking(name, wanted, self._major))
        told = {name: lane.end(deadline) for name, lane in self._lanes.items()}
        _must_answer(told[_CLUSTER])
        return _together(told)

    def close(self) -> None:
        """Let go of the connections."""
        for lane in self._lanes.values():
            lane.close()


def _lane(connect: Callable[[str], Connection], database: str) -> Lane[_Told]:
    return Lane(database, lambda: connect(database))


def _asking(database: str, wanted: Sequence[Question], major: int) -> Callable[[Connection], _Told]:
    def asking(connection: Connection) -> _Told:
        connection.execute(f"SET statement_timeout = '{_LIMIT}'")
        rows: dict[str, tuple[Row, ...]] = {}
        unseen = [*_blind(connection)] if database == _CLUSTER else []
        for question in wanted:
            told = _answer(connection, question, database, major)
            if isinstance(told, Unseen):
                unseen.append(told)
            else:
                rows[question.what] = told
        return rows, tuple(unseen)

    return asking


def _blind(connection: Connection) -> Iterator[Unseen]:
    """Tell a role without its rights: what belongs to others is NULL for it, and no error."""
    told = connection.execute("SELECT pg_has_role('pg_monitor', 'USAGE') AS sees").fetchone()
    if told is None or not told["sees"]:
        yield Unseen(
            "what other roles do",
            "the monitoring role is no member of pg_monitor any more; `pgstead up` makes it one",
        )


def _answer(
    connection: Connection, question: Question, database: str, major: int
) -> tuple[Row, ...] | Unseen:
    what = f"inspect/{question.what}"
    subject = f"{question.what.replace('_', ' ')} of {database}"
    if major < floor(what):
        return Unseen(subject, f"PostgreSQL {major} does not tell it; {floor(what)} does")
    try:
        found = connection.execute(query(what, major)).fetchall()
    except psycopg.Error as error:
        if connection.closed or connection.broken:
            raise
        return Unseen(subject, words(error))
    return tuple({"database": database, **row} for row in found)


def _must_answer(told: _Told | Silence) -> None:
    if not isinstance(told, Silence):
        return
    if told.away:
        raise NotRunningError(
            f"asking the server failed: {told.reason}",
            hint="`pgstead status` shows what runs, `pgstead up` starts it",
        )
    raise SqlError(
        f"asking the server failed: {told.reason}",
        hint="`pgstead plan` shows what differs, `pgstead up` gives the role its rights back",
    )


def _together(told: Mapping[str, _Told | Silence]) -> Answers:
    rows: dict[str, tuple[Row, ...]] = {}
    unseen: list[Unseen] = []
    for name, found in told.items():
        if isinstance(found, Silence):
            unseen.append(Unseen(f"database {name}", found.reason))
            continue
        for what, of_database in found[0].items():
            rows[what] = (*rows.get(what, ()), *of_database)
        unseen += found[1]
    return Answers(rows, tuple(unseen), datetime.now(UTC))
