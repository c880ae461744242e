"""Correlation ids: the same id in the request, the answer, the log and the rows that it made."""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "X-Correlation-ID"
_NAME: Final = HEADER.lower().encode()  # as ASGI has it

# what may stand in a log line and in a header without being quoted
_FORM = re.compile(r"[A-Za-z0-9._-]{1,128}")

_current: ContextVar[str] = ContextVar("correlation_id", default="")


def current() -> str:
    """Return the id of the request that is being served, empty outside of one."""
    return _current.get()


def as_uuid(identity: str) -> uuid.UUID:
    """Return the id as a UUID; one that is none is mapped to the same UUID every time."""
    try:
        return uuid.UUID(identity)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_URL, identity)


def _given(scope: Scope) -> str:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((value.decode("latin-1") for name, value in headers if name == _NAME), "")


class CorrelationMiddleware:
    """Take the caller's id where it is well formed, else make one; send it back."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request with its id at hand."""
        if scope["type"] != "http" or current():
            # mounted in another service: the request has its id already
            await self._app(scope, receive, send)
            return
        given = _given(scope)
        identity = given if _FORM.fullmatch(given) else str(uuid.uuid4())

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = (pair for pair in message.get("headers", ()) if pair[0] != _NAME)
                message["headers"] = [*kept, (_NAME, identity.encode())]
            await send(message)

        token = _current.set(identity)
        try:
            await self._app(scope, receive, answer)
        finally:
            _current.reset(token)


class CorrelationFilter(logging.Filter):
    """Put the id into every log record, as `correlation_id`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the field; nothing is filtered out."""
        record.correlation_id = current() or "-"
        return True
