"""The pooler: in transaction mode, by SCRAM through a look-up, bounded, and by itself again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from pgstead.catalog import gaps
from pgstead.model.address import Capability
from pgstead.model.design import DatabasePlan, Door
from pgstead.model.resources import PoolerSetting, Routine
from pgstead.prove import pooled
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import Login, LoginResult, must_be_let_in, must_be_refused, try_login
from pgstead.prove.promise import promise
from pgstead.prove.refusal import Refusal, classified
from pgstead.prove.scratch import scratch_name
from pgstead.prove.server import stated
from pgstead.prove.session import Session
from pgstead.prove.wire import Caller
from pgstead.prove.witness import Witness

POOLER = Capability.POOLER
_NEEDS = ("pooler", "database")
CONSOLE = "pgbouncer"  # the name of PgBouncer's own database


@promise(
    "POL-001",
    "every setting of the running pooler is the designed one",
    requirement="POL-1 POL-9",
    capability=POOLER,
    needs=("pooler",),
)
def settings_are_the_designed_ones(w: Witness) -> Iterator[Finding]:
    told = w.pooler_config()
    wanted = {s.name: s.value for s in w.design.stead.all(PoolerSetting)}
    odd = [
        f"{name} is {told.value.get(name, 'unknown')}, designed {value}"
        for name, value in sorted(wanted.items())
        if told.value.get(name) != value
    ]
    yield told.shows(
        holds=bool(wanted) and not odd,
        expected="no difference",
        said="; ".join(odd) or f"{len(wanted)} settings, all as designed",
        hint="`pgstead up` writes them and reloads the pooler",
    )


@promise(
    "POL-002",
    "the look-up hands out the passwords of applications, and of no one else",
    requirement="POL-2",
    capability=POOLER,
    needs=("pooler", "database"),
)
def the_lookup_is_discreet(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        call = _lookup_call(w, plan)
        with w.backstage(plan.name, write=True) as session:
            yield _looked_up(w, session, call, plan.app, rows=1)
            yield _looked_up(w, session, call, w.design.superuser, rows=0)
            yield _looked_up(w, session, call, w.design.lookup_role, rows=0)
            yield _looked_up(w, session, call, scratch_name(), rows=0)
            for options in (
                "LOGIN SUPERUSER",
                "LOGIN REPLICATION",
                "LOGIN VALID UNTIL '2020-01-01'",
                "NOLOGIN",
            ):
                yield _looked_up(w, session, call, scratch_name(), rows=0, options=options)


def _lookup_call(w: Witness, plan: DatabasePlan) -> sql.Composed:
    routine = next((r for r in w.design.stead.all(Routine) if r.database == plan.name), None)
    if routine is None:
        raise CannotTryError(f"the design has no look-up in {plan.name}", could_try=False)
    schema, _, name = routine.signature.partition("(")[0].partition(".")
    return sql.SQL("SELECT * FROM {}(%s)").format(sql.Identifier(schema, name))


def _looked_up(
    w: Witness,
    session: Session,
    call: sql.Composed,
    name: str,
    *,
    rows: int,
    options: str = "",
) -> Finding:
    """Ask as the look-up role, in a transaction that never comes about."""
    with session.undone():
        if options:
            # A verifier of nothing, so that there is something to be handed out.
            stored = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$" + ":".join(["A" * 43 + "="] * 2)
            make = sql.SQL("CREATE ROLE {} PASSWORD {} {}").format(
                sql.Identifier(name),
                sql.Literal(stored),
                sql.SQL(options),  # pyright: ignore[reportArgumentType]
            )
            session.ask(make)
        session.ask(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(w.design.lookup_role)))
        told = session.ask(call, [name])
    who = f"a role with {options}" if options else name
    shown = Answer(f"{told.tried} ({who})", "", None, told.seconds, told.at)
    return shown.shows(
        holds=len(told.value) == rows,
        expected=f"{rows} row(s)",
        said=f"{len(told.value)} row(s)",
        hint="the look-up function was changed; `pgstead up` writes it anew",
    )


@promise(
    "POL-003",
    "no one but the look-up role may call the look-up",
    requirement="POL-2",
    capability=POOLER,
    needs=("pooler", "database"),
)
def the_lookup_is_closed(w: Witness) -> Iterator[Finding]:
    for plan in w.databases:
        call = _lookup_call(w, plan)
        told = w.look(
            "SELECT p.oid::regprocedure::text, a.grantee::regrole::text"
            " FROM pg_catalog.pg_proc AS p"
            " CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a"
            " WHERE p.pronamespace = to_regnamespace('pgstead') AND a.grantee <> p.proowner"
            " AND a.grantee <> to_regrole(%s) ORDER BY 1, 2",
            [_quoted(w, w.design.lookup_role)],
            plan.name,
        )
        yield told.shows(holds=not told.value, expected="no row")
        for role in (plan.app, plan.readonly, plan.admin):
            # The admin's few places are not for a pool to keep.
            door = w.doors[0] if role == plan.admin else w.doors[-1]
            with w.session(role, plan.name, door.name) as session:
                yield session.must_refuse(call, [plan.app])


def _quoted(w: Witness, name: str) -> str:
    return str(w.look("SELECT quote_ident(%s)", [name]).value[0][0])


@promise(
    "POL-004",
    "no password of an application is copied to the pooler",
    requirement="POL-2",
    capability=POOLER,
    needs=("pooler",),
)
def the_userlist_is_short(w: Witness) -> Iterator[Finding]:
    config = w.pooler_config()
    path = Path(config.value.get("auth_file", ""))
    try:
        with timed() as watch:
            lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CannotTryError(f"the userlist {path}: {error.strerror}") from error
    entries = {line.split('" "')[0].strip('" '): line for line in lines if line.strip()}
    told = answer(f"names in '{path}'", ", ".join(sorted(entries)) or "none", None, watch)
    # A pooler before 1.19 cannot look up who asks for its console (auth_dbname).
    allowed = {w.design.lookup_role}
    if w.design.pooler is not None and w.design.pooler.version < (1, 19, 0):
        allowed.add(w.design.monitor_role)
    yield told.shows(holds=entries.keys() <= allowed, expected=" and ".join(sorted(allowed)))
    asked = config.value.get("auth_type", "")
    yield config.shows(
        holds=asked in {"scram-sha-256", "hba"},
        expected="auth_type = scram-sha-256",
        said=f"auth_type = {asked}",
    )


@promise(
    "POL-005",
    "the pooler is the designed version; what it lacks is stated, and never bears production",
    requirement="POL-8 SRV-12",
    capability=POOLER,
    needs=("pooler",),
)
def the_version_is_known(w: Witness) -> Iterator[Finding]:
    told = w.console("SHOW VERSION")
    text = " ".join(str(v) for row in told.value for v in row.values())
    shown = Answer(told.tried, text, text, told.seconds, told.at)
    wanted = w.design.pooler
    assert wanted is not None
    yield shown.shows(holds=wanted.text in text.split(), expected=wanted.text)
    yield stated(w, shown, gaps.of_pooler(wanted.version))


@promise(
    "POL-006",
    "statistics are readable by the monitoring role, which can change nothing",
    requirement="POL-3",
    capability=POOLER,
    needs=_NEEDS,
)
def the_monitor_reads_statistics(w: Witness) -> Iterator[Finding]:
    door = w.door("pooler")
    assert door is not None
    login = _console_login(w, door, w.design.monitor_role)
    tried = try_login(login, ask=False)
    yield must_be_let_in(tried, hint="stats_users, and a way for the pooler to know the password")
    if tried.value.refusal is not None:
        return
    with w.session_by(login, "the monitor") as session:
        for command in ("SHOW STATS", "SHOW POOLS"):
            told = _simple(session, command)
            yield told.shows(holds=told.value is None, expected="statistics")
        # RELOAD does no harm where it is let through; PAUSE or SHUTDOWN would.
        told = _simple(session, "RELOAD")
        yield told.shows(
            holds=told.value is not None and "admin access needed" in told.text,
            expected="a refusal: admin access needed",
        )


def _console_login(w: Witness, door: Door, role: str) -> Login:
    return w.login(door, role, CONSOLE)


def _simple(session: Session, command: str) -> Answer[str | None]:
    """Send a command by the simple protocol, the only one that the console takes."""
    pgconn = session.connection.pgconn
    with timed() as watch:
        result = pgconn.exec_(command.encode())
        good = result.status in (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK)
        error = None if good else (result.error_message or b"").decode(errors="replace").strip()
        text = error if error is not None else f"{result.ntuples} rows"
    return answer(f"as {session.label} on the console: {command}", text, error, watch)


@promise(
    "POL-007",
    "no application gets to the pooler's console",
    requirement="POL-3 ROL-1",
    capability=POOLER,
    needs=_NEEDS,
)
def the_console_is_closed(w: Witness) -> Iterator[Finding]:
    door = w.door("pooler")
    assert door is not None
    for plan in w.databases:
        for role in (plan.app, plan.admin, plan.readonly):
            yield _is_shut_out(try_login(_console_login(w, door, role), ask=False))


def _is_shut_out(tried: Answer[LoginResult]) -> Finding:
    message = tried.value.message
    if "not allowed" in message or "bouncer config error" in message:
        return tried.kept()
    return must_be_refused(tried, (Refusal.PASSWORD, Refusal.RULE, Refusal.DATABASE))


@promise(
    "POL-008",
    "a client that sends extra_float_digits at start is let in",
    requirement="POL-1",
    capability=POOLER,
    needs=_NEEDS,
)
def startup_parameters_are_borne(w: Witness) -> Iterator[Finding]:
    plan, door = w.databases[0], w.door("pooler")
    assert door is not None
    host = w.login(door, "", "").host
    caller = Caller(host, door.port, plan.app, plan.name, parameters=(("extra_float_digits", "2"),))
    told = w.greet(caller, w.trusting())
    refused = classified(told.value.message) is Refusal.PARAMETER
    if told.value.kind != "authentication" and not refused:
        yield told.unproven("the pooler did not come to look at the parameters")
        return
    yield told.shows(
        holds=not refused,
        expected="to be asked for the password",
        hint="ignore_startup_parameters = extra_float_digits",
    )


@promise(
    "POL-009",
    "idle clients are let go before the application's pool would use them again",
    requirement="SRV-8 APP-1",
    capability=POOLER,
    needs=_NEEDS,
)
def idle_limits_fit_together(w: Witness) -> Iterator[Finding]:
    told = w.pooler_config()
    idle = float(told.value.get("client_idle_timeout") or 0)
    for plan in w.databases:
        yield told.shows(
            holds=0 < plan.pool_recycle < idle,
            expected=f"pool_recycle of {plan.name} below client_idle_timeout",
            said=f"pool_recycle {plan.pool_recycle} s, client_idle_timeout {idle:g} s",
        )


@promise(
    "POL-010",
    "a client that waits at the pooler hears from it before its own patience ends",
    requirement="POL-4",
    capability=POOLER,
    needs=_NEEDS,
)
def waits_end_in_time(w: Witness) -> Iterator[Finding]:
    told = w.pooler_config()
    wait = float(told.value.get("query_wait_timeout") or 0)
    for plan in w.databases:
        yield told.shows(
            holds=0 < wait <= plan.pool_timeout,
            expected=f"query_wait_timeout of 1 s to {plan.pool_timeout:g} s ({plan.name})",
            said=f"query_wait_timeout {wait:g} s",
        )


@promise(
    "POL-011",
    "the pooler takes as many clients as the applications may open",
    requirement="SRV-5 POL-1",
    capability=POOLER,
    needs=("pooler",),
)
def clients_fit(w: Witness) -> Iterator[Finding]:
    told = w.pooler_config()
    most = int(told.value.get("max_client_conn") or 0)
    shares = w.design.budget.clients
    wanted = sum(share.count for share in shares)
    parts = " + ".join(f"{s.count} {s.who}" for s in shares) or "0"
    yield told.shows(
        holds=wanted <= most,
        expected="max_client_conn to be enough",
        said=f"{parts} = {wanted} of max_client_conn {most}",
    )


PROMISES = (
    settings_are_the_designed_ones,
    the_lookup_is_discreet,
    the_lookup_is_closed,
    the_userlist_is_short,
    the_version_is_known,
    the_monitor_reads_statistics,
    the_console_is_closed,
    startup_parameters_are_borne,
    idle_limits_fit_together,
    waits_end_in_time,
    clients_fit,
    *pooled.PROMISES,
)
