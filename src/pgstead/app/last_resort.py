"""What nobody foresaw: answered with a problem document, logged without any value of a row.

Starlette would raise the error again after its answer; uvicorn then drops the connection, which
may have the caller's next request on it already, and logs the server's words, which hold values.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pgstead.app.problems import answer
from pgstead.app.story import story

_log = logging.getLogger(__name__)


class LastResortMiddleware:
    """Answer 500 where an error came through everything else."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; an error that comes out is logged, and answered if that still goes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            _log.error("%s %s failed:\n%s", scope["method"], scope["path"], "".join(story(error)))
            if started:
                raise
            response = answer(
                Request(scope),
                500,
                code="bug",
                detail="something went wrong that nobody foresaw",
                hint="the log has it under this correlation id",
            )
            await response(scope, receive, send)
