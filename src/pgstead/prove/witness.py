"""The stranger: knows the design, the CA and some passfiles, and tries."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import psycopg
from psycopg.rows import tuple_row

from pgstead.errors import SteadError
from pgstead.model.design import DatabasePlan, Design, Door, here
from pgstead.model.resources import Role, RoleSetting
from pgstead.ports import Row
from pgstead.prove import processes, wire
from pgstead.prove.access import Access
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import Login, open_patiently, try_login
from pgstead.prove.refusal import classified
from pgstead.prove.session import Session, Statement

T = TypeVar("T")

DOORS = ("direct", "pooler")


@dataclass
class Witness:
    """Tries what a promise says. Holds what costs a second to find out, for one run."""

    design: Design
    access: Access
    notes: dict[str, Any] = field(default_factory=dict[str, Any])

    # -- what there is to try -------------------------------------------------------------------

    def lacks(self, need: str) -> str | None:
        """Say why a need of a promise is not met here, or None when it is."""
        met: dict[str, tuple[Callable[[], object], str]] = {
            "direct": (lambda: self.door("direct"), "this stead has no direct TCP door"),
            "pooler": (lambda: self.door("pooler"), "this stead has no pooler"),
            "door": (lambda: self.doors, "this stead has no TCP door"),
            "database": (lambda: self.design.databases, "the manifest names no database"),
            "schema": (lambda: self.migrated, "no database of the manifest has migrations"),
            "backup": (lambda: self.design.backup, "this stead makes no backups"),
            "telemetry": (lambda: self.design.telemetry, "this stead is not watched"),
            "alerts": (lambda: self.design.alerts, "this stead evaluates no alerts"),
            "audit": (lambda: self.design.audit, "this stead is not audited"),
            "upkeep": (
                lambda: self.design.upkeep and self.design.upkeep.automatic,
                "no windows of upkeep are kept here",
            ),
            "history": (
                lambda: self.design.audit and self.design.audit.histories,
                "no changes of rows are kept here",
            ),
            "service": (lambda: self.design.services, "this stead runs no service"),
            "mirror": (
                lambda: self.design.backup and self.design.backup.mirror,
                "this stead keeps no copy of its backups in object storage",
            ),
            "mounts": (self.access.devices.visible, "this system shows no mounts in /proc"),
            "proc": (processes.available, "this system shows no processes in /proc"),
            "openssl": (lambda: self.access.openssl, "the program openssl is not installed"),
            "psql": (lambda: self.access.psql, "the program psql was not found"),
        }
        try_it, why = met[need]
        return None if try_it() else why

    @property
    def doors(self) -> tuple[Door, ...]:
        """The doors with TLS that lead to the databases."""
        return tuple(d for d in self.design.doors if d.name in DOORS and d.tls)

    def door(self, name: str) -> Door | None:
        """Return a TCP door, or None where this stead has none of that name."""
        return next((d for d in self.doors if d.name == name), None)

    @property
    def databases(self) -> tuple[DatabasePlan, ...]:
        """The databases of the manifest."""
        return self.design.databases

    @property
    def migrated(self) -> tuple[DatabasePlan, ...]:
        """The databases whose schema migrations keep."""
        return tuple(d for d in self.databases if d.migrations)

    def imported_from(self, plan: DatabasePlan) -> PurePosixPath:
        """Return the directory that a database's models are imported from."""
        return self.design.layout.manifest_directory / plan.imported_from

    @property
    def state(self) -> Path:
        """The state directory."""
        return Path(self.design.layout.state)

    @property
    def places(self) -> tuple[tuple[Door, str], ...]:
        """Every door with every address that it listens on."""
        return tuple((door, here(host)) for door in self.doors for host in door.hosts)

    def people(self) -> tuple[tuple[str, DatabasePlan], ...]:
        """Return the roles of each database that log in."""
        return tuple(
            (role, plan)
            for plan in self.databases
            for role in (plan.app, plan.admin, plan.migrator, plan.readonly)
        )

    def wanted_setting(self, role: str, database: str, name: str) -> str:
        """Return what the design wants a role's session to have, empty where it says nothing."""
        for scope in ((role, database), (role, ""), ("", database)):
            found = self.design.stead.find(RoleSetting, f"{scope[0]}/{scope[1]}/{name}")
            if found is not None:
                return found.value
        return self.design.settings.get(name, "")

    def logins(self) -> tuple[Role, ...]:
        """Return the roles that may log in by a password."""
        superuser = self.design.superuser
        return tuple(r for r in self.design.stead.all(Role) if r.login and r.name != superuser)

    # -- logging in -----------------------------------------------------------------------------

    def login(self, door: Door, role: str, database: str, **changed: Any) -> Login:
        """Return the way in that a well-behaved client takes; name what to do otherwise."""
        proper = Login(
            user=role,
            database=database,
            host=door.here,
            port=door.port,
            ca=str(self.design.layout.ca),
            passfile=str(self.design.layout.passfile(role)),
        )
        return replace(proper, **changed)

    @contextmanager
    def session(self, role: str, database: str, door: str = "direct") -> Generator[Session]:
        """Open a session by a door; where that fails nothing is proven."""
        place = self.door(door)
        if place is None:
            raise CannotTryError(self.lacks(door) or "no such door", could_try=False)
        with self.session_by(
            self.login(place, role, database), f"{role}@{database} by {door}"
        ) as s:
            yield s

    @contextmanager
    def session_by(self, login: Login, label: str) -> Generator[Session]:
        """Open a session by a login."""
        try:
            connection = open_patiently(login)
        except psycopg.Error as error:
            words = str(error).strip()
            reason = f"{label} could not log in ({classified(words)})"
            failed = try_login(login)
            raise CannotTryError(reason, evidence=failed.evidence) from error
        with connection:
            yield Session(connection, label)

    def greet(self, caller: wire.Caller, context: ssl.SSLContext | None) -> Answer[wire.Greeting]:
        """Send the first messages of the protocol by hand."""
        link = "TLS" if context else "plaintext"
        if context is not None and context.maximum_version == ssl.TLSVersion.TLSv1_2:
            link = "TLS 1.2 at most"
        extra = "".join(f" {name}={value}" for name, value in caller.parameters)
        origin = f" from {caller.source}" if caller.source else ""
        tried = (
            f"socket{origin} to {caller.host}:{caller.port}, {link},"
            f" StartupMessage user={caller.user} database={caller.database}{extra}"
        )
        with timed() as watch:
            try:
                greeting = wire.greet(caller, context)
            except OSError as error:
                raise CannotTryError(f"{tried}: {error}") from error
        return answer(tried, str(greeting), greeting, watch)

    def trusting(self, ca: str | None = None) -> ssl.SSLContext:
        """Return a TLS client that trusts the foundation's CA alone (or another file)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(ca or str(self.design.layout.ca))
        except (OSError, ssl.SSLError) as error:
            raise CannotTryError(f"the CA file cannot be read: {error}") from error
        return context

    # -- looking behind the scenes --------------------------------------------------------------

    @contextmanager
    def backstage(self, database: str = "postgres", *, write: bool = False) -> Generator[Session]:
        """Ask on the administrative socket. `write` is for scratch roles, removed again."""
        with self.administrative(database, write=write) as connection:
            connection.row_factory = tuple_row  # pyright: ignore[reportAttributeAccessIssue]
            yield Session(connection, f"{self.design.superuser}@{database} by socket")

    @contextmanager
    def administrative(
        self, database: str = "postgres", *, write: bool = False
    ) -> Generator[psycopg.Connection[dict[str, Any]]]:
        """Open the administrative socket; where that fails nothing is proven."""
        try:
            with self.access.ports.sql.connect(database, read_only=not write) as connection:
                yield connection
        except SteadError as error:
            raise CannotTryError(f"the administrative socket: {error.message}") from error

    def look(
        self,
        statement: Statement,
        values: Sequence[object] = (),
        database: str = "postgres",
    ) -> Answer[list[tuple[Any, ...]]]:
        """Ask the server on the administrative socket, read-only."""
        with self.backstage(database) as session:
            return session.ask(statement, values)

    def nowhere(
        self,
        statement: Statement,
        hint: str,
        *,
        values: Sequence[object] = (),
        expected: str = "no row",
    ) -> Generator[Finding]:
        """Yield of each database whether a question of what should not be there has no answer."""
        for plan in self.databases:
            told = self.look(statement, values, plan.name)
            yield told.shows(holds=not told.value, expected=expected, hint=hint)

    def console(self, command: str) -> Answer[Sequence[Row]]:
        """Ask PgBouncer's console."""
        tried = f"PgBouncer console: {command}"
        with timed() as watch:
            try:
                rows = self.access.ports.console.rows(command)
            except SteadError as error:
                raise CannotTryError(f"{tried}: {error.message}") from error
        return answer(tried, f"{len(rows)} rows", rows, watch)

    def pooler_config(self) -> Answer[dict[str, str]]:
        """Return what the running PgBouncer has (SHOW CONFIG)."""
        told = self.console("SHOW CONFIG")
        values = {str(r["key"]): str(r["value"] or "") for r in told.value}
        return Answer(told.tried, told.text, values, told.seconds, told.at)

    def setting(self, name: str) -> Answer[str]:
        """Return a setting of the running server, as pg_settings has it."""
        told = self.look("SELECT setting FROM pg_catalog.pg_settings WHERE name = %s", [name])
        value = str(told.value[0][0]) if told.value else ""
        return Answer(told.tried, told.text, value, told.seconds, told.at)

    def postmaster(self) -> int:
        """Return the server's first process: the parent of any of its backends."""
        try:
            with self.backstage() as session:
                backend = int(session.ask("SELECT pg_backend_pid()").value[0][0])
                return processes.parent(backend)
        except FileNotFoundError as error:
            raise CannotTryError(
                "the server's processes are not visible here", could_try=False
            ) from error

    def pooler_process(self) -> int:
        """Return PgBouncer's process."""
        state = self.access.ports.supervisor.states().get("pgbouncer")
        if state is None or state.pid is None:
            raise CannotTryError("the supervisor knows no running pgbouncer")
        return state.pid

    # -- time -----------------------------------------------------------------------------------

    def wait_until(self, holds: Callable[[], T | None], seconds: float = 5.0) -> T | None:
        """Return the first answer that is not None or False, or None when time is up."""
        deadline = time.monotonic() + seconds
        while True:
            found = holds()
            if found:
                return found
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.05)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Do what is slow once a run, for the promises that look at the same thing."""
        if name not in self.notes:
            self.notes[name] = make()
        return self.notes[name]
