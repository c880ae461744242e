"""The gate before production: look at its conditions, refuse or go on, and write down which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation
from pgstead.cli.migrating import History, chosen
from pgstead.errors import GateError, SteadError, UsageError
from pgstead.model.design import Environment
from pgstead.model.gate import Ages, Condition, Looked, Passage, Unmet, Unproven

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.design import DatabasePlan, Design
    from pgstead.model.history import Remembered, RevisionFile
    from pgstead.ports import Migrations

# Tables of somebody's: not the system's, not an extension's, not what pgstead itself keeps.
_TABLES = """
    SELECT EXISTS (
      SELECT FROM pg_catalog.pg_class AS c
      WHERE c.relkind IN ('r', 'p', 'm', 'f')
        AND c.relnamespace::regnamespace::text !~ '^"?(pg_|information_schema|pgstead)'
        AND c.oid IS DISTINCT FROM to_regclass('public.alembic_version')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                        WHERE d.objid = c.oid AND d.deptype = 'e'))
"""
_ABILITY = "SELECT current_setting('wal_level') AS level, pg_is_in_recovery() AS standby"
_SERVED = (Environment.STAGING, Environment.PRODUCTION)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is about to run on a database; whatever is taken back is not linted."""

    history: History
    revisions: tuple[RevisionFile, ...]  # in the order in which they run
    linted: bool = True


@dataclass
class MigrationGate:
    """The gate of one command. What it let through is told to the ledger and the journal."""

    invocation: Invocation
    console: Console
    override: str | None = None  # why its conditions do not count
    _passages: dict[str, Passage] = field(default_factory=dict[str, Passage])

    def __post_init__(self) -> None:
        """Raise UsageError for an override that says nothing."""
        if self.override is not None:
            self.override = " ".join(self.override.split())
            if not self.override:
                raise UsageError("--override needs a reason", hint="it is kept in the ledger")

    @cached_property
    def _wired(self) -> Wired:
        from pgstead.cli.wiring import wire

        return wire(self.invocation.manifest, self.console, tolerant=True)

    # -- looking --------------------------------------------------------------------------------

    def refuse(self, databases: Sequence[str]) -> None:
        """Look at what is pending in these databases (`ports.Gate`, for `pgstead up`)."""
        entries = chosen(databases, self.invocation)
        found = [History(entry, self.invocation) for entry in entries]
        self.examine([Wanted(h, self.pending(h)) for h in found if self.counts(h)])

    def counts(self, history: History) -> bool:
        """Say whether anything is looked at or written down; else nothing costs time."""
        return self._environment(history) in _SERVED

    def pending(self, history: History) -> tuple[RevisionFile, ...]:
        """Return what a database does not have yet, in the order in which it runs."""
        from pgstead.plan import history as planned

        done = planned.applied(history.files, self._remembered(history.entry.name).heads)
        return tuple(f for f in planned.ordered(history.files) if f.name not in done)

    def examine(self, wanted: Sequence[Wanted]) -> None:
        """Look at all conditions of all databases. Raises GateError with what is not met.

        Nothing is changed. Only production is looked at.
        """
        missing: dict[str, tuple[Unmet, ...]] = {}
        for one in wanted:
            name = one.history.entry.name
            if not one.revisions or self._environment(one.history) is not Environment.PRODUCTION:
                continue
            names = tuple(file.name for file in one.revisions)
            if self._empty(name):
                self._passages[name] = Passage(name, names, "[gate: empty database]")
                continue
            self._passages[name] = Passage(name, names, "")
            if found := self._unmet(one):
                missing[name] = found
        if missing and self.override is None:
            raise _refusal(missing)
        for name, found in missing.items():
            passage = self._passages[name]
            self._passages[name] = replace(passage, override=self.override or "", skipped=found)
        if self.override is not None and not missing:
            self.console.hint("--override skips nothing: all is met, or this is not production")

    def _environment(self, history: History) -> Environment:
        """Return the stricter one of what the manifest says and what the last `up` made."""
        from pgstead.cli.wiring import read_manifest

        stated = read_manifest(self.invocation.manifest).manifest.environment
        try:
            made = history.connection.environment
        except SteadError:
            return stated
        return Environment.PRODUCTION if made == Environment.PRODUCTION.value else stated

    def _remembered(self, database: str) -> Remembered:
        """Return what a database knows, asked by the superuser: `up` may have to mend the rest."""
        from psycopg.rows import tuple_row

        from pgstead.app import migration_ledger

        with self._wired.ports.sql.connect(database, read_only=True) as connection:
            connection.row_factory = tuple_row  # pyright: ignore[reportAttributeAccessIssue]
            return migration_ledger.read(connection)

    def _empty(self, database: str) -> bool:
        """Say whether nothing was ever migrated here, and nobody has a table in it."""
        found = self._remembered(database)
        if found.heads or found.lines:
            return False
        with self._wired.ports.sql.connect(database, read_only=True) as connection:
            row = connection.execute(_TABLES.encode()).fetchone()
        return row is not None and not row["exists"]

    def _unmet(self, one: Wanted) -> tuple[Unmet, ...]:
        from pgstead.host import clock
        from pgstead.host.backups import KnownBackups
        from pgstead.host.rehearsals import last
        from pgstead.plan.gate import unmet

        name = one.history.entry.name
        self.console.step(f"{name}: looking at what production asks for")
        ports, layout = self._wired.ports, self._wired.design.layout
        asked = self._wired.survey.source.manifest.migrations
        try:
            rehearsed = last(layout, ports.files, name)
        except SteadError as error:
            rehearsed = Unproven(error.message)
        looked = Looked(
            name,
            {file.name: file.digest for file in one.revisions},
            self._linted(one) if one.linted else (),
            rehearsed,
            KnownBackups(ports.backup).last_verified(),
            self._ability(),
        )
        return unmet(looked, Ages(asked.rehearsal_age, asked.backup_age), clock.now())

    def _linted(self, one: Wanted) -> tuple[str, ...] | Unproven:
        from pgstead.cli.linting import Asked, report_of
        from pgstead.lint.finding import Level

        names = {file.name for file in one.revisions}
        asked = Asked(self.invocation, against_live=True)
        try:
            report = report_of(one.history.entry, asked, self.console)
        except SteadError as error:
            return Unproven(error.message)
        return tuple(
            f"{finding.file}:{finding.line} [{finding.rule}] {finding.message}"
            for finding in report.at(Level.ERROR)
            if finding.revision in names
        )

    def _ability(self) -> Unproven | None:
        """Return why no restore point can be set, None where one can."""
        try:
            with self._wired.ports.sql.connect(read_only=True) as connection:
                row = connection.execute(_ABILITY).fetchone() or {}
        except SteadError as error:
            return Unproven(error.message)
        if row.get("standby"):
            return Unproven("the server is a standby")
        level = row.get("level")
        return Unproven(f"wal_level is {level}") if level == "minimal" else None

    # -- going through --------------------------------------------------------------------------

    def enter(self, one: Wanted) -> Passage:
        """Set the restore point and write the journal, right before these revisions run.

        Raises GateError where production gets no restore point, and nothing says that it need not.
        """
        history, revisions = one.history, one.revisions
        name = history.entry.name
        nothing = Passage(name, tuple(file.name for file in revisions), "")
        environment = self._environment(history) if revisions else Environment.TEST
        if environment not in _SERVED:
            return nothing
        if name not in self._passages:  # its database was not there yet
            self.examine([one])
        passage = self._passages.get(name, nothing)
        if passage.remark:  # there is nothing to come back to
            return self._journaled(passage)
        if not any(c.condition is Condition.RESTORE_POINT for c in passage.skipped):
            passage = self._pointed(passage, required=environment is Environment.PRODUCTION)
        return self._journaled(self._remarked(passage, environment))

    def _pointed(self, passage: Passage, *, required: bool) -> Passage:
        """Return the passage with the restore point that was set."""
        from pgstead.host import clock
        from pgstead.plan import gate

        name = gate.restore_point(passage.database, passage.revisions[0], clock.now())
        failed = self._set(name)
        if failed is None:
            self.console.say(f"  {passage.database}: restore point {name}")
            return replace(passage, restore_point=name)
        unmet = Unmet(Condition.RESTORE_POINT, failed, "make it possible", unproven=True)
        if not required:
            self.console.warn(f"{passage.database}: no restore point: {failed}")
            return passage
        if self.override is None:
            raise _refusal({passage.database: (unmet,)})
        return replace(passage, override=self.override, skipped=(*passage.skipped, unmet))

    def _set(self, name: str) -> str | None:
        """Set a restore point; return why not, None where it is set."""
        import psycopg

        try:
            with self._wired.ports.sql.connect() as connection:
                connection.execute("SELECT pg_create_restore_point(%s)", [name])
        except SteadError as error:
            return error.message
        except psycopg.Error as error:
            return " ".join(str(error).split())
        return None

    def _remarked(self, passage: Passage, environment: Environment) -> Passage:
        from pgstead.plan import gate

        if environment is Environment.PRODUCTION:
            told = gate.remark(passage.override, passage.skipped, passage.restore_point)
        else:
            told = f"[restore point {passage.restore_point}]" if passage.restore_point else ""
        return replace(passage, remark=told)

    def _journaled(self, passage: Passage) -> Passage:
        from pgstead.app.migration_ledger import person

        for condition in passage.skipped:
            self.console.warn(f"{passage.database}: skipped: {condition.condition}")
        self._wired.ports.journal.record(
            "migration-gate",
            database=passage.database,
            revisions=passage.revisions,
            person=person(),
            role=self._role(passage.database),
            override=passage.override or None,
            skipped=[asdict(condition) for condition in passage.skipped],
            restore_point=passage.restore_point or None,
        )
        return passage

    def _role(self, database: str) -> str:
        plan = self._wired.design.database(database)
        return plan.migrator if plan is not None else ""


@dataclass(frozen=True)
class GatedMigrations:
    """`ports.Migrations` that goes through the gate: what `pgstead up` runs."""

    inner: Migrations
    gate: MigrationGate
    invocation: Invocation

    def heads(self, plan: DatabasePlan) -> tuple[str, ...]:
        """Return the revisions that the scripts lead to."""
        return self.inner.heads(plan)

    def upgrade(self, plan: DatabasePlan, design: Design, *, reason: str = "") -> None:
        """Set the restore point, then run them. Raises GateError or SteadError."""
        history = History(chosen([plan.name], self.invocation)[0], self.invocation)
        if self.gate.counts(history):
            passage = self.gate.enter(Wanted(history, self.gate.pending(history)))
            reason = " ".join(filter(None, (reason, passage.remark)))
        self.inner.upgrade(plan, design, reason=reason)


def _refusal(missing: dict[str, tuple[Unmet, ...]]) -> GateError:
    from pgstead.plan import gate

    told = [line for name, found in missing.items() for line in gate.lines(name, found)]
    count = sum(len(found) for found in missing.values())
    return GateError(
        "\n  ".join([f"production asks for more before revisions run ({count} not met):", *told]),
        hint="--override REASON goes on without them; ledger and journal keep who did, and why",
        unmet=tuple(_plain(missing)),
    )


def _plain(missing: dict[str, tuple[Unmet, ...]]) -> Iterator[dict[str, object]]:
    for name, found in missing.items():
        for condition in found:
            yield {"database": name, **asdict(condition)}
