"""An engine that closes its connections in the loop that opened them.

A fixture that is no coroutine works with every plugin for asyncio, and with none; but its end
comes when the loop is gone, and a connection cannot be closed without its loop. So the loop does
it: at its own end it closes the asynchronous generators that it has begun
(`loop.shutdown_asyncgens()`, which asyncio.run, pytest-asyncio and anyio all wait for).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

_PATIENCE = 10.0  # seconds


class Keeper:
    """Waits in each loop that an engine connects in, and empties the engine's pool at its end."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Listen for new connections."""
        self._engine = engine
        self._waiting: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}
        event.listen(engine.sync_engine, "connect", self._connected)

    def _connected(self, connection: Any, _record: object) -> None:
        connection.run_async(self._wait_here)

    async def _wait_here(self, _connection: object) -> None:
        loop = asyncio.get_running_loop()
        if loop not in self._waiting:
            self._waiting[loop] = self._until_the_end(loop)
            await anext(self._waiting[loop])

    async def _until_the_end(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            del self._waiting[loop]
            await self._engine.dispose()

    def close(self) -> None:
        """Close what is left: a loop that lives longer than its test is asked to do it now."""
        for loop, waiting in list(self._waiting.items()):
            if loop.is_closed():
                continue
            if not loop.is_running():
                loop.run_until_complete(waiting.aclose())
            elif not _runs_here(loop):
                asyncio.run_coroutine_threadsafe(_closed(waiting), loop).result(_PATIENCE)
        # Connections whose loop ended without a word cannot be closed any more.
        self._engine.sync_engine.dispose(close=False)


async def _closed(waiting: AsyncGenerator[None]) -> None:
    await waiting.aclose()


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
