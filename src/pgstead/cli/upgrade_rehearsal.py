"""An upgrade rehearsed: a copy of the cluster is upgraded, timed, and compared with what it was."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.errors import BusyError, NotRunningError
from pgstead.host import clock, copied, engine_line, processes, reprinting, statistics
from pgstead.host.pg_upgrade import PgUpgrade, end_strays
from pgstead.host.restored import LocalRestoredServer
from pgstead.model.upgrade import RehearsedUpgrade, Seconds
from pgstead.observe import upgrading as looked
from pgstead.plan import upgrading
from pgstead.plan.rehearsing import differences

if TYPE_CHECKING:
    from pgstead.cli.console import Console
    from pgstead.cli.wiring import Wired
    from pgstead.host.copied import Copy
    from pgstead.host.upgrading import LocalUpgrade
    from pgstead.model.upgrade import Mode, Release
    from pgstead.observe.upgrading import Whole
    from pgstead.ports import Sql
    from pgstead.ports.backup import SocketAddress

_TO_STOP = 600.0  # seconds
_TO_START = 600.0
_TURN = 600.0
_BUSY = 2.0  # waiting for each processor: the copying that went before counts, too


def rehearse(
    old: Wired, new: Wired, host: LocalUpgrade, ends: tuple[Release, Release], mode: Mode,
    console: Console,
) -> RehearsedUpgrade:  # fmt: skip
    """Rehearse on a copy, of which nothing is left. Raises UpgradeError where it fails."""
    wanted = copied.Wanted(
        design=old.design,
        sql=old.ports.sql,
        database="postgres",
        prefix="",
        roles={},
        headroom=0,  # was reckoned with before
    )
    with copied.running(wanted, console) as copy:
        return _tried(old, new, host, ends, mode, copy, console)


def _tried(
    old: Wired, new: Wired, host: LocalUpgrade, ends: tuple[Release, Release], mode: Mode,
    copy: Copy, console: Console,
) -> RehearsedUpgrade:  # fmt: skip
    place = Path(copy.settings["unix_socket_directories"].strip('"'))
    source, target = place / "data", place / "next"
    console.step("reading what is there, to compare it later")
    before = looked.whole(copy.sql, old.design.build.major)
    with ExitStack() as timed:
        notes = timed.enter_context(_nothing_else(old))
        stop = _stopped(copy, place)
        cluster = old.ports.cluster.inspect()
        assert cluster is not None
        console.step("making the new cluster")
        host.make(target, source, cluster)
        console.step(f"running pg_upgrade on the copy ({mode})")
        program = PgUpgrade(old.design, new.design, source, target)
        upgraded = _ran(program, mode)
        console.step("starting the new version on the copy")
        began = time.monotonic()
        with LocalRestoredServer(new.design).start(target, timeout=_TO_START) as server:
            started = time.monotonic() - began
            counted = _counted(new, server.address)
            engine = engine_line.pace()
            timed.close()
            console.step("comparing it with what it was")
            after = looked.whole(server.sql, old.design.build.major)
            found = tuple(_differences(before, after, server.sql, ends))
    return RehearsedUpgrade(
        *ends,
        mode,
        at=clock.stamp(),
        bytes=copy.backup.bytes,
        seconds=Seconds(stop, upgraded, started, counted, engine),
        rows=before.rows,
        tables=before.tables,
        objects=before.objects,
        databases=len(before.databases),
        statistics=(after.statistics, before.statistics),
        differences=found,
        notes=(*copy.notes, *notes),
    )


@contextmanager
def _nothing_else(old: Wired) -> Generator[list[str]]:
    """Have no backup, verification or drill begin while something is timed.

    An upgrade waits for these, too, and then stops the agent that would begin them. Gives what is
    to be said of the times, which nothing keeps short where others need the processors.
    """
    notes: list[str] = []
    cpus, load = old.design.host.cpus, os.getloadavg()[0]
    if load > _BUSY * cpus:
        told = f"the machine was busy, a load of {load:.0f} on {cpus:g} processors"
        notes.append(f"{told}: all times may be far off")
    with ExitStack() as held:
        try:
            if (backup := old.ports.backup) is not None:
                held.enter_context(backup.turns.making(patience=_TURN))
                held.enter_context(backup.turns.letting_go(patience=_TURN))
        except BusyError:
            notes.append("a backup, verification or drill ran meanwhile: the times are too long")
        yield notes


def _ran(program: PgUpgrade, mode: Mode) -> float:
    began = time.monotonic()
    try:
        program.run(mode)
    finally:
        end_strays(program.source, program.target)
    return time.monotonic() - began


def _counted(new: Wired, address: SocketAddress) -> float:
    began = time.monotonic()
    statistics.first(new.design, socket=address.directory, port=str(address.port))
    return time.monotonic() - began


def _stopped(copy: Copy, place: Path) -> float:
    """Stop the server of the copy as the real one will be; return the seconds that it took."""
    with copy.sql.connect() as session:
        session.execute("SET statement_timeout = 0")
        session.execute("CHECKPOINT")
    server = processes.look(int((place / "pid").read_text(encoding="ascii")))
    if server is None:
        raise NotRunningError("the server of the copy is gone", hint="rehearse again")
    began = time.monotonic()
    processes.send(server, signal.SIGINT)
    if processes.wait_until_gone([server], _TO_STOP):
        raise NotRunningError(
            "the server of the copy does not stop", hint="`pgstead status`; rehearse again"
        )
    return time.monotonic() - began


def _differences(
    before: Whole, after: Whole, server: Sql, ends: tuple[Release, Release]
) -> Iterator[str]:
    """Yield what is not as it was. `server` is of the newer version."""
    for name in sorted(before.single.keys() | after.single.keys()):
        was, is_ = before.single.get(name), after.single.get(name)
        if was != is_:
            how = "gone" if is_ is None else "new" if was is None else "another"
            yield f"{name} is {how}"
    old, new = (end.major for end in ends)
    for name in sorted(before.databases.keys() | after.databases.keys()):
        if name not in before.databases or name not in after.databases:
            yield f"the database {name} is {'gone' if name in before.databases else 'new'}"
            continue
        (wanted, rows), (found, more) = before.databases[name], after.databases[name]
        wanted, found = upgrading.expected(wanted, old, new), upgrading.comparable(found, old)
        wanted = reprinting.reprinted(server, name, wanted, found)
        yield from differences(name, (wanted, rows), (found, more))
