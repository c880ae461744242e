"""The version of a row over HTTP: an ETag, and If-Match against lost updates (API-7)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Response
from pydantic import BaseModel

from pgstead.app.errors import LostUpdateError
from pgstead.app.problems import Problem
from pgstead.app.rows import Row

Shown = TypeVar("Shown", bound=BaseModel)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_TAG = re.compile(r'"[0-9a-f]{1,14}"')


async def seen(
    if_match: Annotated[
        str | None,
        Header(
            description="the ETag of the row that you have read; 412 if it was changed since then"
        ),
    ] = None,
) -> dt.datetime | None:
    """Return the moment that an ETag stands for; `*` and none at all mean any."""
    tag = (if_match or "*").strip()
    if tag == "*":
        return None
    if not _TAG.fullmatch(tag):
        # a tag that was never ours matches nothing (RFC 9110, 13.1.1)
        raise Problem(412, "If-Match does not hold an ETag of this service", code="lost-update")
    try:
        return _EPOCH + int(tag.strip('"'), 16) * _MICROSECOND
    except OverflowError:
        raise Problem(412, "If-Match is of no row", code="lost-update") from None


Seen = Annotated[dt.datetime | None, Depends(seen)]


def etag(row: Row) -> str:
    """Return the row's version as an ETag."""
    return f'"{(row.updated_at - _EPOCH) // _MICROSECOND:x}"'


def show(response: Response, form: type[Shown], row: Row) -> Shown:
    """Return a row as the caller sees it, with its ETag."""
    response.headers["ETag"] = etag(row)
    return form.model_validate(row)


def expect(row: Row, moment: dt.datetime | None) -> None:
    """Refuse (412) where the row is not the one that the caller has seen."""
    if moment is not None and row.updated_at != moment:
        raise Problem(
            412,
            "the row was changed since you read it",
            code=LostUpdateError.code,
            hint="read it again, apply the change to what is there now, and send its new ETag",
        )
