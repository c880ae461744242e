"""Rehearse migrations: copy the cluster, run them there with others beside, go back, go again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation
from pgstead.cli.migrating import History
from pgstead.cli.rehearsal_traffic import named_in, of_file, of_tables
from pgstead.cli.rehearsal_watch import StatementWatch, files_of
from pgstead.errors import SteadError
from pgstead.host import copied
from pgstead.host.traffic import Traffic
from pgstead.model.rehearsal import Passed, Showed
from pgstead.observe import sizes
from pgstead.observe.contents import Shape, contents, shapes
from pgstead.observe.lock_watch import LockWatch
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query
from pgstead.plan.rehearsing import differences

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.host.copied import Copy
    from pgstead.model.definition import Definition
    from pgstead.model.rehearsal import Contents
    from pgstead.model.revision import TableSize

PROGRAM = "pgstead migrate"  # the application_name of `History.engine`
# What INSERT, UPDATE and DELETE take, and what is stronger.
_CHANGING = frozenset({"ROW EXCLUSIVE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"})
_SMALL = 1024**2  # bytes; how much smaller tables grow says nothing
# What the runner tells is about the original's clients; the copy has none.
_SILENT = Console(Invocation(json=True))


@dataclass(frozen=True)
class Asked:
    """What is to be rehearsed."""

    history: History  # of the original
    target: str  # what `alembic upgrade` gets
    names: tuple[str, ...]  # the revisions, in the order in which they run
    start: str  # go down to this on the copy first; empty: as it is
    clients: int
    traffic: Path | None


@dataclass
class Rehearsal:
    """One rehearsal on a running copy."""

    asked: Asked
    wired: Wired
    copy: Copy
    console: Console
    passes: list[Passed] = field(default_factory=list[Passed])
    differences: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    compared: set[str] = field(default_factory=set[str])
    filled: frozenset[str] = frozenset()  # tables that have rows before the way up
    irreversible: str = ""

    @property
    def history(self) -> History:
        """The copy's, looked at anew."""
        return replace(self.asked.history, where=self.copy.connection)

    @property
    def name(self) -> str:
        """The database."""
        return self.asked.history.entry.name

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.wired.design.build.major

    def run(self) -> tuple[str, ...]:
        """Go up with others beside, down, and up again; return where it began."""
        if self.asked.start:
            self._step(f"going down to {self.asked.start} first")
            if problem := self._pass("down", self.asked.start, kept=False).problem:
                raise SteadError(
                    f"{self.name}: the copy does not go down to {self.asked.start}: {problem}",
                    hint="rehearse what is pending, without --from",
                )
        start = self.history.found.heads
        at_start = self._looked()
        self.filled = self._filled(at_start[1])
        if self._up_with_traffic().problem:
            return start
        at_end = self._looked()
        if len(start) > 1:
            self.irreversible = f"it began at several heads: {', '.join(start)}"
            return start
        self._down_and_up(start[0] if start else "base", at_start, at_end)
        return start

    def _down_and_up(
        self,
        start: str,
        at_start: tuple[Definition, Mapping[str, Contents]],
        at_end: tuple[Definition, Mapping[str, Contents]],
    ) -> None:
        self.lost += self._losses(start)
        if self._pass("down", start).problem:
            return
        self.differences += differences("after the way down", at_start, self._looked())
        if not self._pass("up", self.asked.target).problem:
            self.differences += differences("after the second way up", at_end, self._looked())

    def _up_with_traffic(self) -> Passed:
        traffic = self._traffic()
        with self.copy.sql.connect(self.name) as session:
            session.execute("CHECKPOINT")  # what recovery left to be written is no part of this
        with traffic:
            passed = self._pass("up", self.asked.target)
        if traffic.problem is not None:
            self.notes.append(f"a client of the traffic gave up: {traffic.problem}")
        self.passes[-1] = replace(passed, waits=traffic.waits)
        return passed

    def _traffic(self) -> Traffic:
        """Return the clients: as the application with its own statements, else as the superuser.

        A superuser's statements pass by policies, whatever scope an application would be in.
        """
        clients = self.asked.clients
        if self.asked.traffic is not None:
            setup, sayings = of_file(self.asked.traffic)
            door = self.copy.logged_in(self.asked.history.entry.app)
            return Traffic(door, self.name, sayings, clients=clients, setup=setup)
        with self.copy.sql.connect(self.name) as session:
            sayings = [*of_tables(session, self._touched())]
        # else a trigger could reach something outside of the copy
        setup = [b"SET session_replication_role = replica"]
        return Traffic(self.copy.sql, self.name, sayings, clients=clients, setup=setup)

    def _touched(self) -> tuple[Shape, ...]:
        with self.copy.sql.connect(self.name) as session:
            found = shapes(session, self.major)
        texts = texts_of(self.asked.history, self.asked.names)
        return found if texts is None else named_in(texts, found)

    def _looked(self) -> tuple[Definition, Mapping[str, Contents]]:
        """Return schema and rows; that reads the tables, so what follows finds them in memory."""
        from pgstead.cli.migrate_reference import definition_of

        self._step("reading what is there, to compare it later")
        tables = self._touched()
        self.compared |= {table.shown for table in tables}
        with self.copy.sql.connect(self.name) as session:
            session.execute("SET statement_timeout = 0")
            return definition_of(self.history), contents(session, tables)

    def _filled(self, counted: Mapping[str, Contents]) -> frozenset[str]:
        """Return the tables that have rows; the planner's figures count where nobody looked."""
        with Reading(self.copy.sql, self.major) as reading:
            found = sizes.tables(reading, self.name)
        return frozenset(
            name
            for name, size in found.items()
            if (counted[name].rows if name in counted else size.rows)
        )

    def uncompared(self) -> list[str]:
        """Return the tables that the revisions may have changed without naming them."""
        locks = [k for p in self.passes for ran in p.statements for k in ran.locks]
        changed = {k.table for k in locks if k.rows and k.mode in _CHANGING}
        return sorted(changed - self.compared)

    def _losses(self, start: str) -> Iterator[str]:
        """Yield what a downgrade takes away: what is there, and what may be there by then."""
        from pgstead.cli.migrate_loss import in_words, loss_on, taken_away

        try:
            lost = loss_on(self.history, start, self.copy.sql, self.major)
            things = [in_words(thing) for thing in taken_away(self.history, start)]
        except SteadError as error:
            self.notes.append(f"what a downgrade loses is not known: {error.message}")
            return
        yield from lost
        told = {line.rpartition(" ")[2] for line in lost}
        yield from (f"whatever {name} holds by then" for name in things if name not in told)

    def _pass(self, direction: str, target: str, *, kept: bool = True) -> Passed:
        """Run Alembic one way with a watch beside it; what fails is told, not raised."""
        with self.copy.sql.connect(self.name) as session:
            session.execute("SET statement_timeout = 0")
            locks = LockWatch(session, PROGRAM, self.major)
            watch = StatementWatch(locks, self.major, self._step)
            rows = session.execute(query("table_files", self.major)).fetchall()
            watch.expect(files_of([(row["name"], row["file"]) for row in rows]))
            with locks:
                began = time.monotonic()
                problem = self._migrated(direction, target, watch)
                seconds = time.monotonic() - began
        held = [replace(lock, rows=lock.table in self.filled) for lock in locks.held]
        passed = Passed(direction, seconds, watch.statements(held), problem)
        if kept:
            self.passes.append(passed)
        return passed

    def _migrated(self, direction: str, target: str, watch: StatementWatch) -> str:
        from alembic import command as alembic

        from pgstead.app.migration_runner import Report

        run = alembic.upgrade if direction == "up" else alembic.downgrade
        try:
            with self.history.alembic(_SILENT, report=Report(observer=watch)) as config:
                run(config, target)
        except SteadError as error:  # whatever a revision raised is its cause
            reason = error.__cause__
            # what Alembic's users raise in a downgrade() that there cannot be: told, no failure
            if not isinstance(reason, NotImplementedError):
                return error.message
            self.irreversible = f"a revision says that there is none: {reason or 'no reason given'}"
            return self.irreversible
        return ""

    def _step(self, text: str) -> None:
        self.console.step(f"{self.name}: {text}")


def rehearse(asked: Asked, wired: Wired, console: Console) -> Showed:
    """Rehearse on a copy of the running cluster. Raises SteadError where that cannot be done."""
    from pgstead.cli.migrate_reference import refuse_own_ways

    history, entry = asked.history, asked.history.entry
    refuse_own_ways(history)
    before = _sizes(wired, entry.name)
    wanted = copied.Wanted(
        design=wired.design,
        sql=wired.ports.sql,
        database=entry.name,
        prefix=history.connection.prefix,
        roles={
            purpose: getattr(entry, purpose) for purpose in ("migrator", "readonly", "admin", "app")
        },
        headroom=2 * sum(size.bytes for size in _written(asked, before)),
    )
    began = time.monotonic()
    with console.working(), copied.running(wanted, console) as copy:
        rehearsal = Rehearsal(asked, wired, copy, console)
        start = rehearsal.run()
        if left := rehearsal.uncompared():
            rehearsal.notes.append(f"rows that were not compared: those of {', '.join(left)}")
    return Showed(
        database=entry.name,
        start=start,
        revisions=asked.names,
        copied_bytes=copy.backup.bytes,
        cloned=copy.backup.cloned,
        copy_seconds=copy.backup.seconds,
        seconds=time.monotonic() - began,
        passes=tuple(rehearsal.passes),
        growth=_growth(before, _sizes(wired, entry.name)),
        differences=tuple(rehearsal.differences),
        lost=tuple(rehearsal.lost),
        notes=(*copy.notes, *rehearsal.notes, *_notes(asked, copy)),
        irreversible=rehearsal.irreversible,
    )


def texts_of(history: History, names: Sequence[str]) -> list[str] | None:
    """Return the statements of revisions, both ways; None where they need a server to be known."""
    from pgstead.host.revisions import AlembicRevisions

    entry = history.entry
    roles = {p: getattr(entry, p) for p in ("app", "admin", "readonly", "migrator", "owner")}
    try:
        scripts = AlembicRevisions(history.root).written(entry.migrations, roles)
    except SteadError:
        return None
    ways = [way for s in scripts if s.name in names for way in (s.upgrade, s.downgrade)]
    if any(way.problem for way in ways):
        return None
    return [statement.text for way in ways for statement in way.statements]


def _sizes(wired: Wired, database: str) -> Mapping[str, TableSize]:
    with Reading(wired.ports.sql, wired.design.build.major) as reading:
        return sizes.tables(reading, database)


def _written(asked: Asked, found: Mapping[str, TableSize]) -> list[TableSize]:
    """Return the sizes of what may be written anew."""
    texts = texts_of(asked.history, asked.names)
    if texts is None:
        return [*found.values()]
    words = " ".join(texts).lower()
    return [size for name, size in found.items() if name.rpartition(".")[2].lower() in words]


def _growth(before: Mapping[str, TableSize], now: Mapping[str, TableSize]) -> Mapping[str, float]:
    return {
        name: max(1.0, now[name].bytes / size.bytes)
        for name, size in before.items()
        if name in now and size.bytes > _SMALL
    }


def _notes(asked: Asked, copy: Copy) -> Iterator[str]:
    buffers = copy.settings["shared_buffers"]
    yield f"the copy's server had shared_buffers = {buffers}, and the tables in memory"
    if asked.traffic is None and asked.clients:
        yield (
            f"traffic: {asked.clients} clients, each some 50 statements a second: a row read by its"
            " key, a row updated to what it was and rolled back; no trigger fired for them"
        )
