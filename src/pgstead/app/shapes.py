"""The forms in which rows go in and out over HTTP, made from what is known of them already.

Unknown fields are refused everywhere: a misspelt one would change nothing, in silence.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Annotated, Any, Optional, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    create_model,
)
from sqlalchemy import ARRAY, Column, inspect
from sqlalchemy.dialects.postgresql import INET, JSONB

from pgstead.app.encryption import EncryptedType
from pgstead.app.rows import Row
from pgstead.model.personal import unmarked

# drivers give an object of `ipaddress`
_Address = Annotated[str, BeforeValidator(str)]

LONGEST_LIST = 100
DEEPEST_PAGE = 1_000_000


def _without_nul(value: Any) -> Any:
    """Refuse what PostgreSQL cannot store, at any depth, before a driver does in its own words."""
    open_ends: list[Any] = [value]
    while open_ends:
        item = open_ends.pop()
        if isinstance(item, str) and "\x00" in item:
            raise ValueError("the character U+0000 cannot be stored")
        if isinstance(item, dict):
            open_ends.extend(cast("dict[Any, Any]", item).keys())
            open_ends.extend(cast("dict[Any, Any]", item).values())
        elif isinstance(item, list):
            open_ends.extend(cast("list[Any]", item))
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def left_out() -> Any:
    """Stand for a field that was not sent: the schema shows no default, and null is refused."""
    return None


def _text_only(value: Any) -> Any:
    """Refuse numbers, which pydantic would take for seconds since 1970 or for an address."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


TextOnly = BeforeValidator(_text_only)
Text = Annotated[str, AfterValidator(_without_nul)]
Flag = Annotated[bool, Strict()]
Moment = Annotated[AwareDatetime, TextOnly]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    AfterValidator(_without_nul),
    AfterValidator(_not_blank),
]
Email = Annotated[
    str, StringConstraints(min_length=3, max_length=254), AfterValidator(_without_nul)
]
Json = Annotated[dict[str, Any], AfterValidator(_without_nul)]
JsonList = Annotated[list[Any], AfterValidator(_without_nul)]
Integer = Annotated[int, Strict(), Field(ge=-(2**31), le=2**31 - 1)]


class In(BaseModel):
    """What comes in."""

    model_config = ConfigDict(extra="forbid", use_enum_values=True)


class Out(BaseModel):
    """What goes out, read from a row."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    created_at: dt.datetime
    updated_at: dt.datetime


class Page(BaseModel):
    """A part of a list, with the number of all."""

    total: int
    page: int
    per_page: int
    total_pages: int


class Part(In):
    """Which part of a list is asked for."""

    page: Annotated[int, Field(ge=1, le=DEEPEST_PAGE)] = 1
    per_page: Annotated[int, Field(ge=1, le=LONGEST_LIST)] = 20


def change_of(create: type[BaseModel], name: str, *, fixed: Collection[str] = ()) -> type[In]:
    """Return the form of a change: every field of `create` may be left out, `fixed` ones must."""
    fields: dict[str, Any] = {
        field: (_annotated(info), Field(default_factory=left_out))
        for field, info in create.model_fields.items()
        if field not in fixed
    }
    made: Any = create_model(
        name, __base__=In, __doc__="What may be changed; what is left out stays.", **fields
    )
    return made


def read_of(model: type[Row], name: str, *, without: Collection[str] = ()) -> type[Out]:
    """Return the form in which a row is shown: each column under its own name.

    Encrypted columns are left out, named in `without` or not.
    """
    fields: dict[str, Any] = {}
    for attribute in inspect(model).column_attrs:
        column = attribute.columns[0]
        if (
            not isinstance(column, Column)
            or isinstance(cast("Any", column).type, EncryptedType)
            or column.name in without
            or column.name in Out.__annotations__
        ):
            continue
        kind = _python_type(cast("Any", column).type)
        fields[column.name] = (
            Optional[kind] if column.nullable else kind,  # noqa: UP045 - a value, not an annotation
            Field(validation_alias=attribute.key, description=unmarked(column.comment) or None),
        )
    made: Any = create_model(name, __base__=Out, __doc__=model.__doc__, **fields)
    return made


def page_of(read: type[BaseModel], plural: str, name: str) -> type[Page]:
    """Return the form of a part of a list; the rows stand under the table's own name."""
    rows: Any = (list[read], ...)
    fields: dict[str, Any] = {plural: rows}
    made: Any = create_model(name, __base__=Page, __doc__=f"A page of {plural}.", **fields)
    return made


def part_of(create: type[BaseModel], filters: Collection[str], name: str) -> type[Part]:
    """Return the form of a list's query: a page, and values that columns must have."""
    fields: dict[str, Any] = {}
    for field in filters:
        kind = _of_query(create.model_fields[field])
        fields[field] = (kind, Field(default_factory=left_out, description="only rows with this"))
    made: Any = create_model(name, __base__=Part, __doc__="Which rows, and which page.", **fields)
    return made


def _annotated(info: Any) -> Any:
    """Return a field's type with all that its value must satisfy."""
    kind: Any = info.annotation
    for found in info.metadata:
        kind = Annotated[kind, found]
    return kind


def _of_query(info: Any) -> Any:
    """Return the same for a query, where everything is text: `true` is the boolean there."""
    kind: Any = info.annotation
    for found in info.metadata:
        if not isinstance(found, Strict):
            kind = Annotated[kind, found]
    return kind


def _python_type(kind: Any) -> Any:
    if isinstance(kind, JSONB):
        return Any
    if isinstance(kind, ARRAY):
        inner: Any = _python_type(cast("Any", kind).item_type)
        return list[inner]
    return _Address if isinstance(kind, INET) else kind.python_type
