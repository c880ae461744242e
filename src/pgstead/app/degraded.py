"""Reads that may be answered from what was read before: degraded, or cached.

A route says so by a mark:

    @router.get("/{project_id}")
    @degradable(seconds=3600)   # when the database does not answer: the last good answer
    @cacheable(seconds=30)      # without asking the database at all
    async def read_project(...): ...

Such an answer says what it is: `Age` and `X-Degraded` (and RFC 9211's `Cache-Status`) in its
headers, `freshness` in its body where that is a JSON object.

Who may see an answer is decided by the database, which is not asked here. So an answer is kept
for the very request that got it: method, path, query, and every header that could say who asks.
Headers that are known to say nothing of that are left out; an unknown one counts, which may cost
an answer but never shows one to somebody else. Answers are kept in memory, per process, bounded
in number, size and age.

Credentials that were good then may be worth nothing now, and the database cannot be asked:

* what was deleted through this process is forgotten at once, and so is what a route marked
  `revoking` has taken from somebody: all of the caller's own, or all of everybody;
* an answer ends with the credentials that it was given to, where what proved them said when that
  is (`proved`);
* whoever was refused (401) since has no answers left;
* what another process revoked is not known. Until the answer's age ends it, such a caller gets
  what this very caller has been given before, and nothing else.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from starlette.types import Scope

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

# They say how to answer or where a request passed, not who asks. `X-Forwarded-User` and its like
# do say who, so it is these and no prefix. `Host` is none of them, for it names a tenant where each
# has a name of their own; nor are addresses, by which some are let in.
NOT_IDENTITY = frozenset(
    b"accept accept-encoding accept-language cache-control connection content-length content-type"
    b" date dnt if-match if-modified-since if-none-match keep-alive pragma priority referer"
    b" sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site"
    b" sec-fetch-user sec-gpc te traceparent tracestate upgrade-insecure-requests user-agent via"
    b" x-correlation-id x-forwarded-port x-forwarded-proto x-request-id".split()
)
KEPT_HEADERS = (b"content-type", b"etag")

_MARK = "__pgstead_reading__"
_REVOKES = "__pgstead_revokes__"
_PROOF = "pgstead.proof"  # in a request's scope


@dataclass(frozen=True, slots=True)
class Reading:
    """What a route allows. Seconds; 0 is never."""

    degradable: float = 0.0
    cacheable: float = 0.0


def degradable(*, seconds: float = 3600.0) -> Callable[[Endpoint], Endpoint]:
    """Mark a route: when the database does not answer, its last good answer may be given."""
    says = (
        "When the database does not answer, this is the last good answer, of at most"
        f" {seconds:g} s ago, with the header `X-Degraded: true`, its `Age`, and the field"
        " `freshness`."
    )
    return lambda endpoint: _mark(endpoint, says, degradable=seconds)


def cacheable(*, seconds: float) -> Callable[[Endpoint], Endpoint]:
    """Mark a route: its answer may be up to so many seconds old."""
    says = (
        f"The answer may be up to {seconds:g} s old: the header `Age` and the field `freshness`"
        " say how old. `Cache-Control: no-cache` asks the database."
    )
    return lambda endpoint: _mark(endpoint, says, cacheable=seconds)


class Revokes(StrEnum):
    """Whose answers may not be given any more after a write."""

    NOTHING = "nothing"
    OWN = "the caller's own"  # whatever credentials of theirs they came with
    ALL = "everybody's"


def revoking(whose: Revokes) -> Callable[[Endpoint], Endpoint]:
    """Mark a route: it changes who may see what, so what is kept may not be given any more."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _REVOKES, whose)
        return endpoint

    return mark


def revokes(endpoint: object) -> Revokes:
    """Return whose answers end with a write to a route."""
    found = getattr(endpoint, _REVOKES, None)
    return found if isinstance(found, Revokes) else Revokes.NOTHING


@dataclass(frozen=True, slots=True)
class Proof:
    """Who was proved to ask, and until when that holds; None: without end."""

    subject: str = ""
    until: dt.datetime | None = None


def proved(scope: MutableMapping[str, Any], subject: str, until: dt.datetime | None = None) -> None:
    """Tell a request's scope who asks, so that its answer ends with their credentials."""
    scope[_PROOF] = Proof(subject, until)


def proof_of(scope: Scope) -> Proof:
    """Return what was proved of who asks."""
    found = scope.get(_PROOF)
    return found if isinstance(found, Proof) else Proof()


def reading(endpoint: object) -> Reading:
    """Return what a route allows."""
    found = getattr(endpoint, _MARK, None)
    return found if isinstance(found, Reading) else Reading()


def _mark(endpoint: Endpoint, says: str, **seconds: float) -> Endpoint:
    setattr(endpoint, _MARK, replace(reading(endpoint), **seconds))
    # FastAPI shows a route's docstring in the OpenAPI document
    endpoint.__doc__ = f"{inspect.cleandoc(endpoint.__doc__ or '')}\n\n{says}"
    return endpoint


@dataclass(frozen=True, slots=True)
class Good:
    """A good answer."""

    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    reading: Reading
    at: float  # of the clock
    when: dt.datetime
    who: bytes = b""
    subject: str = ""
    until: float = math.inf  # of the clock: the credentials that it was given to have an end
    fresh: bool = True  # nothing was written to its place since, through this process


@dataclass(frozen=True, slots=True)
class Moment:
    """What had been written when something was read."""

    writes: int = 0
    removals: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """A good answer, given again."""

    good: Good
    age: float
    degraded: bool

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers: what was kept, and how old it is."""
        status = "hit" if not self.degraded else 'hit; fwd=stale; detail="database-unavailable"'
        more = [
            (b"age", str(int(self.age)).encode()),
            (b"cache-status", f"pgstead; {status}".encode()),
            (b"cache-control", b"no-store"),
        ]
        if self.degraded:
            more.append((b"x-degraded", b"true"))
        kept = [(name, value) for name, value in self.good.headers if name in KEPT_HEADERS]
        return [*kept, *more, (b"content-length", str(len(self.body)).encode())]

    @property
    def body(self) -> bytes:
        """Return the body, with the field `freshness` where it is a JSON object."""
        try:
            told: Any = json.loads(self.good.body)
        except ValueError:
            return self.good.body
        if not isinstance(told, dict):
            return self.good.body
        freshness = {
            "degraded": self.degraded,
            "age_seconds": round(self.age, 3),
            "as_of": self.good.when.isoformat(),
        }
        whole: dict[str, Any] = {**told, "freshness": freshness}
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def key_of(scope: Scope) -> bytes:
    """Return what stands for a request: what is asked, and by whom. It holds no secret."""
    asked = [scope["method"].encode(), scope["path"].encode(), scope["query_string"]]
    return _digest([*asked, who_of(scope)])


def who_of(scope: Scope) -> bytes:
    """Return what stands for who asks. It holds no secret."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    identity = sorted((name, value) for name, value in headers if name not in NOT_IDENTITY)
    return _digest(part for pair in identity for part in pair)


def _digest(parts: Iterable[bytes]) -> bytes:
    told = hashlib.sha256()
    for part in parts:
        told.update(len(part).to_bytes(8, "big") + part)
    return told.digest()


@dataclass(slots=True)
class GoodAnswers:
    """The good answers of one process; the least recently used go first."""

    most: int = 2000
    most_bytes: int = 32 << 20
    clock: Callable[[], float] = time.monotonic
    size: int = 0  # of all bodies, in bytes
    _kept: OrderedDict[bytes, Good] = field(default_factory=OrderedDict[bytes, Good])
    _writes: int = 0
    _removals: int = 0

    @property
    def moment(self) -> Moment:
        """What was written so far; to be noted before something is read."""
        return Moment(self._writes, self._removals)

    def answer(self, scope: Scope, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Good:
        """Return the good answer to a request that was routed, and answered just now."""
        now, when = self.clock(), dt.datetime.now(dt.UTC)
        proof = proof_of(scope)
        ends = proof.until
        return Good(
            path=scope["path"],
            headers=tuple(headers),
            body=body,
            reading=reading(scope.get("endpoint")),
            at=now,
            when=when,
            who=who_of(scope),
            subject=proof.subject,
            until=math.inf if ends is None else now + (ends - when).total_seconds(),
        )

    def keep(self, key: bytes, good: Good, *, since: Moment) -> None:
        """Keep an answer; written to while it was read, it may be old already."""
        if since.removals != self._removals:
            return  # it may show what was deleted meanwhile, or to whom it may not be shown now
        self.forget(key)
        if len(good.body) > self.most_bytes // 8:
            return
        self._kept[key] = replace(good, fresh=since.writes == self._writes)
        self.size += len(good.body)
        while len(self._kept) > self.most or self.size > self.most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.size -= len(oldest.body)

    def cached(self, key: bytes) -> Served | None:
        """Return an answer that is young enough to be given without asking."""
        good = self._kept.get(key)
        if good is None or not good.fresh:
            return None
        return self._served(key, good, good.reading.cacheable, degraded=False)

    def last(self, key: bytes) -> Served | None:
        """Return the last good answer, where it may be given."""
        good = self._kept.get(key)
        return good and self._served(key, good, good.reading.degradable, degraded=True)

    def is_cacheable(self, key: bytes) -> bool:
        """Say whether an answer to this was cacheable before."""
        good = self._kept.get(key)
        return good is not None and good.reading.cacheable > 0

    def forget(self, key: bytes) -> None:
        """Forget an answer: there is another one now, or none any more."""
        good = self._kept.pop(key, None)
        if good is not None:
            self.size -= len(good.body)

    def refused(self, who: bytes) -> None:
        """Forget all that somebody was given: they are not known any more."""
        for key in [key for key, good in self._kept.items() if good.who == who]:
            self.forget(key)

    def revoked(self, whose: Revokes, subject: str) -> None:
        """Forget all answers of a subject, or of everybody; whose is not known is everybody's."""
        if whose is Revokes.NOTHING:
            return
        self._removals += 1
        everybody = whose is Revokes.ALL or not subject
        for key, good in list(self._kept.items()):
            if everybody or good.subject in ("", subject):
                self.forget(key)

    def written(self, path: str, *, deleted: bool) -> None:
        """Take note of a write: what is at, below or above its path is old; deleted, it goes."""
        self._writes += 1
        self._removals += deleted
        for key, good in list(self._kept.items()):
            if _related(good.path, path):
                if deleted:
                    self.forget(key)
                else:
                    self._kept[key] = replace(good, fresh=False)

    def _served(self, key: bytes, good: Good, seconds: float, *, degraded: bool) -> Served | None:
        now = self.clock()
        age = now - good.at
        if age > seconds or seconds <= 0 or now >= good.until:
            return None
        self._kept.move_to_end(key)
        return Served(good, age, degraded)


def _related(one: str, other: str) -> bool:
    one, other = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return one.startswith(other) or other.startswith(one)
