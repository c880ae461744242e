"""A client of supervisord's XML-RPC interface over its Unix socket.

supervisor's own transport has no timeout, and a hung supervisor must not hang us.
"""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from contextlib import closing
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


class Client:
    """Calls to a supervisord; one connection each."""

    def __init__(self, path: PurePosixPath) -> None:
        """Keep the path of the socket."""
        self._path = str(path)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the `supervisor` namespace.

        Raises NotRunningError when nobody answers, RefusedError when supervisord says no.
        """
        try:
            answer = self._post(xmlrpc.client.dumps(arguments, f"supervisor.{method}"))
        except (OSError, http.client.HTTPException) as error:
            raise NotRunningError(
                f"the supervisor does not answer: {error}", hint="`pgstead up` starts it"
            ) from error
        try:
            (value,), _ = xmlrpc.client.loads(answer)
        except xmlrpc.client.Fault as fault:
            raise RefusedError(str(fault.faultString)) from fault
        return value

    def _post(self, body: str) -> bytes:
        with closing(_Connection(self._path)) as connection:
            connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
            with connection.getresponse() as response:
                if response.status != http.HTTPStatus.OK:
                    raise http.client.HTTPException(f"{response.status} {response.reason}")
                return response.read()

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
