"""A client that costs little: keep-alive connections, requests that were made beforehand."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Seen:
    """What was seen of one server."""

    answers: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list[float])
    wrong: int = 0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


class _Caller(asyncio.Protocol):
    """One connection: the next request is sent when an answer is whole."""

    def __init__(self, requests: Sequence[bytes], seen: Seen, first: int, until: float) -> None:
        self._requests, self._seen, self._next, self._until = requests, seen, first, until
        self._got = b""
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._got, 0, end)
        if length is None or len(self._got) < end + 4 + int(length[1]):
            return
        now = time.perf_counter()
        self._seen.answers += 1
        self._seen.wrong += not self._got.startswith(b"HTTP/1.1 200")
        self._seen.latencies.append(now - self._sent)
        self._got = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(error)


async def call(
    port: int, requests: Sequence[bytes], seen: Seen, *, connections: int, seconds: float
) -> None:
    """Ask as fast as answers come, over so many connections, for so many seconds."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    callers = [
        _Caller(requests, seen, n * len(requests) // connections, began + seconds)
        for n in range(connections)
    ]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)
    await asyncio.gather(*(caller.done for caller in callers))
    seen.seconds += time.perf_counter() - began
