"""Ports for what tests start: nobody's now, and given to nobody else before it listens.

What the system picks (`bind` to 0) may be picked for somebody else, or for a connection, between
the moment a test asks and the moment its server listens, which is seconds later. These lie below
the range that is picked from (32768 upwards, ip(7)), each worker has its own share, and gives each
once until it has given all.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle, islice

_FIRST, _END = 10_000, 32_000
_SHARES = 8  # of workers; more than that share


def _mine() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (_END - _FIRST) // _SHARES
    begin = _FIRST + size * (worker % _SHARES)
    mine = range(begin, begin + size)
    # another suite on this machine begins elsewhere
    return islice(cycle(mine), random.randrange(size), None)


_NEXT = _mine()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = next(_NEXT)
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    return ports


def free_port() -> int:
    """Return one."""
    return free_ports(1)[0]
