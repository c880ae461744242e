"""What an application tells `pgstead bench`: the requests of its load.

A module of the manifest's `[[databases]] load` has a function

    @contextmanager
    def requests(url: str, connection: Path) -> Generator[Sequence[Request]]: ...

It makes what it asks for (a person, a project), and removes it when the load is over, or ends.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from pgstead.errors import SteadError
from pgstead.model.bench import Request

__all__ = ["Asking", "LoadError", "Request", "sending"]

_PATIENCE = 30.0  # seconds


class LoadError(SteadError):
    """The load of an application could not be prepared."""

    code = "load-failed"


class Asking:
    """Somebody who asks a service for JSON, to prepare a load and to remove what it made."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep where the service is, and what to send with each request."""
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", **(headers or {})}

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer's JSON, None where there is none. Raises LoadError."""
        asked = urllib.request.Request(  # noqa: S310 - the address is the manifest's own service
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
            method=method,
        )
        try:
            with urllib.request.urlopen(asked, timeout=_PATIENCE) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            told = error.read()[:300].decode("utf-8", "replace")
            raise _refused(method, path, f"{error.code} {told}") from error
        except OSError as error:
            raise _refused(method, path, str(error)) from error
        return json.loads(text) if text else None


def sending(
    method: str, path: str, headers: Mapping[str, str], *, what: str, body: object = None,
    status: int = 200,
) -> Request:  # fmt: skip
    """Return a request with a JSON body."""
    data = b"" if body is None else json.dumps(body).encode()
    sent = {**headers, "Content-Type": "application/json"} if data else dict(headers)
    return Request(f"{method} {what}", method, path, sent, data, status)


def _refused(method: str, path: str, why: str) -> LoadError:
    return LoadError(
        f"{method} {path} was refused while a load was prepared: {why}",
        hint="`pgstead status` shows whether the service runs and its database is migrated",
    )
