"""A proxy on loopback that cuts connections around COMMIT, and counts those that come.

It reads the wire, so there is no TLS on its sides: a test opens a plaintext door for it. It runs in
the event loop of the test.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum


class Cut(StrEnum):
    """What happens to a COMMIT on its way."""

    NOT = "not"
    BEFORE = "before"  # the server never sees it
    AFTER = "after"  # the server has done it, the answer is lost
    RACE = "race"  # it is sent on, and the connection cut at once


def never(_number: int) -> Cut:
    """Let all pass."""
    return Cut.NOT


@dataclass
class Proxy:
    """Between clients and one server."""

    port: int  # of the server
    cut: Callable[[int], Cut] = never
    open: bool = True  # closed, it takes connections and drops them: the server is down, and counts
    own: int = 0
    connections: int = 0
    commits: int = 0
    cuts: Counter[Cut] = field(default_factory=Counter)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.connections += 1
        if not self.open:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            behind, before = await asyncio.open_connection("127.0.0.1", self.port)
            await _Pair(self, reader, writer, behind, before).run()
        except OSError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    def take(self, writer: asyncio.StreamWriter) -> None:
        """Remember an open end, for `drop`."""
        self._writers.add(writer)

    def drop(self) -> None:
        """Cut all connections there are."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@dataclass
class _Pair:
    proxy: Proxy
    client: asyncio.StreamReader
    to_client: asyncio.StreamWriter
    server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    dropping: bool = False
    started: bool = False
    rest: bytes = b""

    async def run(self) -> None:
        for writer in (self.to_client, self.to_server):
            self.proxy.take(writer)
        try:
            tasks = [asyncio.create_task(self.forth()), asyncio.create_task(self.back())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for writer in (self.to_client, self.to_server):
                writer.transport.abort()

    async def forth(self) -> None:
        with suppress(OSError):
            while data := await self.client.read(65536):
                commits = sum(map(_is_commit, self.messages(data)))
                how = Cut.NOT
                for _ in range(commits):
                    self.proxy.commits += 1
                    how = self.proxy.cut(self.proxy.commits)
                self.proxy.cuts[how] += commits
                if how is Cut.BEFORE:
                    return
                self.dropping = how is Cut.AFTER
                self.to_server.write(data)
                await self.to_server.drain()
                if how is Cut.RACE:
                    # all of it leaves before the connection goes
                    self.to_server.close()
                    return

    async def back(self) -> None:
        with suppress(OSError):
            while data := await self.server.read(65536):
                if self.dropping:
                    return
                self.to_client.write(data)
                await self.to_client.drain()

    def messages(self, data: bytes) -> list[bytes]:
        """Split what a client sends; what is not whole yet waits."""
        self.rest += data
        found: list[bytes] = []
        while len(self.rest) >= 5:
            at = 1 if self.started else 0
            length = int(struct.unpack("!I", self.rest[at : at + 4])[0]) + at
            if len(self.rest) < length:
                break
            message, self.rest = self.rest[:length], self.rest[length:]
            if self.started:
                found.append(message)
            self.started = self.started or message[4:8] == b"\x00\x03\x00\x00"
        return found


def _is_commit(message: bytes) -> bool:
    return message[:1] == b"Q" and message[5:].upper().startswith(b"COMMIT")


@asynccontextmanager
async def cutting(port: int, cut: Callable[[int], Cut] = never) -> AsyncIterator[Proxy]:
    """Run a proxy before a server; nothing of it is left afterwards."""
    proxy = Proxy(port, cut)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.own = int(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        proxy.drop()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
