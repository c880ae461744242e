"""Strangers: who comes with a wrong password, too late, as superuser or from elsewhere."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from psycopg import sql

from pgstead.model.address import Capability
from pgstead.model.design import DatabasePlan, Door
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.login import (
    Login,
    LoginResult,
    must_be_refused,
    open_session,
    try_login,
)
from pgstead.prove.logs import LogTail, pooler_log, server_log
from pgstead.prove.promise import promise
from pgstead.prove.refusal import Refusal, classified
from pgstead.prove.scratch import scratch_name, scratch_role
from pgstead.prove.wire import Caller, Greeting
from pgstead.prove.witness import Witness

ROLES = Capability.ROLES
_NEEDS = ("door", "database")
_DELAY = 0.4  # seconds; the default of half a second, less what a clock may differ
_SHORTEST = 400  # milliseconds


@promise(
    "ROL-020",
    "a wrong password and an unknown role are refused by every door",
    requirement="ROL-4 TLS-1",
    capability=ROLES,
    needs=_NEEDS,
)
def wrong_passwords_are_refused(w: Witness) -> Iterator[Finding]:
    attempts = [
        (door, role, plan, by)
        for plan in w.databases
        for door in w.doors
        for role, by in (
            (plan.app, (Refusal.PASSWORD,)),
            (plan.admin, (Refusal.PASSWORD,)),
            (plan.readonly, (Refusal.PASSWORD,)),
            (scratch_name(), (Refusal.PASSWORD, Refusal.RULE)),
        )
    ]
    with ThreadPoolExecutor(4) as workers:  # each failure is slowed, one does not slow another
        tried = [
            workers.submit(_wrong_login, w, door, role, plan) for door, role, plan, _ in attempts
        ]
    for attempt, login in zip(attempts, tried, strict=True):
        yield must_be_refused(login.result(), attempt[3])


def _wrong_login(w: Witness, door: Door, role: str, plan: DatabasePlan) -> Answer[LoginResult]:
    """Log in with a random password, once a run for each role: each failure is slowed."""
    login = w.login(door, role, plan.name, passfile="", password=secrets.token_urlsafe(24))
    return w.once(f"wrong password {door.name} {role} {plan.name}", lambda: try_login(login))


@promise(
    "ROL-021",
    "a failed login at the server's own door is slowed",
    requirement="ROL-4",
    capability=ROLES,
    needs=("direct", "database"),
)
def failed_logins_are_slowed(w: Witness) -> Iterator[Finding]:
    plan, door = w.databases[0], w.door("direct")
    assert door is not None
    configured = w.setting("auth_delay.milliseconds")
    yield configured.shows(
        holds=configured.value.isdigit() and int(configured.value) >= _SHORTEST,
        expected=f"{_SHORTEST} ms or more",
        hint="auth_delay belongs into shared_preload_libraries",
    )
    tried = _wrong_login(w, door, plan.app, plan)
    if tried.value.refusal is not Refusal.PASSWORD:
        yield tried.unproven("the wrong password was not refused as such")
        return
    yield tried.shows(
        holds=tried.seconds >= _DELAY,
        expected=f"{_DELAY} s or more",
        said=f"{tried.text} after {tried.seconds:.3f} s",
    )


@promise(
    "ROL-022",
    "a refused login is in the log, with the role's name",
    requirement="ROL-7 POL-9",
    capability=ROLES,
    needs=_NEEDS,
)
def refused_logins_are_logged(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    for door in w.doors:
        tail = pooler_log(w) if door.name == "pooler" else server_log(w)
        # Not the application role: its failures were tried already, and this is one more.
        login = w.login(door, plan.readonly, plan.name, passfile="", password=secrets.token_hex(16))
        tried = try_login(login)
        if tried.value.refusal is not Refusal.PASSWORD:
            yield tried.unproven("the wrong password was not refused as such")
            continue
        yield _is_logged(w, tail, plan.readonly)


def _is_logged(w: Witness, tail: LogTail, role: str) -> Finding:
    failure = re.compile(rf".*{re.escape(role)}.*(?:authentication failed|auth failed|password).*")
    told = tail.awaited(w, failure)
    return told.shows(holds=bool(told.value), expected="a line that names the role")


@promise(
    "ROL-023",
    "no superuser and no replication role gets in over the network, even with its password",
    requirement="ROL-1 ROL-6 POL-2",
    capability=ROLES,
    needs=_NEEDS,
)
def superusers_stay_at_home(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    # The look-up refuses them without a word, so that nobody learns which names exist; on the
    # direct door no rule may lead to a question for the password.
    refusals = {"direct": (Refusal.RULE,), "pooler": (Refusal.PASSWORD,)}
    further = (Refusal.LOGIN, Refusal.CONNECT)
    for word in ("superuser", "replication"):
        with scratch_role(w, plan.name, word, f"LOGIN {word.upper()}") as made:
            for door in w.doors:
                login = w.login(door, made.name, plan.name, passfile="", password=made.password)
                by_pooler = (Refusal.RULE,) if door.name == "pooler" else (Refusal.PASSWORD,)
                yield must_be_refused(
                    try_login(login), refusals[door.name], betrayed_by=(*by_pooler, *further)
                )
    door = w.door("direct")
    if door is not None:
        caller = Caller(w.login(door, "", "").host, door.port, w.design.superuser, plan.name)
        yield _is_ruled_out(w.greet(caller, w.trusting()))


def _is_ruled_out(told: Answer[Greeting]) -> Finding:
    expected = f"a refusal: {Refusal.RULE}"
    if told.value.kind == "authentication":
        return told.broken(expected, said="was asked for a password")
    if told.value.kind == "error" and classified(told.value.message) is Refusal.RULE:
        return told.kept()
    return told.unproven(f"another answer; expected {expected}")


@promise(
    "ROL-024",
    "a role past its VALID UNTIL is refused, also where the pooler knew it before",
    requirement="ROL-4 POL-2",
    capability=ROLES,
    needs=_NEEDS,
)
def expired_roles_are_refused(w: Witness) -> Iterator[Finding]:
    plan = w.databases[0]
    for door in w.doors:
        with scratch_role(w, plan.name, "warm") as made:
            login = w.login(door, made.name, plan.name, passfile="", password=made.password)
            before = try_login(login)
            if before.value.refusal is Refusal.RULE and door.name == "direct":
                # No rule lets an unknown role come this far: stronger than what is promised.
                yield before.kept()
                continue
            # The pooler takes the password; the server behind it may still have no rule.
            if before.value.refusal not in (None, Refusal.RULE):
                yield before.unproven("the role was refused before it expired")
                continue
            _expire(w, made.name)
            yield must_be_refused(
                try_login(login), (Refusal.PASSWORD,), betrayed_by=(Refusal.RULE,)
            )
        with scratch_role(w, plan.name, "late", valid="-1 hour") as late:
            login = w.login(door, late.name, plan.name, passfile="", password=late.password)
            yield must_be_refused(
                try_login(login), (Refusal.PASSWORD,), betrayed_by=(Refusal.RULE,)
            )


def _expire(w: Witness, role: str) -> None:
    with w.backstage(write=True) as session:
        session.connection.execute(
            sql.SQL("ALTER ROLE {} VALID UNTIL '2020-01-01'").format(sql.Identifier(role))
        )


@promise(
    "ROL-025",
    "who comes from another network than the stated ones is refused before any password",
    requirement="ROL-6",
    capability=ROLES,
    needs=_NEEDS,
)
def other_networks_are_refused(w: Witness) -> Iterator[Finding]:
    source = _outside(w)
    plan = w.databases[0]
    for door in w.doors:
        host = w.login(door, "", "").host
        if ":" in host:
            continue
        caller = Caller(host, door.port, plan.app, plan.name, source=source)
        try:
            told = w.greet(caller, w.trusting())
        except CannotTryError as error:
            raise CannotTryError(error.reason, could_try=False) from error
        if door.name == "pooler":
            yield from _pooler_stays_local(w, told)
        else:
            yield _is_ruled_out(told)


def _outside(w: Witness) -> str:
    """Return an address of this machine that the manifest does not let in."""
    allowed = [ipaddress.ip_network(n, strict=False) for n in w.design.networks]
    for text in ("127.0.0.2", "127.9.8.7", "127.200.1.1"):
        address = ipaddress.ip_address(text)
        if not any(address in n for n in allowed if n.version == address.version):
            return text
    raise CannotTryError("every loopback address is among the stated networks", could_try=False)


def _pooler_stays_local(w: Witness, told: Answer[Greeting]) -> Iterator[Finding]:
    """Judge the pooler: rules of its own (auth_type hba), or no way in but through loopback."""
    config = w.pooler_config()
    if config.value.get("auth_type") == "hba":
        yield _is_ruled_out(told)
        return
    door = w.door("pooler")
    hosts = door.hosts if door else ()
    local = all(h == "localhost" or ipaddress.ip_address(h).is_loopback for h in hosts)
    yield config.shows(
        holds=local,
        expected="auth_type = hba, or to listen on loopback only",
        said=f"auth_type = {config.value.get('auth_type')}, listening on {', '.join(hosts)}",
    )


def one_too_many(
    login: Login, limit: int, opened: list[psycopg.Connection[Any]]
) -> Iterator[Finding]:
    """Open connections up to a limit and one more; others may hold some already."""
    with timed() as watch:
        refused = ""
        for _ in range(limit + 1):
            try:
                opened.append(open_session(login))
            except psycopg.Error as error:
                refused = str(error).strip()
                break
    said = f"{len(opened)} let in, then: {refused or 'none refused'}"
    told = answer(f"{limit + 1} times {login.shown()}", said, refused, watch)
    if refused and classified(refused) is not Refusal.LIMIT:
        yield told.unproven("refused for another reason than the limit")
        return
    yield told.shows(holds=bool(refused), expected=f"at most {limit} to be let in")


PROMISES = (
    wrong_passwords_are_refused,
    failed_logins_are_slowed,
    refused_logins_are_logged,
    superusers_stay_at_home,
    expired_roles_are_refused,
    other_networks_are_refused,
)
