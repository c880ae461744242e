"""Commands beside a server that ends between two of their questions: told, and no bug of ours."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql

from pgstead.apply.session import Session
from pgstead.cli.failure import report
from pgstead.cli.invocation import Invocation
from pgstead.errors import NotRunningError, SqlError
from pgstead.host.accounts import RoleAccounts
from pgstead.host.sql import SocketSql
from pgstead.host.supervisor import LocalSupervisor
from pgstead.model.backup import BackupPlan
from pgstead.observe import snapshot
from pgstead.observe.reading import Reading
from pgstead.observe.snapshot import SERVER_KINDS
from pgstead.ports import Ports
from pgstead.workflows import backup_status, planning
from pgstead.workflows.status import status
from tests.fix_stead import LiveStead

PID = sql.SQL("SELECT pg_backend_pid() AS pid")


def end(port: SocketSql, pid: int) -> None:
    """Have the server end a session, in the words that a fast shutdown has for it."""
    with port.connect() as connection:
        row = connection.execute("SELECT pg_terminate_backend(%s, 5000) AS gone", [pid]).fetchone()
    assert row == {"gone": True}


class Ending:
    """The real socket, whose sessions end at a question, as beside a fast shutdown."""

    def __init__(self, real: Any, after: int) -> None:
        self._real = real
        self._left = after
        self._ended = False

    @contextmanager
    def connect(
        self, database: str = "postgres", *, read_only: bool = False
    ) -> Generator[psycopg.Connection[dict[str, Any]]]:
        with self._real.connect(database, read_only=read_only) as connection:
            self._left -= 1
            if self._left < 0:
                self._ended = True
                end(self._real, connection.info.backend_pid)
            yield connection

    def answers(self) -> bool:
        return not self._ended and self._real.answers()


@pytest.fixture
def port(stead: LiveStead) -> SocketSql:
    return cast("SocketSql", stead.wired.ports.sql)


@pytest.fixture(params=[0, 1], ids=["at once", "between two databases"])
def ends(request: pytest.FixtureRequest, stead: LiveStead) -> Ports:
    """Give ports to a server that ends while it is looked at."""
    real = stead.wired.ports
    return replace(real, sql=Ending(real.sql, request.param))


def lost_reading(port: SocketSql) -> Iterator[Callable[[], int]]:
    with Reading(port, 18) as reading:
        yield lambda: reading.rows(PID.format(), {})[0]["pid"]


def lost_session(port: SocketSql) -> Iterator[Callable[[], int]]:
    with Session(port) as session:
        yield lambda: session.rows(PID)[0]["pid"]


@pytest.mark.parametrize("opened", [lost_reading, lost_session], ids=["reading", "session"])
def test_a_session_that_was_ended_is_told_and_never_used_again(
    port: SocketSql, opened: Callable[[SocketSql], Iterator[Callable[[], int]]]
) -> None:
    for asked in opened(port):
        before = asked()
        end(port, before)
        with pytest.raises(NotRunningError, match="terminating connection"):
            asked()
        assert asked() != before


def test_a_change_on_a_session_that_was_ended_is_no_refusal(port: SocketSql) -> None:
    with Session(port) as session:
        end(port, session.rows(PID)[0]["pid"])
        with pytest.raises(NotRunningError, match="terminating connection") as told:
            session.run(sql.SQL("CHECKPOINT"), sql.SQL("CHECKPOINT"))
    assert "status" in told.value.hint


@pytest.mark.parametrize("opened", [Reading, Session])
def test_a_question_that_is_refused_is_told_as_that(port: SocketSql, opened: Any) -> None:
    wrong = sql.SQL("SELECT 1 / 0")
    with opened(*(port, 18)[: 2 if opened is Reading else 1]) as asking:
        given = (wrong.format(), {}) if opened is Reading else (wrong,)
        with pytest.raises(SqlError, match="division by zero"):
            asking.rows(*given)


def test_whoever_asks_by_a_connection_is_told_too(stead: LiveStead, port: SocketSql) -> None:
    design = stead.wired.design
    accounts = RoleAccounts(design, stead.wired.ports.secrets)

    def asked(given: AbstractContextManager[psycopg.Connection[dict[str, Any]]]) -> None:
        with given as connection:
            end(port, connection.info.backend_pid)
            connection.execute("SELECT 1")

    for given in (port.connect(), accounts.connect("jeex_admin", "jeex_idea", "test")):
        with pytest.raises(NotRunningError, match="terminating connection"):
            asked(given)


def test_what_another_connection_lost_is_not_blamed_on_this_one(port: SocketSql) -> None:
    with pytest.raises(psycopg.OperationalError), port.connect():
        raise psycopg.OperationalError("of somebody else")


def test_a_server_that_ends_is_unseen_by_plan(stead: LiveStead, ends: Ports) -> None:
    found = snapshot.take(stead.wired.design, ends)
    assert {str(kind) for kind in SERVER_KINDS} <= set(found.unseen)
    # nothing that was seen before it ended is half a truth
    assert not [at for at in found.resources if at.kind in SERVER_KINDS]
    assert planning.plan(stead.wired.design, ends).unknown


def test_status_shows_a_server_that_ends_as_down(stead: LiveStead, ends: Ports) -> None:
    found = status(stead.wired.design, ends)
    assert not found.answers
    assert not found.healthy


def test_status_does_not_need_a_slot_of_a_server_that_has_ended(
    stead: LiveStead, tmp_path: Any
) -> None:
    ports = replace(stead.wired.ports, sql=SocketSql(tmp_path, 5432))
    plan = cast("BackupPlan", type("Plan", (), {"slot": "pgstead"}))
    assert backup_status._slot(ports, plan) == (None, "")


def test_a_supervisor_that_ends_before_it_tells_has_no_programs(
    stead: LiveStead, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = stead.wired
    gone = replace(wired.design.layout, state=tmp_path)
    supervisor = LocalSupervisor(gone, wired.design.host)
    monkeypatch.setattr(supervisor, "_alive", lambda: True)  # a moment ago it was
    assert supervisor.states() == {}


def test_a_connection_that_was_lost_anywhere_is_no_bug(
    port: SocketSql, capsys: pytest.CaptureFixture[str]
) -> None:
    with port._open("postgres") as connection:
        end(port, connection.info.backend_pid)
        with pytest.raises(psycopg.OperationalError) as lost:
            connection.execute("SELECT 1")
    assert report(lost.value, Invocation(command="bench")) == 1
    assert "bug" not in capsys.readouterr().err
