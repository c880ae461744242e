"""Change passwords while applications work, with two valid logins for as long as it takes.

What is done stands in the stead itself, so that a run that was killed is finished by the next:
a stand-in with a password is one that applications were told to come as; one without is on its
way out (docs/adr/0033).
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import sql

from pgstead.apply import local, standins
from pgstead.apply.session import Session
from pgstead.errors import NotRunningError, StillInUseError
from pgstead.model.design import Design
from pgstead.model.logins import LoginSession
from pgstead.model.resources import Password, PoolerFile, Role, SecretFile
from pgstead.model.standin import standin_of
from pgstead.observe.logins import sessions
from pgstead.observe.roles import judged
from pgstead.ports import Ports

SETTLE = 1.5  # seconds after which everyone who reads the file has read it; the pooler counts whole
_QUIET = 2.5  # seconds after which a connection that nobody used was given back
_PATIENCE = 60.0  # seconds that a transaction of a stand-in is waited for
_INI = "pooler/pgbouncer.ini"
_WORKING = frozenset({"new", "active"})  # of the pooler's servers: logging in, or at work
_LOOKS = 3  # in a row at which somebody is seen who cannot follow
_GLANCE = 0.1  # seconds between two looks for sessions that may be short
_LOOK = 0.25  # seconds between two looks at who is there


@dataclass(frozen=True, slots=True)
class Changed:
    """What a rotation of passwords did."""

    roles: tuple[str, ...]
    finished: tuple[str, ...]  # of these an earlier run had begun
    insisted_on: tuple[str, ...] = ()  # who came with the old one to the last


def lent(design: Design) -> tuple[str, ...]:
    """Return the roles that get a stand-in: of applications and people, and of the pooler."""
    people = [r for d in design.databases for r in (d.app, d.readonly, d.admin, d.migrator)]
    return (*people, *([design.lookup_role] if design.pooler is not None else []))


def own(design: Design) -> tuple[str, ...]:
    """Return the roles of pgstead's own programs, which come again when they are refused once."""
    there = {role.name for role in design.stead.all(Role)}
    return tuple(r for r in (design.monitor_role, design.backup_role) if r in there)


def rotate(
    design: Design,
    ports: Ports,
    roles: Collection[str] = (),
    *,
    watch: float = 5.0,
    insist: bool = False,
) -> Changed:
    """Change the passwords of some roles, or of all, and finish what was left unfinished.

    For `watch` seconds it is looked who still comes with the old ones although the password file
    names others: they could not follow, and nothing is changed unless one insists. Raises
    StillInUseError then, and where a transaction of a stand-in does not end.
    """
    _must_answer(ports)
    with Session(ports.sql) as session:
        change = _Change(design, ports, session)
        begun = change.left()
        change.mend_own()
        wanted = [r for r in lent(design) if not roles or r in roles or r in begun]
        wanted = list(dict.fromkeys([*begun, *wanted]))
        for role in wanted:
            change.lend(role)
        users = change.left_behind(wanted, watch)
        if users and not insist:
            change.take_back(wanted)
            raise _held(users)
        for role in wanted:
            change.replace(role)
        change.take_back(wanted)
        mine = [r for r in own(design) if not roles or r in roles]
        for role in mine:
            change.replace(role)
    return Changed((*wanted, *mine), tuple(begun), tuple(users))


def unfinished(design: Design, ports: Ports) -> tuple[str, ...]:
    """Return the roles that a killed run left half rotated; the server must answer."""
    found = judged(design, ports)
    with ports.sql.connect(read_only=True) as connection:
        rows = connection.execute("SELECT rolname FROM pg_catalog.pg_roles").fetchall()
    there = {row["rolname"] for row in rows}
    begun = [
        r
        for r in lent(design)
        if standin_of(r) in there or ports.secrets.mode(standin_of(r)) is not None
    ]
    wrong = [r for r in own(design) if found.get(r) not in (None, Password.MATCHES)]
    return (*begun, *wrong)


def settle(design: Design, ports: Ports) -> tuple[str, ...]:
    """Finish what a run left that was killed; return the roles. Nothing else is changed."""
    _must_answer(ports)
    with Session(ports.sql) as session:
        change = _Change(design, ports, session)
        begun = change.left()
        mended = change.mend_own()
        for role in begun:
            change.lend(role)
        if begun:
            time.sleep(SETTLE)
        for role in begun:
            change.replace(role)
        change.take_back(begun)
    return (*begun, *mended)


def _must_answer(ports: Ports) -> None:
    if not ports.sql.answers():
        raise NotRunningError(
            "the server does not answer: no password can be changed",
            hint="`pgstead up` starts it",
        )


def _held(users: list[str]) -> StillInUseError:
    return StillInUseError(
        f"{len(users)} client(s) still log in with a password that would be refused: "
        + "; ".join(users[:5]),
        hint="nothing was changed: let them read the passfile, or take pgstead.app; they are"
        " refused all the same with --insist",
        users=tuple(users),
    )


@dataclass
class _Change:
    """The steps, each of which may be done again."""

    design: Design
    ports: Ports
    session: Session

    def left(self) -> list[str]:
        """Return the roles that a killed run left with a stand-in in use; end the others'."""
        there = {
            str(row["rolname"])
            for row in self.session.rows(sql.SQL("SELECT rolname FROM pg_catalog.pg_roles"))
        }
        every = lent(self.design)
        begun = [r for r in every if self.ports.secrets.mode(standin_of(r)) is not None]
        leaving = [r for r in every if r not in begun and standin_of(r) in there]
        if leaving:
            self.ports.progress.step("finishing what an earlier rotation left")
            self.take_back(leaving)
        return begun

    def mend_own(self) -> tuple[str, ...]:
        """Give our own roles the password of their file, where a killed run left another."""
        found = judged(self.design, self.ports)
        wrong = tuple(r for r in own(self.design) if found.get(r) not in (None, Password.MATCHES))
        for role in wrong:
            standins.change(role, self.ports.secrets.value(role), self.session)
            self._publish(role)
        return wrong

    def lend(self, role: str) -> None:
        """Make a stand-in and let everyone who reads the passfile come as it."""
        standin = standin_of(role)
        known = self.ports.secrets.mode(standin) is not None
        password = self.ports.secrets.value(standin) if known else self.ports.secrets.make()
        self.ports.journal.record("rotating", role=role, step="lend")
        wanted = self.design.stead.find(Role, role)
        assert wanted is not None
        # The role first: a passfile never names somebody who is not let in.
        standins.make(wanted, password, self.design, self.session)
        if not known:
            self.ports.secrets.store(standin, password)
        self._publish(role)

    def left_behind(self, roles: Collection[str], watch: float) -> list[str]:
        """Watch who logs in with the old passwords although the files name others.

        A login that was under way comes once; who comes again and again cannot follow.
        """
        self.ports.progress.step("watching who still logs in with the old passwords")
        users: list[str] = []
        for _ in range(_LOOKS):
            time.sleep(SETTLE)
            users = self._late(roles, watch)
            if not users:
                break
        return users

    def _late(self, roles: Collection[str], watch: float) -> list[str]:
        """Return whose sessions begin from now on; they may be short."""
        since, end = datetime.now(UTC), time.monotonic() + watch
        found: set[str] = set()
        while True:
            late = [s for s in self._sessions(roles) if s.began > since]
            found |= {f"{s.who} as {s.role}" for s in late}
            if time.monotonic() >= end:
                return sorted(found)
            time.sleep(_GLANCE)

    def _sessions(self, roles: Collection[str]) -> Iterator[LoginSession]:
        return sessions(self.ports, roles, pooled=self.design.pooler is not None)

    def replace(self, role: str) -> None:
        """Change a role's own password: the old one is refused from here on."""
        password = self.ports.secrets.make()
        self.ports.progress.step(f"changing the password of {role}")
        self.ports.journal.record("rotating", role=role, step="change")
        self.ports.secrets.store(role, password)
        standins.change(role, password, self.session)
        self._publish(role)
        self._tell_pooler(role, password)

    def _tell_pooler(self, role: str, password: str) -> None:
        """Log in once by the pooler: it opens server connections with what it heard last.

        (PgBouncer, src/client.c: a login by SCRAM leaves its keys with the user of the pool.)
        """
        if self.design.pooler is None:
            return
        for plan in self.design.databases:
            if role in (plan.app, plan.readonly, plan.admin, plan.migrator):
                self.ports.visitor.log_in(role, password, plan.name, "pooler")

    def take_back(self, roles: Collection[str]) -> None:
        """Let everyone come as the roles themselves again, and end the stand-ins."""
        for role in roles:
            self.ports.journal.record("rotating", role=role, step="take back")
            self.ports.secrets.remove(standin_of(role))
            self._publish(role)
        if not roles:
            return
        self.ports.progress.step("waiting until nobody is logged in as a stand-in")
        self._wait_for_quiet([standin_of(role) for role in roles])
        for role in roles:
            standins.remove(role, self.session)
            self.ports.journal.record("rotated", role=role)

    def _wait_for_quiet(self, names: Collection[str]) -> None:
        end = time.monotonic() + _PATIENCE
        time.sleep(SETTLE)
        while True:
            now = datetime.now(UTC)
            used = [
                s
                for s in self._sessions(names)
                if s.busy or now - s.used < timedelta(seconds=_QUIET)
            ]
            if not used:
                return
            if time.monotonic() > end:
                users = tuple(sorted({f"{s.who} as {s.role}" for s in used}))
                raise StillInUseError(
                    f"the passwords are changed, but stand-ins are still used: {users[0]}",
                    hint="let its transaction end, then run it again: it ends them",
                    users=users,
                )
            time.sleep(_LOOK)

    def _publish(self, role: str) -> None:
        """Write the files in which programs find as whom they log in, and with which password."""
        names = {f"passfiles/{role}"}
        if role in self.design.auth_file_roles:
            names.add("pooler/userlist.txt")
        for wanted in self.design.stead.all(SecretFile):
            if wanted.name in names:
                local.derived_secret(wanted, self.design, self.ports)
        if role == self.design.lookup_role:
            self._point_pooler(role)
        elif role in self.design.auth_file_roles:
            self.ports.console.at_rest("RELOAD")

    def _point_pooler(self, role: str) -> None:
        """Let the pooler look passwords up as its role, or as the stand-in while there is one."""
        standin = standin_of(role)
        chosen = standin if self.ports.secrets.mode(standin) is not None else role
        wanted = self.design.stead.find(PoolerFile, _INI)
        assert wanted is not None
        # for all, or in each entry of [databases]
        text = re.sub(rf"\b(auth_user ?= ?){re.escape(role)}\b", rf"\g<1>{chosen}", wanted.text)
        path, owner = self.design.layout.state / _INI, self.design.host.server_user
        self.ports.files.write(path, text, mode=wanted.mode, owner=owner)
        self.ports.console.at_rest("RELOAD")
        self._wait_for_pooler(role if chosen == standin else standin)

    def _wait_for_pooler(self, user: str) -> None:
        """Wait until the pooler neither logs in nor looks up as somebody, nor will for a client.

        Who waits for a look-up waits in the pool of the one that was named when he came.
        """
        end, console = time.monotonic() + _PATIENCE, self.ports.console
        while time.monotonic() < end:
            pools = [p for p in console.rows("SHOW POOLS") if p["user"] == user]
            servers = [s for s in console.rows("SHOW SERVERS") if s["user"] == user]
            waits = any(p["cl_waiting"] for p in pools)
            if not waits and not any(s["state"] in _WORKING for s in servers):
                return
            time.sleep(_LOOK)
