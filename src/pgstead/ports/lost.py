"""What a driver's error means to whoever asked: the server is not there any more, or it refuses."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg

from pgstead.errors import NotRunningError, SqlError

# Of sessions that the server ended, and of connections; the driver's own words have no SQLSTATE.
_ENDED = ("57P", "08")


def is_lost(error: BaseException) -> bool:
    """Say whether an error is that of a connection which the server, or its end, has cut."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_ENDED)


def lost(error: psycopg.Error) -> NotRunningError:
    """Return how a connection that is gone is told."""
    return NotRunningError(
        f"a connection to the server was lost: {said(error)}",
        hint="`pgstead status` shows whether it runs; run the command again when it does",
    )


@contextmanager
def held(connection: psycopg.Connection[Any]) -> Generator[None]:
    """Close it in the end. Raises NotRunningError where it was lost meanwhile."""
    try:
        with connection:
            yield
    except psycopg.OperationalError as error:
        if not connection.broken:
            raise  # a refusal, or what another connection met
        raise lost(error) from error


def meant(
    error: psycopg.Error, connection: psycopg.Connection[Any] | None, asked: str, hint: str
) -> NotRunningError | SqlError:
    """Return how an error is told to people: by a connection that is gone, or by a refusal."""
    if connection is not None and connection.broken:
        return lost(error)
    return SqlError(f"the server refused {asked}: {said(error)}", hint=hint)


def said(error: psycopg.Error) -> str:
    """Return the server's own words, or the driver's; never the details, which hold values."""
    primary = error.diag.message_primary
    if primary is None and is_lost(error):
        return str(error).strip().partition("\n")[0]
    return primary or type(error).__name__
