"""The audit trail: what an event says, and the chain that an edited line breaks (AUD-1, AUD-2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

GENESIS = "0" * 64  # what the first record of all follows on
LAG = 1.0  # seconds after which a line's outcome is settled, and its event written
HISTORY_SCHEMA = "pgstead_audit"


class Kind(StrEnum):
    """What an event is about."""

    READ = "read"
    WRITE = "write"
    DDL = "ddl"
    ROLE = "role"  # roles, memberships, privileges
    FUNCTION = "function"  # a call that names no table
    CODE = "code"  # DO, CALL, LOAD: what it does its text does not tell
    LOGIN = "login"
    CHANGE = "change"  # one row, from the change history
    OPENED = "opened"  # a file of the trail begins; it names the record before
    SEAL = "seal"  # what a stretch of the change history, or of the journal, adds up to
    GAP = "gap"  # lines are missing: nobody collected, or a file was overwritten
    EXPIRED = "expired"  # what was let go of by retention
    ERASED = "erased"  # a person was, and what seals the rest of the change history since


ACTIONS = frozenset({
    Kind.READ, Kind.WRITE, Kind.DDL, Kind.ROLE, Kind.FUNCTION, Kind.CODE, Kind.LOGIN,
})  # fmt: skip


class Outcome(StrEnum):
    """What became of it, as far as the log says within `LAG`."""

    DONE = "done"
    DENIED = "denied"  # no privilege, or a policy refused it (42501), or no way in (class 28)
    FAILED = "failed"  # for another reason


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where of which file a record has read."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what, when, from where, for whom. Literals are masked; no value is in it."""

    at: str  # ISO 8601, UTC
    kind: Kind
    outcome: Outcome = Outcome.DONE
    role: str = ""
    database: str = ""
    application: str = ""
    client: str = ""  # address:port, or "socket"
    tenant: str = ""
    user: str = ""  # of the application
    correlation_id: str = ""
    session: str = ""
    transaction: str = ""  # virtual transaction id
    what: str = ""  # the statement, or what was tried
    objects: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()  # of tables, that one of the objects is of
    sqlstate: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: Place | None = None

    def told(self) -> dict[str, Any]:
        """Return what JSON has of it; what is empty is left out."""
        return {key: value for key, value in asdict(self).items() if value or key == "kind"}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the trail: an event with its number and its place in the chain."""

    seq: int
    body: Mapping[str, Any]
    hash: str

    @classmethod
    def after(cls, head: Head, body: Mapping[str, Any]) -> Record:
        """Return the record that follows on a head."""
        seq = head.seq + 1
        text = f"{head.hash}\n{_written({'seq': seq, **body})}"
        return cls(seq, body, hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest())

    def line(self) -> str:
        """Return it as the file has it."""
        return _written({"seq": self.seq, **self.body, "hash": self.hash})


@dataclass(frozen=True, slots=True)
class Head:
    """The last record: what the next one follows on."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something of the trail that is not as it was written."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What looking through the whole trail came to."""

    records: int
    head: Head
    flaws: tuple[Flaw, ...] = ()
    seals: int = 0  # that were compared with what they seal


@dataclass(frozen=True, slots=True)
class Seal:
    """What a stretch of a change history adds up to."""

    database: str
    begin: str  # transaction ids: the first within, the first beyond
    end: str
    rows: int
    first: str  # times of the rows
    last: str
    sum: str
    also: tuple[str, ...] = ()  # what the rows add up to since a person was erased from them


@dataclass(frozen=True, slots=True)
class HistoryPlan:
    """Whose changes of rows are kept. Names may hold `*`; `public` need not be said."""

    database: str
    tables: tuple[str, ...]
    excluded: tuple[str, ...]
    values: bool  # old and new values too, masked where they are secret
    masked: tuple[str, ...]  # columns, as patterns of `table.column`
    retention: float  # seconds


@dataclass(frozen=True, slots=True)
class TableClass:
    """Tables of one class: what is done to them is recorded, whoever of the roles does it."""

    database: str
    name: str
    tables: tuple[str, ...]  # may hold `*`; `public` need not be said
    reads: bool  # reads too, else writes alone

    def holds(self, table: str) -> bool:
        """Say whether a table, named as events name it, is of the class."""
        names = (table, f"public.{table}")
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.tables)


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """How a stead is audited. Spans in seconds."""

    directory: str
    interval: float
    retention: float
    pgaudit: tuple[str, ...]  # roles that pgaudit watches; else the server's own statement log
    own: tuple[str, ...]  # pgstead's roles, whose logins are no news
    server_log: str
    pooler_log: str  # empty: no pooler
    journal: str
    histories: tuple[HistoryPlan, ...] = ()
    classes: tuple[TableClass, ...] = ()
    levels: Mapping[str, str] = field(default_factory=dict[str, str])
    # by role: what of it is recorded, where more is logged for the sake of a class


def parsed(line: str) -> Record:
    """Read a line of the trail. Raises ValueError."""
    told: Any = json.loads(line)
    if not isinstance(told, dict):
        raise ValueError("not an object")
    body: dict[str, Any] = {str(k): v for k, v in told.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    seq, found = body.pop("seq", None), body.pop("hash", None)
    if not isinstance(seq, int) or not isinstance(found, str):
        raise ValueError("no number or no hash")
    return Record(seq, body, found)


def moment(text: str) -> datetime:
    """Return the time that an event tells."""
    return datetime.fromisoformat(text)


def _written(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str)
