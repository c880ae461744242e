"""The scene of a sabotage: a running stead, and ways to damage it that undo themselves."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgstead.model.design import DatabasePlan, Design
from pgstead.ports import Ports
from pgstead.prove.access import Access
from pgstead.prove.finding import Verdict
from pgstead.prove.report import Report
from pgstead.prove.run import run


@dataclass
class Scene:
    """A running stead in the saboteur's hands."""

    design: Design
    ports: Ports
    access: Access
    baseline: dict[str, Verdict] = field(default_factory=dict)

    @property
    def plan(self) -> DatabasePlan:
        """The database that is damaged."""
        return self.design.databases[0]

    @property
    def state(self) -> Path:
        """The state directory."""
        return Path(self.design.layout.state)

    @property
    def hba_file(self) -> Path:
        """The rules that the server reads."""
        return self.state / "server" / "pg_hba.conf"

    @property
    def ini(self) -> Path:
        """What the pooler reads."""
        return self.state / "pooler" / "pgbouncer.ini"

    def prove(self, *select: str, design: Design | None = None, disruptive: bool = False) -> Report:
        """Try promises, against another design where the saboteur forged one."""
        return run(design or self.design, self.access, select, disruptive=disruptive)

    @property
    def pooler_crashes(self) -> int:
        """How often the pooler died by itself."""
        log = self.state / "log" / "supervisord.log"
        return len(re.findall(r"exited: pgbouncer \(.*not expected", log.read_text()))

    # -- the server -----------------------------------------------------------------------------

    def rows(self, statement: Any, *values: object, database: str = "postgres") -> list[Any]:
        """Run a statement as superuser and return its rows."""
        with self.ports.sql.connect(database) as connection:
            cursor = connection.execute(sql.SQL(statement), list(values) or None)
            return [tuple(row.values()) for row in cursor.fetchall()] if cursor.description else []

    def does(self, *statements: str, database: str = "") -> None:
        """Run statements as superuser in the damaged database."""
        for statement in statements:
            self.rows(statement, database=database or self.plan.name)

    @contextmanager
    def done_and_undone(
        self, do: str | tuple[str, ...], undo: str | tuple[str, ...], *, database: str = ""
    ) -> Iterator[None]:
        """Run statements, and others that take them back."""
        with ExitStack() as stack:
            undoing = (undo,) if isinstance(undo, str) else undo
            stack.callback(self.does, *undoing, database=database)
            self.does(*((do,) if isinstance(do, str) else do), database=database)
            yield

    def reload(self) -> None:
        """Make the server read its files, and wait until new sessions see it."""
        before = self.rows("SELECT pg_conf_load_time()")
        time.sleep(0.01)
        self.rows("SELECT pg_reload_conf()")
        self.wait(lambda: self.rows("SELECT pg_conf_load_time()") != before)

    @contextmanager
    def altered(self, **settings: str) -> Iterator[None]:
        """ALTER SYSTEM, for as long as the block lasts."""
        with ExitStack() as stack:
            stack.callback(self.reload)
            for name, value in settings.items():
                setting = sql.SQL(".").join(map(sql.Identifier, name.split("__")))
                with self.ports.sql.connect() as connection:
                    made = sql.SQL("ALTER SYSTEM SET {} = {}").format(setting, sql.Literal(value))
                    connection.execute(made)
                stack.callback(self._reset, setting)
            self.reload()
            yield

    def _reset(self, setting: sql.Composable) -> None:
        with self.ports.sql.connect() as connection:
            connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(setting))

    @contextmanager
    def role_setting(self, role: str, name: str, value: str) -> Iterator[None]:
        """Bind another value to a role; the pooler's sessions get it too."""
        (old,) = self.rows(
            "SELECT substr(c, length(%s) + 2) FROM pg_db_role_setting AS s"
            " JOIN pg_roles AS r ON r.oid = s.setrole CROSS JOIN LATERAL unnest(s.setconfig) AS c"
            " WHERE r.rolname = %s AND s.setdatabase = 0 AND lower(c) LIKE lower(%s) || '=%%'",
            name,
            role,
            name,
        ) or [(None,)]
        back = f"ALTER ROLE {role} SET {name} = '{old[0]}'"
        if old[0] is None:
            back = f"ALTER ROLE {role} RESET {name}"
        with self.done_and_undone(f"ALTER ROLE {role} SET {name} = '{value}'", back):
            self.reconnect()
            try:
                yield
            finally:
                pass
        self.reconnect()

    def restart_server(self) -> None:
        """Restart the server and wait until both doors answer."""
        self.ports.supervisor.restart("postgres")
        self.wait_for_doors()

    def restart_services(self) -> None:
        """Restart the services and wait until they answer."""
        for program in self.design.programs:
            if program.kind == "service":
                self.ports.supervisor.restart(program.name)
        self.wait(lambda: self.prove("API-001").exit_status == 0, 60)

    def wait_for_doors(self, seconds: float = 60) -> None:
        """Wait until an application is let in by every door."""

        def answering() -> bool:
            return self.prove("ROL-001").exit_status == 0

        self.wait(answering, seconds)

    # -- files ----------------------------------------------------------------------------------

    @contextmanager
    def edited(self, path: Path, change: Callable[[str], str]) -> Iterator[None]:
        """Change a file in its place, so that owner and mode stay."""
        before = path.read_text()
        path.write_text(change(before))
        try:
            yield
        finally:
            path.write_text(before)

    @contextmanager
    def hba(self, *lines: str) -> Iterator[None]:
        """Put rules before all others."""
        try:
            with self.edited(self.hba_file, lambda text: "\n".join([*lines, text])):
                self.reload()
                yield
        finally:
            self.reload()

    @contextmanager
    def mode(self, path: Path, mode: int) -> Iterator[None]:
        """Give a file another mode."""
        before = path.stat().st_mode
        path.chmod(mode)
        try:
            yield
        finally:
            path.chmod(before)

    # -- the pooler -----------------------------------------------------------------------------

    @contextmanager
    def ini_with(self, **values: str) -> Iterator[None]:
        """Change settings in pgbouncer.ini; those that it does not have are no option."""

        def changed(text: str) -> str:
            for name, value in values.items():
                text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
                assert count == 1, name
            return text

        try:
            with self.edited(self.ini, changed):
                self.ports.console.run("RELOAD")
                yield
        finally:
            self.ports.console.run("RELOAD")
            time.sleep(0.2)

    @contextmanager
    def console_set(self, name: str, value: str) -> Iterator[None]:
        """Change a setting of the running pooler alone."""
        rows = {r["key"]: r["value"] for r in self.ports.console.rows("SHOW CONFIG")}
        before = rows[name] or ""
        self.ports.console.run(f"SET {name} = '{value}'")
        try:
            yield
        finally:
            self.ports.console.run(f"SET {name} = '{before}'")

    def reconnect(self) -> None:
        """Have the pooler open its server connections anew, and wait for it."""
        # Those that are idle close at once, those in use after their transaction.
        self.ports.console.run("RECONNECT")
        self.wait(lambda: not self._stale())

    def _stale(self) -> bool:
        rows = self.ports.console.rows("SHOW SERVERS")
        return any(int(row["close_needed"]) for row in rows)

    # -- waiting --------------------------------------------------------------------------------

    def wait(self, holds: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until something holds; servers that are just starting hold nothing yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if holds():
                    return
            except (psycopg.Error, OSError):
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"did not come about within {seconds} s: {holds}")
            time.sleep(0.05)
