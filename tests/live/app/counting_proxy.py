"""A proxy that counts round trips, and makes each one cost something.

It sees through no TLS, and need not: a round trip is whatever the client sends after the server has
spoken. The answers are held back for `delay` seconds, so that what a client sends in one go is one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Count:
    """Round trips since the last reset."""

    trips: int = 0
    client_spoke: bool = False

    def reset(self) -> None:
        """Begin anew."""
        self.trips, self.client_spoke = 0, False

    def heard_client(self) -> None:
        """Count what follows an answer."""
        if not self.client_spoke:
            self.trips += 1
        self.client_spoke = True

    def heard_server(self) -> None:
        """Remember that what the client sends next is another round trip."""
        self.client_spoke = False


@dataclass
class Proxy:
    """Where it listens, and what it counted."""

    port: int
    count: Count


@contextmanager
def counting(port: int, delay: float = 0.005) -> Iterator[Proxy]:
    """Run a proxy before a port of loopback, in a thread of its own."""
    loop = asyncio.new_event_loop()
    count = Count()

    async def serve() -> asyncio.Server:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _relay(reader, writer, port, count, delay)

        return await asyncio.start_server(handle, "127.0.0.1", 0)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    try:
        yield Proxy(server.sockets[0].getsockname()[1], count)
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    port: int,
    count: Count,
    delay: float,
) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)

    async def to_server() -> None:
        while data := await reader.read(65536):
            count.heard_client()
            back.write(data)
            await back.drain()

    async def to_client() -> None:
        while data := await there.read(65536):
            await asyncio.sleep(delay)
            count.heard_server()
            writer.write(data)
            await writer.drain()

    tasks = [asyncio.create_task(to_server()), asyncio.create_task(to_client())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        pass  # the proxy ends; asyncio's server of 3.11 would complain about it
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        back.close()
        writer.close()
