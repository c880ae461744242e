"""A client of supervisord's XML-RPC interface over its Unix socket."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from pathlib import PurePosixPath
from typing import Any

from pgstead.errors import NotRunningError, SteadError

_TIMEOUT = 10.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    """supervisor's own transport has no timeout, and a hung supervisor must not hang us."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        _ = host
        return _Connection(self._path)


class Client:
    """Calls to a supervisord; one connection each."""

    def __init__(self, path: PurePosixPath) -> None:
        """Keep the path of the socket."""
        self._path = str(path)

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method of the `supervisor` namespace.

        Raises NotRunningError when nobody answers, RefusedError when supervisord says no.
        """
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(self._path))
        try:
            return getattr(proxy, f"supervisor.{method}")(*arguments)
        except xmlrpc.client.Fault as fault:
            raise RefusedError(str(fault.faultString)) from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise NotRunningError(
                f"the supervisor does not answer: {error}", hint="`pgstead up` starts it"
            ) from error

    def answers(self) -> bool:
        """Say whether a supervisord listens and works."""
        try:
            return self.call("getState")["statename"] == "RUNNING"
        except (NotRunningError, RefusedError):
            return False


class RefusedError(SteadError):
    """The supervisor refused a call."""

    code = "supervisor-refused"

    @property
    def word(self) -> str:
        """The name of the fault: NOT_RUNNING, ALREADY_STARTED, BAD_NAME ..."""
        return self.message.partition(":")[0]
