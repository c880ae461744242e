"""What a lane says of a target that was not asked, or is not understood."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from pgstead.errors import SteadError
from pgstead.observe.lanes import Connection, Lane, Silence


def raises(error: Exception) -> Callable[[], Connection]:
    def opens() -> Connection:
        raise error

    return opens


@pytest.mark.parametrize(
    ("error", "away", "says"),
    [
        (SteadError("there is no secret in /a/path"), False, "password cannot be read"),
        (KeyError("maxwait"), False, "not understood: KeyError"),
        (psycopg.OperationalError("Connection refused"), True, "nobody listens there"),
        (psycopg.OperationalError("FATAL:  role may not"), False, "refuses the monitoring role"),
    ],
)
def test_only_what_gives_no_answer_is_away(error: Exception, away: bool, says: str) -> None:
    lane: Lane[None] = Lane("server", raises(error))
    lane.begin(lambda _connection: None)
    told = lane.end(time.monotonic() + 10)
    assert isinstance(told, Silence)
    assert told.away is away
    assert says in told.reason
    assert "/a/path" not in told.reason
