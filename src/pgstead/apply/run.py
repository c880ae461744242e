"""execute(plan, design, ports): the operations in order, each one journaled."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from pgstead.apply import audit, audited_tables, backup, databases, local, restarting, roles, server
from pgstead.apply.session import Session
from pgstead.errors import InitializationError, NotRunningError
from pgstead.model.address import Kind
from pgstead.model.design import Design, Program
from pgstead.model.operation import Impact, Operation, Plan
from pgstead.model.resources import ServerProcess
from pgstead.ports import Ports

LAST = frozenset({"service", "archiver", "agent"})  # kinds of program that start after all else


@dataclass
class _Run:
    """One execution, with what has to happen once after a group of operations."""

    design: Design
    ports: Ports
    session: Session
    configured: bool = False
    last: list[Operation] = field(default_factory=list[Operation])  # start after all else
    later: set[str] = field(default_factory=set[str])  # reload, restart, pooler-reload


def execute(plan: Plan, design: Design, ports: Ports) -> None:
    """Carry out a plan. Stops at the first failure; running it again continues.

    The state directory and its tree are there already (host.state.prepare).

    Raises SteadError of the failing step.
    """
    with Session(ports.sql) as session:
        run = _Run(design, ports, session)
        for operation in _in_order(plan.operations, design):
            if run.later and operation.address.kind is not Kind.FILE:
                _settle_before(run, operation)
            ports.journal.record("doing", operation=operation.verb, at=str(operation.address))
            _perform(run, operation)
            ports.journal.record("done", operation=operation.verb, at=str(operation.address))
        _settle(run)
        if not plan.unknown:
            _start_last(run)


def _in_order(operations: tuple[Operation, ...], design: Design) -> list[Operation]:
    """Start programs by priority: a pooler before its server would wait out a login retry."""
    priority = {program.name: program.priority for program in design.programs}
    processes = [o for o in operations if o.address.kind is Kind.PROCESS]
    processes.sort(key=lambda operation: priority.get(operation.address.key, 0))
    refill = iter(processes)
    return [next(refill) if o.address.kind is Kind.PROCESS else o for o in operations]


def _perform(run: _Run, operation: Operation) -> None:
    match operation.address.kind:
        case (
            Kind.CLUSTER
            | Kind.SECRET
            | Kind.KEY_RING
            | Kind.BACKUP_KEY
            | Kind.CERTIFICATE
            | Kind.FILE
            | Kind.PROCESS
        ):
            _perform_locally(run, operation)
        case Kind.SETTING:
            run.later.add("restart" if operation.impact is Impact.RESTART else "reload")
        case Kind.OVERRIDE:
            server.override(operation, run.design, run.ports, run.session)
            run.later.add("reload")
        case Kind.POOLER_SETTING:
            run.later.add(
                "pooler-restart" if operation.impact is Impact.RESTART else "pooler-reload"
            )
        case Kind.REVISION:
            _migrate(run, operation)
        case Kind.CHANGE_HISTORY:
            audit.history(operation, run.design, run.session)
        case Kind.AUDITED_TABLES:
            audited_tables.grants(operation, run.design, run.session)
        case _:
            _perform_sql(run, operation)


def _perform_locally(run: _Run, operation: Operation) -> None:
    design, ports = run.design, run.ports
    match operation.address.kind:
        case Kind.CLUSTER:
            ports.progress.step("initializing the data directory")
            local.cluster(operation, design, ports)
        case Kind.SECRET:
            local.secret(operation, design, ports)
        case Kind.KEY_RING:
            local.key_ring(operation, design, ports)
        case Kind.BACKUP_KEY:
            backup.key(operation, ports)
        case Kind.CERTIFICATE:
            local.certificate(operation, ports)
        case Kind.FILE:
            local.file(operation, design, ports)
        case _:
            _process(run, operation)
    if local.touches_server(operation):
        run.later.add("reload")
    if local.touches_pooler(operation):
        run.later.add("pooler-reload")


def _process(run: _Run, operation: Operation) -> None:
    assert isinstance(operation.resource, ServerProcess)
    name = operation.resource.name
    if operation.after is not None and name in _last(run.design):
        run.last.append(operation)
        return
    if not run.configured:
        run.ports.supervisor.end_orphans()
        run.ports.supervisor.configure(_early_programs(run))
        run.configured = True
    run.ports.progress.step(f"starting {name}" if operation.after else f"stopping {name}")
    local.process(operation, run.ports)
    run.later -= {"reload", "restart"} if name == "postgres" else {"pooler-reload"}


def _last(design: Design) -> frozenset[str]:
    """Return the programs that need databases, migrations or the replication slot."""
    return frozenset(p.name for p in design.programs if p.kind in LAST)


def _early_programs(run: _Run) -> list[Program]:
    """Return the programs that may start now: not those that need what is still to be made."""
    there = run.ports.supervisor.states()
    last = _last(run.design)
    return [p for p in run.design.programs if p.name not in last or p.name in there]


def _start_last(run: _Run) -> None:
    """Start services, whose databases have been migrated by now (API-6), and what backs up."""
    if not run.last:
        return
    run.ports.supervisor.configure(run.design.programs)
    for operation in run.last:
        run.ports.progress.step(f"starting {operation.resource.key}")
        local.process(operation, run.ports)


def _perform_sql(run: _Run, operation: Operation) -> None:
    match operation.address.kind:
        case Kind.ROLE:
            roles.role(operation, run.ports.secrets, run.session)
        case Kind.MEMBERSHIP:
            roles.membership(operation, run.design.build.major, run.session)
        case Kind.ROLE_SETTING:
            roles.setting(operation, run.session)
        case Kind.DATABASE:
            databases.database(operation, run.session)
        case Kind.SCHEMA:
            databases.schema(operation, run.session)
        case Kind.EXTENSION:
            databases.extension(operation, run.session)
        case Kind.ROUTINE:
            databases.routine(operation, run.session)
        case Kind.GRANT:
            databases.grant(operation, run.session)
        case Kind.SLOT:
            backup.slot(operation, run.session, run.ports)
        case Kind.DEFAULT_PRIVILEGE:
            databases.default_privilege(operation, run.session)
        case other:
            raise AssertionError(f"nothing carries out {other}")


def _migrate(run: _Run, operation: Operation) -> None:
    database = run.design.database(operation.address.key)
    if database is None:
        raise InitializationError(f"no database {operation.address.key!r} in the manifest")
    run.ports.progress.step(f"migrating {database.name}")
    run.ports.migrations.upgrade(database, run.design)
    if operation.before is not None and run.design.pooler is not None:
        # a type may have changed, and pooled connections remember the old one (ADR 0010)
        with suppress(NotRunningError):  # then it remembers nothing
            run.ports.console.at_rest(f'RECONNECT "{database.name}"')


def _settle_before(run: _Run, operation: Operation) -> None:
    """Reload before SQL that may depend on it; restarts wait for the end of the plan.

    Also where a restart comes: a new database's migrator is let in by pg_hba.conf as it is now.
    """
    if operation.address.kind in (Kind.SETTING, Kind.OVERRIDE, Kind.PROCESS):
        return
    if "reload" in run.later and run.ports.sql.answers():
        server.reload(run.session)
        run.later.discard("reload")


def _settle(run: _Run) -> None:
    pooled = run.design.pooler is not None
    if "restart" in run.later:
        restarting.restart(run.ports, anyway=True)
    elif "reload" in run.later and run.ports.sql.answers():
        server.reload(run.session)
    if not pooled:
        return
    if "pooler-restart" in run.later:
        run.ports.progress.step("restarting pgbouncer")
        run.ports.supervisor.restart("pgbouncer")
    elif "pooler-reload" in run.later:
        try:
            run.ports.console.at_rest("RELOAD")
        except NotRunningError:
            return  # it reads its file when it starts
