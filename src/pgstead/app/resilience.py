"""What a service does for its requests when the database fails: again, degraded, or cached.

A request is the unit of work: its transaction is committed before the answer begins, so an answer
that tells of a failure can be withheld and the request served again from its start. That is done
where `retry.decide` says so, for reads, and for routes marked `repeatable`: those that do nothing
outside of their transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pgstead.app.degraded import (
    GoodAnswers,
    Moment,
    Served,
    key_of,
    proof_of,
    reading,
    revokes,
    who_of,
)
from pgstead.app.engine import Database
from pgstead.app.errors import CommitUnknownError, DatabaseError, NotCommittedError
from pgstead.app.errors import UnavailableError as Unavailable
from pgstead.app.problems import FAILURE
from pgstead.app.transactions import SAFE

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

LONGEST_REPLAY = 1 << 20  # bytes of a body that are kept for another attempt

_REPEATABLE = "__pgstead_repeatable__"
_log = logging.getLogger(__name__)


def repeatable(endpoint: Endpoint) -> Endpoint:
    """Mark a route: it does nothing outside of its transaction, so it may be served again."""
    setattr(endpoint, _REPEATABLE, True)
    return endpoint


class ResilienceMiddleware:
    """Serve a request again where that is safe; answer marked reads from what was good."""

    def __init__(self, app: ASGIApp, database: Database, answers: GoodAnswers) -> None:
        """Wrap an application on one database."""
        self._app = app
        self._units = database.units
        self._answers = answers
        self._refreshing: dict[bytes, asyncio.Lock] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] != "GET":
            await self._serve(None, scope, receive, send)
            return
        key = key_of(scope)
        async with self._alone(key):
            cached = None if _wants_new(scope) else self._answers.cached(key)
            if cached is None:
                await self._serve(key, scope, receive, send)
        if cached is not None:
            await _give(cached, send)

    @asynccontextmanager
    async def _alone(self, key: bytes) -> AsyncGenerator[None]:
        """Let one renew a cached answer while others wait for it: no herd when it gets old."""
        if not self._answers.is_cacheable(key):
            yield
            return
        lock = self._refreshing.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._refreshing.pop(key, None)

    async def _serve(self, key: bytes | None, scope: Scope, receive: Receive, send: Send) -> None:
        units, body = self._units, _Body(receive)
        began, since = units.clock(), self._answers.moment
        units.begin()
        attempt = 0
        while True:
            attempt += 1
            # routing writes into the scope
            answer = _Answer(self, dict(scope), key, body, attempt, began, send)
            await self._app(answer.scope, body.receive, answer.take)
            if not answer.again:
                break
            await asyncio.sleep(units.policy.pause(attempt, units.chance()))
            body.rewind()
        if answer.instead is not None:
            _log.info("%s is answered from what was good", scope["path"])
            await _give(answer.instead, send)
        else:
            self._learn(answer, key, since)

    def _learn(self, answer: _Answer, key: bytes | None, since: Moment) -> None:
        scope, answers = answer.scope, self._answers
        if scope["method"] not in SAFE:
            # what may have been done counts as done
            if answer.status < 400 or isinstance(scope.get(FAILURE), CommitUnknownError):
                self._written(scope)
        elif key is None:
            return
        elif answer.kept is not None and answer.status == 200:
            good = answers.answer(scope, answer.headers, bytes(answer.kept))
            answers.keep(key, good, since=since)
        elif 300 <= answer.status < 500:
            answers.forget(key)  # it is gone, or no longer to be seen
            if answer.status == 401:
                answers.refused(who_of(scope))

    def _written(self, scope: Scope) -> None:
        self._answers.revoked(revokes(scope.get("endpoint")), proof_of(scope).subject)
        self._answers.written(scope["path"], deleted=scope["method"] == "DELETE")

    def again(self, answer: _Answer, error: DatabaseError) -> bool:
        """Say whether the request is served again, and take it from the budget."""
        endpoint = answer.scope.get("endpoint")
        if answer.scope["method"] not in SAFE and not getattr(endpoint, _REPEATABLE, False):
            return False
        return answer.body.whole and self._units.may_rerun(error, answer.attempt, answer.began)

    def instead(self, answer: _Answer, error: DatabaseError) -> Served | None:
        """Return what can be given instead of an error."""
        if answer.key is None or not isinstance(error, Unavailable):
            return None
        return self._answers.last(answer.key)


@dataclass(slots=True)
class _Answer:
    """One attempt's answer: sent on as it comes, unless it tells of a failure that is mended."""

    middleware: ResilienceMiddleware
    scope: Scope
    key: bytes | None
    body: _Body
    attempt: int
    began: float
    send: Send
    again: bool = False
    instead: Served | None = None
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    kept: bytearray | None = None

    async def take(self, message: Message) -> None:
        """Take a message from the application."""
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self.kept is not None:
            self.kept += message.get("body", b"")
        if not self.again and self.instead is None:
            await self.send(message)

    def _begin(self, message: Message) -> None:
        self.status = message["status"]
        error = self.scope.get(FAILURE)
        if isinstance(error, CommitUnknownError) and self.scope["method"] in SAFE:
            error = NotCommittedError(error.message)  # a read changes nothing
        if isinstance(error, DatabaseError):
            self.again = self.middleware.again(self, error)
            self.instead = None if self.again else self.middleware.instead(self, error)
            return
        allows = reading(self.scope.get("endpoint"))
        if self.status == 200 and self.key is not None and (allows.degradable or allows.cacheable):
            self.headers = list(message.get("headers", ()))
            self.kept = bytearray()
            message["headers"] = [*self.headers, (b"cache-status", b"pgstead; fwd=miss; stored")]


@dataclass(slots=True)
class _Body:
    """What a client sends, kept so that it can be read again."""

    real: Receive
    messages: list[Message] = field(default_factory=list[Message])
    position: int = 0
    size: int = 0

    @property
    def whole(self) -> bool:
        """Whether another attempt can read all that was read, and the rest."""
        return self.size <= LONGEST_REPLAY

    def rewind(self) -> None:
        """Begin again."""
        self.position = 0

    async def receive(self) -> Message:
        """Give the next message: one that came before, or a new one."""
        if self.position < len(self.messages):
            message = self.messages[self.position]
        else:
            message = await self.real()
            self.size += len(message.get("body", b""))
            if not self.whole:
                return message
            self.messages.append(message)
        self.position += 1
        return message


def _wants_new(scope: Scope) -> bool:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return any(name == b"cache-control" and b"no-cache" in value for name, value in headers)


async def _give(served: Served, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": served.headers})
    await send({"type": "http.response.body", "body": served.body})
