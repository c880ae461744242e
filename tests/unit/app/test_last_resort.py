"""What a log tells of an error that nobody foresaw."""

from __future__ import annotations

import uuid

from sqlalchemy.exc import DBAPIError

from pgstead.app.correlation import as_uuid
from pgstead.app.last_resort import story


class ServerError(Exception):
    """Looks as a driver's error does: a code, and words that hold a row's values."""

    sqlstate = "P0001"


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Raise and catch, so that there is a traceback."""
    try:
        raise error from cause  # noqa: TRY301
    except BaseException as caught:  # noqa: BLE001 - that is what it is for
        return caught


def test_the_server_s_words_are_left_out_and_its_code_is_told() -> None:
    server = ServerError("secret")
    told = "".join(story(raised(DBAPIError("INSERT ...", {"x": "secret"}, server), server)))
    assert "secret" not in told
    assert "SQLSTATE P0001" in told
    assert "INSERT ..." in told
    assert "which led to" in told
    assert __name__.rpartition(".")[2] in told


def test_the_words_of_other_errors_are_told() -> None:
    assert "KeyError: 'x'" in "".join(story(raised(KeyError("x"))))


def test_a_correlation_id_that_is_no_uuid_is_mapped_to_the_same_one_each_time() -> None:
    identity = uuid.uuid4()
    assert as_uuid(str(identity)) == identity
    assert as_uuid("req-1") == as_uuid("req-1") != as_uuid("req-2")
