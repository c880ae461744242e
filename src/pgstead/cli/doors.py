"""Whether the ports of a design can be listened on, before anything is started on them."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgstead.errors import PortTakenError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.design import Design

Place = tuple[str, tuple[str, ...], int, str]
"""The program that listens, its addresses, its port, and the manifest's key of the port."""

_PATIENCE = 2.0  # seconds


def must_be_free(wired: Wired) -> None:
    """Raise PortTakenError where somebody else listens, and say who.

    A server that cannot listen is started again and again, and the user would wait for that.
    """
    states = wired.ports.supervisor.states()
    running = {name for name, state in states.items() if state.running}
    for program, hosts, port, key in _places(wired.design):
        if program not in running and any(is_taken(host, port) for host in hosts):
            _refuse(wired, port, key)


def _places(design: Design) -> Iterator[Place]:
    for door, program, key in (
        (design.door("direct"), "postgres", "server.port"),
        (design.door("pooler"), "pgbouncer", "pooler.port"),
    ):
        if door is not None:
            yield program, door.hosts, door.port, key
    services = [program.name for program in design.programs if program.kind == "service"]
    for program, service in zip(services, design.services, strict=True):
        yield program, (service.host,), service.port, f"service.port of {service.database}"


def is_taken(host: str, port: int) -> bool:
    """Try it, as the server will; SO_REUSEADDR as PostgreSQL and PgBouncer set it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            # Whatever else may be wrong with an address, the server says it better.
            return error.errno == errno.EADDRINUSE
    return False


def _refuse(wired: Wired, port: int, key: str) -> None:
    """Raise, unless it is a server of ours whose supervisor was killed.

    What ends or begins right now cannot be told from a stranger's for a moment: ask again.
    """
    from pgstead.host import leftovers, listening

    deadline = time.monotonic() + _PATIENCE
    while True:
        who = listening.holder(port)
        ours = {process.pid for process in leftovers.everything(wired.design.layout)}
        if who is None or who.pid in ours:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    raise PortTakenError(
        f"port {port} ({key}) is taken by {who}",
        hint="end that process, or choose another port in the manifest",
    )
