"""What every route reads from its request and writes into its answer."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Query, Response
from pydantic import BaseModel

from pgstead.app.problems import Problem
from systems.jeex_idea.models import Row
from systems.jeex_idea.repository import Part
from systems.jeex_idea.schemas import LONGEST_LIST

Shown = TypeVar("Shown", bound=BaseModel)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_TAG = re.compile(r'"[0-9a-f]{1,14}"')


async def _part(
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    per_page: Annotated[int, Query(ge=1, le=LONGEST_LIST)] = 20,
) -> Part:
    return Part(page, per_page)


async def _seen(
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
    return _EPOCH + int(tag.strip('"'), 16) * _MICROSECOND


Wanted = Annotated[Part, Depends(_part)]
Seen = Annotated[dt.datetime | None, Depends(_seen)]


def etag(row: Row) -> str:
    """Return the row's version as an ETag."""
    return f'"{(row.updated_at - _EPOCH) // _MICROSECOND:x}"'


def show(response: Response, schema: type[Shown], row: Row) -> Shown:
    """Return a row as the caller sees it, with its ETag."""
    response.headers["ETag"] = etag(row)
    return schema.model_validate(row)


def changes(body: BaseModel) -> dict[str, Any]:
    """Return what was sent, and nothing of what was left out. Nothing sent is an error."""
    values = body.model_dump(exclude_unset=True)
    if not values:
        raise Problem(422, "nothing to change was sent", code="invalid-request")
    return values
