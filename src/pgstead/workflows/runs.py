"""Runs that are written down before they begin, and however they end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

import psycopg

from pgstead.errors import BusyError, SteadError
from pgstead.model.backup import Ending, Task
from pgstead.ports import Ports, Sql
from pgstead.ports.backup import BackupCatalog
from pgstead.ports.integrity import CarePorts


@dataclass
class Record:
    """What a run tells of itself while it runs."""

    number: int
    keep: Callable[[Mapping[str, object]], None]
    backup: str = ""
    detail: dict[str, object] = field(default_factory=dict[str, object])
    ending: Ending = Ending.DONE  # what it has come to, unless an error ends it
    error: str = ""

    def note(self, **detail: object) -> None:
        """Keep on the disk what it has come to: a run that is killed tells nothing afterwards."""
        self.detail |= detail
        self.keep(self.detail)


@contextmanager
def recorded(catalog: BackupCatalog, task: Task, cause: str, name: str = "") -> Generator[Record]:
    """Keep a run in a catalog, however it ends; of those that were killed it is noted too."""
    catalog.settle()
    number = catalog.begin(task, cause, name)
    record = Record(number, lambda detail: catalog.note(number, detail), name)
    try:
        yield record
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        told = "interrupted" if stopped else str(error) or type(error).__name__
        ending = Ending.INTERRUPTED if stopped else Ending.FAILED
        catalog.end(record.number, ending, backup=record.backup, detail=record.detail, error=told)
        raise
    catalog.end(
        record.number, record.ending, backup=record.backup, detail=record.detail,
        error=record.error,
    )  # fmt: skip


class TableOutcome(Protocol):
    """What a run did to a table."""

    table: str
    why: str  # it is not done, or not all of it


Done = TypeVar("Done", bound=TableOutcome)


@dataclass(frozen=True, slots=True)
class TableRun:
    """A run that goes from table to table."""

    ports: Ports
    cause: str
    at: datetime | None  # another moment than the server's now
    record: Record
    note: Callable[[], None]  # what was done until then, for the case of a kill


@contextmanager
def table_by_table(
    ports: Ports, task: Task, cause: str, done: list[Done],
    told: Callable[[list[Done]], dict[str, object]], at: datetime | None = None,
) -> Generator[TableRun]:  # fmt: skip
    """Do a job once at a time, and write down what is `told` of the tables that are `done`.

    One that is not done has failed the run, and not the other tables. Raises BusyError.
    """
    with alone(ports.sql, task), recorded(care_of(ports).runs, task, cause) as record:
        try:
            yield TableRun(ports, cause, at, record, lambda: record.note(**told(done)))
        finally:
            record.detail |= told(done)
        if bad := [table for table in done if table.why]:
            record.ending = Ending.FAILED
            record.error = "; ".join(f"{table.table}: {table.why}" for table in bad)


def care_of(ports: Ports) -> CarePorts:
    """Return what data is cared for with. Raises SteadError where there is nothing."""
    if ports.care is None:
        raise SteadError(
            "there is no server here whose data could be cared for",
            hint="`pgstead up` on the machine that it runs on",
        )
    return ports.care


@contextmanager
def alone(port: Sql, task: Task) -> Generator[None]:
    """Do a job once at a time on this server. Raises BusyError, and waits for nobody."""
    name = {"name": f"pgstead {task}"}
    with port.connect() as connection:
        connection.execute("SET idle_session_timeout = 0")
        mine = connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%(name)s, 0)) AS mine", name
        ).fetchone()
        if mine is None or not mine["mine"]:
            raise BusyError(
                f"{task} is running already",
                hint=f"wait for it; `pgstead {task} history` shows since when",
            )
        try:
            yield
        finally:
            # a backend whose client is gone keeps its locks for a moment, and the next run is there
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0))", name)
