"""Lines of logs to events of the trail: each action once, with its outcome and its scope.

The server writes a statement before it knows what becomes of it, and the refusal on a line of its
own; where the second follows on the first within `LAG`, they are one event.

Tenant and correlation id travel with BEGIN (docs/adr/0013): the lines of one transaction have one
virtual transaction id (https://www.postgresql.org/docs/18/runtime-config-logging.html, jsonlog).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from pgstead.model.audit import LAG, AuditPlan, Event, Kind, Outcome, Place, TableClass
from pgstead.plan import pgaudit_lines
from pgstead.plan.statement_kinds import masked, meaning

_LOGGED = re.compile(r"(?:statement|execute (?!fetch from )\S+): (.*)", re.DOTALL)
_AUTHORIZED = re.compile(r"connection authorized: user=")
_OURS = "application_name=pgstead"
_DENIED = "42501"
_NO_WAY_IN = "28"  # class 28: invalid authorization specification
_SETTINGS = (
    ("app.current_tenant_id", "tenant"),
    ("app.current_user_id", "user"),
    ("app.correlation_id", "correlation_id"),
)
# PgBouncer's application_name_add_host: "api - 10.0.0.7:41222", or the address alone.
_ADDED = re.compile(
    r"^(?:(.*) - )?((?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*|unix(?:\(\d+\))?):\d+)$"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the server's jsonlog, and where it ends."""

    end: Place
    told: Mapping[str, Any]

    @property
    def at(self) -> datetime:
        """When it was written: `2026-11-22 08:00:00.123 UTC`."""
        text = str(self.told.get("timestamp", "")).removesuffix(" UTC").removesuffix(" GMT")
        try:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError:
            return datetime.min.replace(tzinfo=UTC)

    @property
    def session(self) -> str:
        """The session that wrote it."""
        return str(self.told.get("session_id", ""))

    @property
    def severe(self) -> bool:
        """Whether it tells of a failure."""
        return self.told.get("error_severity") in {"ERROR", "FATAL", "PANIC"}

    def word(self, name: str) -> str:
        """Return a field as text."""
        return str(self.told.get(name, ""))


@dataclass
class Sessions:
    """What is known of sessions that may write further lines."""

    scopes: dict[str, tuple[str, dict[str, str]]] = field(
        default_factory=dict[str, tuple[str, dict[str, str]]]
    )  # session: virtual transaction id, and what it was told
    lasting: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    last: dict[str, tuple[str, str, bool]] = field(default_factory=dict[str, tuple[str, str, bool]])
    # session: key and digest of its last statement (kept on disk: no text), and whether its
    # failure was told with it

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"scopes": self.scopes, "lasting": self.lasting, "last": self.last}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Sessions:
        """Read it from JSON."""
        pairs = {k: (v[0], dict(v[1])) for k, v in told.get("scopes", {}).items()}
        last = {k: (v[0], v[1], v[2]) for k, v in told.get("last", {}).items()}
        return cls(pairs, {k: dict(v) for k, v in told.get("lasting", {}).items()}, last)

    def scope(self, line: Line) -> Mapping[str, str]:
        """Return tenant, user and correlation id of a line's transaction."""
        lasting = self.lasting.get(line.session, {})
        known = self.scopes.get(line.session)
        if known is None or known[0] != line.word("vxid"):
            return lasting
        return {**lasting, **known[1]}

    def note(self, line: Line, settings: Iterable[tuple[str, str, bool]]) -> None:
        """Remember what a statement set."""
        names = dict(_SETTINGS)
        for name, value, local in settings:
            if name not in names:
                continue
            if local:
                vxid = line.word("vxid")
                known = self.scopes.get(line.session)
                there = known[1] if known is not None and known[0] == vxid else {}
                self.scopes[line.session] = (vxid, {**there, names[name]: value})
            else:
                self.lasting.setdefault(line.session, {})[names[name]] = value

    def end(self, session: str) -> None:
        """Forget one that has ended."""
        for known in (self.scopes, self.lasting, self.last):
            known.pop(session, None)


def events(
    lines: Sequence[Line], sessions: Sessions, until: datetime, plan: AuditPlan
) -> Iterator[tuple[Line, Event | None]]:
    """Yield the lines up to a moment, each with its event, if it is one.

    Later lines are looked at only for the outcome of earlier ones: call with `until` at least
    `LAG` before the newest, or when nothing more comes.
    """
    following = _following(lines)
    for at, line in enumerate(lines):
        if line.at > until:
            return
        after, named = _behind(lines, following, at)
        yield line, _event(line, after, named, sessions, plan)


def _following(lines: Sequence[Line]) -> list[int]:
    """Return for each line where its session's next one is, 0 for nowhere."""
    found, nearest = [0] * len(lines), dict[str, int]()
    for at in range(len(lines) - 1, -1, -1):
        found[at] = nearest.get(lines[at].session, 0)
        nearest[lines[at].session] = at
    return found


def _behind(
    lines: Sequence[Line], following: Sequence[int], at: int
) -> tuple[Line | None, tuple[str, ...]]:
    """Return what follows on a statement in its session, and the tables that pgaudit names.

    pgaudit writes the statement first, and then a line for each table that its role may use.
    """
    after, first = following[at], pgaudit_lines.read(lines[at].word("message"))
    names: list[str] = [] if first is None else [first.object]
    while first is not None and after:
        part = pgaudit_lines.read(lines[after].word("message"))
        if part is None or part.key != first.key:
            break
        names.append(part.object)
        after = following[after]
    return lines[after] if after else None, tuple(filter(None, names))


def _event(
    line: Line, after: Line | None, named: tuple[str, ...], sessions: Sessions, plan: AuditPlan
) -> Event | None:
    if line.severe:
        return _failure(line, sessions, plan)
    message, pgaudit = line.word("message"), line.word("user") in plan.pgaudit
    if pgaudit and (told := pgaudit_lines.read(message)) is not None:
        if sessions.last.get(line.session, ("", "", False))[0] == told.key:
            return None  # a part of the same statement
        sessions.note(line, meaning(told.text).settings if told.text else ())
        return _statement(line, told.text, after, sessions, plan, told, named)
    if (found := _LOGGED.fullmatch(message)) is not None:
        text = found[1]
        sessions.note(line, meaning(text).settings)
        return None if pgaudit else _statement(line, text, after, sessions, plan)
    if _AUTHORIZED.match(message):
        ours = line.word("user") in plan.own and _OURS in message
        return None if ours else _known(line, sessions, Kind.LOGIN, message)
    if message.startswith("disconnection: "):
        sessions.end(line.session)
    return None


def _statement(
    line: Line, text: str, after: Line | None, sessions: Sessions, plan: AuditPlan,
    audited: pgaudit_lines.Audited | None = None, named: tuple[str, ...] = (),
) -> Event | None:  # fmt: skip
    found = meaning(text)
    kind = (audited.kind if audited is not None else None) or found.kind
    failure = after if after is not None and _belongs(after, line.at, text) else None
    told = kind is not None and failure is not None
    key = audited.key if audited is not None else ""
    sessions.last[line.session] = (key, _digest(text), told)
    if kind is None:
        return None
    of = _classes(line, (*found.objects, *named), plan)
    event = _known(line, sessions, kind, masked(text), found.objects, failure, of)
    return event if _recorded(event, of, plan) else None


# What `audit.application` and `audit.people` leave out, where it is logged nevertheless.
_LEFT_OUT: Mapping[str, frozenset[Kind]] = MappingProxyType({
    "writes": frozenset({Kind.READ, Kind.FUNCTION}),
    "ddl": frozenset({Kind.READ, Kind.FUNCTION, Kind.CODE, Kind.WRITE}),
})  # fmt: skip


def _recorded(event: Event, of: Iterable[TableClass], plan: AuditPlan) -> bool:
    left_out = _LEFT_OUT.get(plan.levels.get(event.role, ""), frozenset())
    if event.kind not in left_out or event.outcome is Outcome.DENIED:
        return True
    return any(c.reads or event.kind is Kind.WRITE for c in of)


def _classes(line: Line, objects: Sequence[str], plan: AuditPlan) -> tuple[TableClass, ...]:
    """Return the classes that the tables of a statement are of."""
    mine = (c for c in plan.classes if c.database == line.word("dbname"))
    return tuple(c for c in mine if any(map(c.holds, objects)))


def _belongs(failure: Line, begun: datetime, text: str) -> bool:
    """Say whether a failure is that of a statement that was logged."""
    near = failure.at - begun <= timedelta(seconds=LAG)
    return failure.severe and near and failure.word("statement").strip() == text.strip()


def _failure(line: Line, sessions: Sessions, plan: AuditPlan) -> Event | None:
    """Return the event of a failure that was not told with its statement.

    pgaudit writes what it comes to: a SET ROLE to nobody, a table that is none, it never does.
    """
    state, text = line.word("state_code"), line.word("statement")
    if state[:2] == _NO_WAY_IN and line.word("error_severity") == "FATAL":
        return _known(line, sessions, Kind.LOGIN, line.word("message"), failure=line)
    _, last, told = sessions.last.get(line.session, ("", "", False))
    same = _digest(text) == last
    if state != _DENIED and (same or line.word("user") not in plan.pgaudit):
        return None  # the statement was told before, or is not asked for
    if told and same:
        return None  # with the statement
    found = meaning(text)
    if found.kind is None and state != _DENIED:
        return None
    what = masked(text) or line.word("message")
    of = _classes(line, found.objects, plan)
    event = _known(line, sessions, found.kind or Kind.CODE, what, found.objects, line, of)
    return event if _recorded(event, of, plan) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


def _outcome(failure: Line | None) -> Outcome:
    if failure is None:
        return Outcome.DONE
    state = failure.word("state_code")
    refused = state == _DENIED or state[:2] == _NO_WAY_IN
    return Outcome.DENIED if refused else Outcome.FAILED


def _known(
    line: Line, sessions: Sessions, kind: Kind, what: str,
    objects: tuple[str, ...] = (), failure: Line | None = None,
    of: Iterable[TableClass] = (),
) -> Event:  # fmt: skip
    outcome = _outcome(failure)
    # only of refusals: other messages quote values
    denied = failure is not None and outcome is Outcome.DENIED
    scope = sessions.scope(line)
    application, client = origin(line)
    return Event(
        at=line.at.isoformat(timespec="milliseconds"),
        kind=kind,
        outcome=outcome,
        role=line.word("user"),
        database=line.word("dbname"),
        application=application,
        client=client,
        tenant=scope.get("tenant", ""),
        user=scope.get("user", ""),
        correlation_id=scope.get("correlation_id", ""),
        session=line.session,
        transaction=line.word("vxid"),
        what=what,
        objects=objects,
        classes=tuple(c.name for c in of),
        sqlstate="" if failure is None else failure.word("state_code"),
        detail={"message": failure.word("message")} if denied and failure else {},
        source=line.end,
    )


def origin(line: Line) -> tuple[str, str]:
    """Return the application's name and where it comes from, through the pooler or not."""
    name, host = line.word("application_name"), line.word("remote_host")
    added = _ADDED.match(name)
    if added is not None:
        return added[1] or "", added[2]
    port = line.word("remote_port")
    return name, f"{host}:{port}" if port else "socket" if host == "[local]" else host
