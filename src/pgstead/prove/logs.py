"""What has to be in the logs is there: slow statements, waits, temporary files, refusals."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.resources import Extension
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.session import Session
from pgstead.prove.witness import Witness

SERVER = Capability.SERVER
_PATIENCE = 3000  # milliseconds: a promise is not tried with a statement slower than this


@dataclass(frozen=True)
class LogTail:
    """A log from the point where it was opened."""

    path: Path
    start: int

    @classmethod
    def at_end(cls, path: Path) -> LogTail:
        """Remember where the log ends now."""
        try:
            return cls(path, path.stat().st_size)
        except OSError as error:
            raise CannotTryError(f"the log {path} cannot be read: {error.strerror}") from error

    def text(self) -> str:
        """Return what was written since."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read().decode(errors="replace")

    def awaited(self, w: Witness, pattern: re.Pattern[str], seconds: float = 3) -> Answer[str]:
        """Wait for a line; the answer's value is the match, empty when none came."""
        with timed() as watch:
            found = w.wait_until(lambda: pattern.search(self.text()), seconds)
        said = found[0] if found else "no such line"
        return answer(
            f"grep -E '{pattern.pattern}' '{self.path}'", said, said if found else "", watch
        )


def server_log(w: Witness) -> LogTail:
    """Return the server's log from here on."""
    told = w.look(
        "SELECT coalesce(pg_current_logfile('stderr'), pg_current_logfile()),"
        " current_setting('data_directory')"
    )
    name, data = told.value[0]
    if not name:
        raise CannotTryError("the server collects no log", evidence=told.evidence)
    return LogTail.at_end(Path(data, name))


def pooler_log(w: Witness) -> LogTail:
    """Return PgBouncer's log from here on."""
    config = w.pooler_config()
    path = config.value.get("logfile", "")
    if not path:
        raise CannotTryError("PgBouncer writes no log file", evidence=config.evidence)
    return LogTail.at_end(Path(path))


def marker() -> str:
    """Return a word that no one else writes."""
    return f"pgstead_proof_{secrets.token_hex(6)}"


def by_direct_or_pooler(w: Witness) -> str:
    """Return the door for statements that the log should show: the direct one where there is."""
    return w.doors[0].name


@dataclass(frozen=True)
class Logged:
    """A statement that was run to be logged."""

    mark: str
    tail: LogTail
    ran: Answer[object]
    backend: int
    role: str
    database: str


def _slow_statement(w: Witness) -> Logged:
    thresholds = w.look(
        "SELECT name, setting::int FROM pg_catalog.pg_settings"
        " WHERE name IN ('log_min_duration_statement', 'auto_explain.log_min_duration')"
    )
    slowest = max((int(value) for _name, value in thresholds.value), default=-1)
    if not 0 <= slowest <= _PATIENCE:
        slowest = max(
            (int(v) for _n, v in thresholds.value if 0 <= int(v) <= _PATIENCE), default=1000
        )
    plan, mark, tail = w.databases[0], marker(), server_log(w)
    with w.session(plan.app, plan.name, by_direct_or_pooler(w)) as session:
        backend = int(session.ask("SELECT pg_backend_pid()").value[0][0])
        statement = sql.SQL("SELECT pg_sleep({}) AS {}").format(
            sql.Literal(slowest / 1000 + 0.05), sql.Identifier(mark)
        )
        ran = session.ask(statement)
    return Logged(
        mark,
        tail,
        Answer(ran.tried, ran.text, None, ran.seconds, ran.at),
        backend,
        plan.app,
        plan.name,
    )


def slow_statement(w: Witness) -> Logged:
    """Run one slow statement for all the promises that look for it in the log."""
    return w.once("slow statement", lambda: _slow_statement(w))


@promise(
    "SRV-030",
    "a slow statement is logged, with time, process, user and database",
    requirement="SRV-9",
    capability=SERVER,
    needs=("door", "database"),
)
def slow_statements_are_logged(w: Witness) -> Iterator[Finding]:
    ran = slow_statement(w)
    yield ran.ran.kept()
    # whose statements are all logged is told the duration without the text again
    # (https://www.postgresql.org/docs/18/runtime-config-logging.html, log_min_duration_statement)
    line = re.compile(
        rf".*duration: [0-9.]+ ms .*{ran.mark}.*"
        rf"|.*\[{ran.backend}\].*(?:statement|execute \S+): .*{ran.mark}.*\n"
        rf"(?:.*\n)*?.*\[{ran.backend}\].*duration: [0-9.]+ ms$",
        re.MULTILINE,
    )
    told = ran.tail.awaited(w, line)
    yield told.shows(
        holds=bool(told.value), expected="the statement", hint="log_min_duration_statement"
    )
    if told.value:
        needed = {"process": str(ran.backend), "user": ran.role, "database": ran.database}
        missing = [what for what, text in needed.items() if text not in told.value]
        dated = re.search(r"\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d", told.value)
        missing += [] if dated else ["time"]
        yield told.shows(
            holds=not missing, expected=f"{', '.join(missing)} in it", hint="log_line_prefix"
        )


@promise(
    "SRV-031",
    "the plan of a slow statement is logged",
    requirement="TEL-5",
    capability=SERVER,
    needs=("door", "database"),
)
def slow_plans_are_logged(w: Witness) -> Iterator[Finding]:
    ran = slow_statement(w)
    yield ran.ran.kept()
    told = ran.tail.awaited(w, re.compile(rf"Query Text\W+.*{ran.mark}.*"))
    yield told.shows(
        holds=bool(told.value),
        expected="its plan",
        hint="auto_explain belongs into shared_preload_libraries, with log_min_duration",
    )


@promise(
    "SRV-032",
    "a long wait for a lock is logged",
    requirement="SRV-9",
    capability=SERVER,
    needs=("door", "database"),
)
def lock_waits_are_logged(w: Witness) -> Iterator[Finding]:
    told = w.look("SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'")
    patience = int(told.value[0][0])
    if patience > _PATIENCE:
        yield told.unproven(f"waits are logged after {patience} ms only, which was not waited for")
        return
    plan, mark, tail, door = w.databases[0], marker(), server_log(w), by_direct_or_pooler(w)
    key = 0x7067737465616422
    with w.session(plan.app, plan.name, door) as first, first.undone():
        first.ask("SELECT pg_advisory_xact_lock(%s)", [key])
        with w.session(plan.app, plan.name, door) as second, second.undone():
            _wait_in_vain(second, key, mark, patience + 100)
    line = tail.awaited(w, re.compile(rf".*still waiting for[\s\S]*?{mark}.*"))
    yield line.shows(holds=bool(line.value), expected="the wait", hint="log_lock_waits")


def _wait_in_vain(session: Session, key: int, mark: str, milliseconds: int) -> None:
    session.attempt(f"SET LOCAL lock_timeout = {milliseconds:d}")
    locking = sql.SQL("SELECT pg_advisory_xact_lock({}) AS {}")
    session.attempt(locking.format(sql.Literal(key), sql.Identifier(mark)))


@promise(
    "SRV-033",
    "a temporary file is logged",
    requirement="SRV-9",
    capability=SERVER,
    needs=("door", "database"),
)
def temporary_files_are_logged(w: Witness) -> Iterator[Finding]:
    plan, mark, tail = w.databases[0], marker(), server_log(w)
    with w.session(plan.app, plan.name, by_direct_or_pooler(w)) as session, session.undone():
        session.attempt("SET LOCAL work_mem = '64kB'")
        spill = sql.SQL(
            "SELECT count(*) AS {} FROM (SELECT g, md5(g::text)"
            " FROM generate_series(1, 20000) AS g ORDER BY 2 OFFSET 0) AS sorted"
        )
        ran = session.ask(spill.format(sql.Identifier(mark)))
    yield ran.kept()
    line = tail.awaited(w, re.compile(rf".*temporary file:[\s\S]*?{mark}.*"))
    yield line.shows(holds=bool(line.value), expected="the file", hint="log_temp_files = 0")


@promise(
    "SRV-034",
    "statements are counted in pg_stat_statements",
    requirement="TEL-5",
    capability=SERVER,
    needs=("door", "database"),
)
def statements_are_counted(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    where = [e.database for e in w.design.stead.all(Extension) if e.name == "pg_stat_statements"]
    database = where[0] if where else "postgres"
    count = sql.SQL(
        "SELECT coalesce(sum(s.calls), 0)::int FROM {}.pg_stat_statements AS s"
        " WHERE s.query LIKE '%pgstead_proof_counted%' AND s.userid = {}::regrole"
    ).format(sql.Identifier(_schema_of(w, database)), sql.Literal(_quoted(w, plan.app)))
    before = w.look(count, database=database)
    with w.session(plan.app, plan.name, by_direct_or_pooler(w)) as session:
        # Constants and aliases do not tell statements apart: the shape has to be our own.
        session.ask(
            "SELECT 40 + 2 AS pgstead_proof_counted WHERE current_user = session_user"
            " AND 1 BETWEEN 0 AND 2 AND 'proof' NOT LIKE 'doubt%'"
        )
    after = w.look(count, database=database)
    calls = int(after.value[0][0]) - int(before.value[0][0])
    yield after.shows(
        holds=calls == 1,
        expected="one call more, of the statement just run",
        said=f"{calls} call(s) more",
        hint="pg_stat_statements belongs into shared_preload_libraries, with track = top",
    )


def _quoted(w: Witness, name: str) -> str:
    return str(w.look("SELECT quote_ident(%s)", [name]).value[0][0])


def _schema_of(w: Witness, database: str) -> str:
    told = w.look(
        "SELECT n.nspname FROM pg_catalog.pg_extension AS e"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'pg_stat_statements'",
        database=database,
    )
    if not told.value:
        raise CannotTryError(
            f"the extension pg_stat_statements is not in database {database}",
            evidence=told.evidence,
        )
    return str(told.value[0][0])


PROMISES = (
    slow_statements_are_logged,
    slow_plans_are_logged,
    lock_waits_are_logged,
    temporary_files_are_logged,
    statements_are_counted,
)
