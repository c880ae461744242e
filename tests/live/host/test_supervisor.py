"""What crashes is back by itself, and what was stopped is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgstead.errors import NotRunningError, SteadError
from pgstead.host import guard, leftovers, processes, state
from tests.live.host.rig import NASTY, Rig, alive, rig_in, soon

BUSY = "SELECT count(*) FROM generate_series(1, 1000000000000) g WHERE md5(g::text) = 'x'"


@pytest.fixture(scope="module")
def running() -> Iterator[Rig]:
    """A server, a pooler and a service, in a directory with a nasty name."""
    with rig_in(NASTY) as rig:
        rig.make()
        programs = [rig.postgres, rig.bouncer, rig.service]
        rig.supervisor.configure(programs)
        for program in programs:
            rig.supervisor.start(program.name)
        yield rig


@pytest.fixture
def steady(running: Rig) -> Rig:
    """The same with everything running."""
    soon(running.sql.answers, what="the server")
    soon(running.console.answers, what="the pooler")
    soon(lambda: all(s.running for s in running.supervisor.states().values()))
    return running


def keep_busy(rig: Rig) -> threading.Thread:
    """Run a query that uses a CPU until its connection is cut."""

    def work() -> None:
        with contextlib.suppress(psycopg.Error, NotRunningError), rig.sql.connect() as connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute(BUSY)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def seen() -> bool:
        with rig.sql.connect() as connection:
            row = connection.execute(
                "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%md5(g%'"
                " AND state = 'active' AND pid <> pg_backend_pid()"
            ).fetchone()
            return row is not None and row["n"] > 0

    soon(seen, what="the busy query")
    return thread


def test_the_programs_run_as_they_were_designed(steady: Rig) -> None:
    states = steady.supervisor.states()
    wanted = {p.name: p for p in (steady.postgres, steady.bouncer, steady.service)}
    assert {name: state.digest for name, state in states.items()} == {
        name: program.digest for name, program in wanted.items()
    }
    assert {state.state for state in states.values()} == {"RUNNING"}


def test_the_servers_processes_are_found_by_their_directory(steady: Rig) -> None:
    found = leftovers.servers(steady.layout)
    with steady.sql.connect() as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
        )
        writer = row.fetchone()
    assert writer is not None
    assert {steady.pid("postgres"), writer["pid"]} <= {process.pid for process in found}


def test_a_nasty_argument_and_environment_arrive_unchanged(steady: Rig) -> None:
    pid = steady.pid(steady.service.name)
    assert NASTY in processes.arguments(pid)
    assert f"TOLD={NASTY}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_servers_never_run_as_root(steady: Rig) -> None:
    for name in ("postgres", "pgbouncer"):
        assert Path(f"/proc/{steady.pid(name)}").stat().st_uid != 0


def test_nothing_of_the_callers_environment_reaches_a_program(steady: Rig) -> None:
    for name in ("postgres", "pgbouncer", steady.service.name):
        try:
            told = Path(f"/proc/{steady.pid(name)}/environ").read_bytes()
        except PermissionError:
            pytest.skip("this root may not look into the processes of others")
        assert b"PYTEST" not in told


def test_the_supervisors_socket_is_its_users_alone(steady: Rig) -> None:
    assert Path(steady.layout.run, "sv.sock").stat().st_mode & 0o777 == 0o700


def test_a_program_holds_the_pipe_to_its_supervisor_open(steady: Rig) -> None:
    # else the supervisor may spin: a pipe without a reader is an event that never ends
    for name in ("postgres", "pgbouncer", steady.service.name):
        try:
            held = Path(f"/proc/{steady.pid(name)}/fd/0").readlink()
        except PermissionError:
            pytest.skip("this root may not look into the processes of others")
        assert held.name.startswith("pipe:")


def test_a_killed_idle_postmaster_is_back(steady: Rig) -> None:
    old = steady.pid("postgres")
    steady.kill(old)
    soon(lambda: steady.pid("postgres") != old, what="a new postmaster")
    soon(steady.sql.answers, what="the server")


def test_a_postmaster_killed_under_a_busy_query_is_back(steady: Rig) -> None:
    thread = keep_busy(steady)
    old = steady.pid("postgres")
    steady.kill(old)
    soon(lambda: steady.pid("postgres") != old, what="a new postmaster")
    soon(steady.sql.answers, what="the server")
    thread.join(10)
    assert "ending what a dead postmaster left" in steady.said("postgres")


def test_no_acknowledged_write_is_lost_when_the_postmaster_is_killed(steady: Rig) -> None:
    with steady.sql.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n bigint PRIMARY KEY)")
        connection.execute("TRUNCATE kept")
    acknowledged: list[int] = []

    def write() -> None:
        try:
            with steady.sql.connect() as connection:
                for number in range(1_000_000):
                    connection.execute("INSERT INTO kept VALUES (%s)", [number])
                    acknowledged.append(number)
        except NotRunningError:
            return

    thread = threading.Thread(target=write)
    thread.start()
    soon(lambda: len(acknowledged) > 10, what="some writes")
    steady.kill(steady.pid("postgres"))
    thread.join(120)
    soon(steady.sql.answers, what="the server")
    with steady.sql.connect() as connection:
        found = {row["n"] for row in connection.execute("SELECT n FROM kept").fetchall()}
    assert set(acknowledged) <= found


def test_a_killed_pooler_is_back(steady: Rig) -> None:
    old = steady.pid("pgbouncer")
    steady.kill(old)
    soon(lambda: steady.pid("pgbouncer") != old)
    soon(steady.console.answers, what="the pooler")


@pytest.mark.parametrize("busy", [False, True])
def test_everything_is_back_when_the_supervisor_is_killed(steady: Rig, busy: bool) -> None:
    thread = keep_busy(steady) if busy else None
    before = {name: steady.pid(name) for name in steady.supervisor.states()}
    (supervisor,) = leftovers.supervisors(steady.layout)
    steady.kill(supervisor.pid)
    for name, pid in before.items():
        soon(lambda name=name, pid=pid: steady.pid(name) != pid, what=name)
        assert not alive(pid), f"two of {name}"
    soon(steady.sql.answers)
    soon(steady.console.answers)
    if thread is not None:
        thread.join(10)
    assert len(leftovers.supervisors(steady.layout)) == 1


def test_a_killed_keeper_is_replaced_by_the_next_configure(steady: Rig) -> None:
    (keeper,) = leftovers.keepers(steady.layout)
    before = steady.pid("postgres")
    steady.kill(keeper.pid)
    soon(lambda: not keeper.alive)
    steady.supervisor.configure([steady.postgres, steady.bouncer, steady.service])
    (new,) = leftovers.keepers(steady.layout)
    assert new.pid != keeper.pid
    assert steady.pid("postgres") == before, "the server was disturbed"
    (supervisor,) = leftovers.supervisors(steady.layout)
    steady.kill(supervisor.pid)
    soon(lambda: steady.pid("postgres") != before, what="the adopted supervisor")
    soon(steady.sql.answers)


def test_orphans_are_found_and_ended_before_anything_starts(steady: Rig) -> None:
    for process in [*leftovers.keepers(steady.layout), *leftovers.supervisors(steady.layout)]:
        steady.kill(process.pid)
    # Servers that ignore the supervisor's death are made by hand: it told these to end.
    soon(lambda: not leftovers.everything(steady.layout))
    orphan = subprocess.Popen(
        ["/bin/sh", str(guard.folder(steady.layout, "postgres") / "start")],
        user=steady.host.server_user if os.geteuid() == 0 else None,
        start_new_session=True,
    )
    soon(steady.sql.answers)
    assert list(steady.supervisor.orphans())
    programs = [steady.postgres, steady.bouncer, steady.service]
    steady.supervisor.configure(programs)
    for program in programs:
        steady.supervisor.start(program.name)
    assert orphan.wait(120) == 0, "it was not ended by a fast shutdown"
    assert steady.sql.answers()
    assert not list(steady.supervisor.orphans())


def test_a_changed_program_runs_on_until_it_is_restarted(steady: Rig) -> None:
    from dataclasses import replace

    changed = replace(steady.service, environment={"TOLD": "again"}, stop_seconds=5)
    before = steady.pid(changed.name)
    steady.supervisor.configure([steady.postgres, steady.bouncer, changed])
    assert steady.pid(changed.name) == before
    assert steady.supervisor.states()[changed.name].digest == steady.service.digest
    steady.supervisor.restart(changed.name)
    assert steady.supervisor.states()[changed.name].digest == changed.digest
    steady.supervisor.configure([steady.postgres, steady.bouncer, steady.service])
    steady.supervisor.restart(changed.name)


def test_a_program_that_is_no_longer_wanted_is_ended(steady: Rig) -> None:
    old = steady.pid(steady.service.name)
    steady.supervisor.configure([steady.postgres, steady.bouncer])
    assert steady.service.name not in steady.supervisor.states()
    assert not alive(old)
    steady.supervisor.configure([steady.postgres, steady.bouncer, steady.service])
    steady.supervisor.start(steady.service.name)


def test_a_program_that_does_not_start_says_why(steady: Rig) -> None:
    steady.supervisor.stop("pgbouncer")
    ini = Path(steady.layout.pooler, "pgbouncer.ini")
    good = ini.read_bytes()
    ini.write_bytes(b"[pgbouncer]\nno_such_setting = 1\n")
    try:
        with pytest.raises(SteadError, match="no_such_setting"):
            steady.supervisor.start("pgbouncer", timeout=10)
    finally:
        ini.write_bytes(good)
    steady.supervisor.stop("pgbouncer")
    steady.supervisor.start("pgbouncer")


def test_an_unknown_program_is_said_to_be_unknown(steady: Rig) -> None:
    with pytest.raises(NotRunningError, match="no program 'nobody'"):
        steady.supervisor.start("nobody")


def test_down_leaves_no_process_no_socket_and_no_pid_file() -> None:
    with rig_in("down") as rig:
        rig.make()
        programs = [rig.postgres, rig.bouncer, rig.service]
        rig.supervisor.configure(programs)
        for program in programs:
            rig.supervisor.start(program.name)
        rig.supervisor.shutdown()
        assert not leftovers.everything(rig.layout)
        assert not leftovers.supervisors(rig.layout)
        assert not leftovers.keepers(rig.layout)
        state = Path(rig.layout.state)
        kept = [path for path in state.rglob("*") if path.is_socket() or path.suffix == ".pid"]
        assert not kept
        assert rig.supervisor.states() == {}


def test_down_ends_servers_whose_supervisor_and_keeper_are_dead() -> None:
    with rig_in("dead") as rig:
        rig.make()
        rig.supervisor.configure([rig.postgres])
        rig.supervisor.start("postgres")
        for process in [*leftovers.keepers(rig.layout), *leftovers.supervisors(rig.layout)]:
            os.kill(process.pid, signal.SIGKILL)
        rig.supervisor.shutdown()
        assert not leftovers.everything(rig.layout)


def test_the_supervisor_is_started_by_this_interpreter(steady: Rig) -> None:
    (supervisor,) = leftovers.supervisors(steady.layout)
    assert processes.arguments(supervisor.pid)[0] == sys.executable


def test_what_receives_from_the_server_starts_when_that_is_ready() -> None:
    with rig_in("plain") as rig:
        state.prepare(rig.layout, rig.host)
        data = Path(rig.layout.data)
        data.mkdir(mode=0o700)
        lock = data / "postmaster.pid"
        lock.write_text("1\n\n\n\n\n\n\nstarting\n")
        rig.supervisor.configure([rig.receiver])
        # supervisord says so a second after it started the script
        soon(lambda: rig.supervisor.states()["wal-receiver"].state == "RUNNING")
        assert leftovers.record(rig.layout, "wal-receiver") is None
        lock.write_text("1\n\n\n\n\n\n\nready   \n")
        soon(lambda: leftovers.record(rig.layout, "wal-receiver") is not None)
        lock.unlink()


def test_a_script_that_was_told_to_end_too_early_is_told_again() -> None:
    """A signal between fork and exec comes to supervisord's handler, and to nobody then."""
    with rig_in("deaf") as rig:
        state.prepare(rig.layout, rig.host)
        rig.supervisor.configure([rig.receiver])
        rig.supervisor.stop("wal-receiver")
        start = Path(guard.folder(rig.layout, "wal-receiver"), "start")
        hurried, deaf = rig.directory / "hurried", rig.directory / "deaf"
        start.write_text(
            f"stop_signal=TERM\ntrap 'trap - TERM; >{deaf}' TERM\ntrap '>{hurried}; exit' QUIT\n"
            f">{rig.directory}/there\nwhile :; do sleep 0.1; done\n"
        )
        Path(guard.folder(rig.layout, "wal-receiver"), "started").unlink(missing_ok=True)
        with contextlib.suppress(SteadError):  # it never becomes the program
            rig.supervisor.start("wal-receiver", timeout=1)
        soon((rig.directory / "there").exists)
        rig.supervisor.stop("wal-receiver", timeout=5)
        assert deaf.exists()
        assert not hurried.exists(), "it heard nothing but the harsher signal"
