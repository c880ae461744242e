"""Create, read, change, delete and list for a table, from one declaration.

    notes = Resource(Note, plural="notes", create=NoteCreate, reading=member, writing=editor)
    app.include_router(routes(notes, "/notes"))

Who calls and what they may see comes from the two dependencies: each yields a `Access`, a session
with the values that the caller does not choose (their tenant, their workspace).

What its routes do when the database fails is part of the declaration (`degradable`, `cacheable`,
`repeatable`, `revokes`): they mean what the marks of these names mean for a route by hand.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app import listing
from pgstead.app.degraded import Revokes, cacheable, degradable, revoking
from pgstead.app.encryption import Encrypted, EncryptedType
from pgstead.app.problems import Problem
from pgstead.app.resilience import repeatable
from pgstead.app.rows import Row
from pgstead.app.shapes import Page, change_of, page_of, part_of, read_of
from pgstead.app.versions import Seen, expect, show

VERBS = frozenset({"create", "list", "read", "change", "delete"})


@dataclass(frozen=True, slots=True)
class Access:
    """A session, and what the caller has no say in."""

    session: AsyncSession
    # filters what is seen, fills what is inserted
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    author: uuid.UUID | None = None


Insert = Callable[[Access, Any], Awaitable[None]]


async def _nothing(_access: Access, _row: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Resource:
    """A table over HTTP."""

    model: type[Row]
    plural: str
    create: type[BaseModel]
    reading: Callable[..., Any]
    writing: Callable[..., Any]
    singular: str = ""
    filters: tuple[str, ...] = ()
    order: tuple[str, ...] = ()  # columns, newest first; the key decides between equals
    author: str = ""  # the column that names who inserted the row
    unchangeable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    verbs: frozenset[str] = VERBS
    before_insert: Insert = _nothing
    degradable: float = 0.0  # seconds; 0 is never
    cacheable: float = 0.0
    # neither the dependencies nor `before_insert` do anything outside of the transaction
    repeatable: bool = False
    revokes: Revokes = Revokes.NOTHING  # whose rights its rows tell of

    @property
    def one(self) -> str:
        """What one of them is called."""
        return self.singular or self.plural.removesuffix("s")

    @property
    def title(self) -> str:
        """The name of its forms in the OpenAPI document."""
        return self.one.title().replace(" ", "").replace("_", "")

    def values(self, body: BaseModel) -> dict[str, Any]:
        """Return what was sent, by the names of the model's attributes."""
        columns = {a.columns[0].name: a for a in inspect(self.model).column_attrs}
        secret = {a.key for a in columns.values() if isinstance(a.columns[0].type, EncryptedType)}
        keys = {name: a.key for name, a in columns.items()}
        named = {keys.get(n, n): v for n, v in body.model_dump(exclude_unset=True).items()}
        return {
            key: Encrypted(value) if key in secret and value is not None else value
            for key, value in named.items()
        }

    async def find(self, access: Access, key: uuid.UUID) -> Any:
        """Return a row that the caller may see, or answer 404 as if there were no other."""
        row = await access.session.get(self.model, key)
        outside = (getattr(row, n, None) != v for n, v in access.fixed.items())
        if row is None or any(outside):
            raise Problem(404, f"there is no such {self.one.replace('_', ' ')}", code="not-found")
        return row


def routes(resource: Resource, path: str) -> APIRouter:
    """Return the routes of a resource; `{id}` is its key's name in their paths."""
    router = APIRouter(tags=[resource.plural.replace("_", " ")])
    read = read_of(resource.model, f"{resource.title}Read", without=resource.hidden)
    make = {
        "create": _create,
        "list": _list,
        "read": _read,
        "change": _change,
        "delete": _delete,
    }
    for verb, add in make.items():
        if verb in resource.verbs:
            add(router, resource, path, read)
    return router


def _typed(function: Any, name: str, doc: str, **annotations: Any) -> Any:
    """Give a route the types that FastAPI reads; they are known only now."""
    function.__annotations__.update(annotations)
    function.__name__ = name
    function.__doc__ = doc
    return function


def _reading(resource: Resource, route: Any) -> Any:
    marked = degradable(seconds=resource.degradable)(route) if resource.degradable else route
    return cacheable(seconds=resource.cacheable)(marked) if resource.cacheable else marked


def _writing(resource: Resource, route: Any) -> Any:
    marked = repeatable(route) if resource.repeatable else route
    return revoking(resource.revokes)(marked)


def _in(dependency: Callable[..., Any]) -> Any:
    # before the response: what fails at COMMIT fails the request
    return Annotated[Access, Depends(dependency, scope="function")]


def _create(router: APIRouter, resource: Resource, path: str, read: type[BaseModel]) -> None:
    async def create(access: Access, body: Any, response: Response) -> Any:
        values = {**resource.values(body), **access.fixed}
        if resource.author:
            values[resource.author] = access.author
        row = resource.model(**values)
        await resource.before_insert(access, row)
        access.session.add(row)
        await access.session.flush()
        return show(response, read, row)

    typed = _typed(
        create,
        f"create_{resource.one}",
        f"Add a {resource.one.replace('_', ' ')}.",
        access=_in(resource.writing),
        body=resource.create,
    )
    router.post(path, status_code=201, response_model=read)(_writing(resource, typed))


def _list(router: APIRouter, resource: Resource, path: str, read: type[BaseModel]) -> None:
    page = page_of(read, resource.plural, f"{resource.title}Page")
    part = part_of(resource.create, resource.filters, f"{resource.title}Query")

    async def rows(access: Access, wanted: Any) -> Page:
        conditions = {**resource.values(wanted), **access.fixed}
        for name in ("page", "per_page"):
            conditions.pop(name, None)
        found = await listing.select_part(
            access.session, resource.model, wanted, conditions, resource.order
        )
        shown = [read.model_validate(row) for row in found.rows]
        return page.model_validate({resource.plural: shown, **found.figures})

    order = ", ".join(resource.order) or "when it was made"
    typed = _typed(
        rows,
        f"list_{resource.plural}",
        f"List {resource.plural.replace('_', ' ')}; newest first by {order}.",
        access=_in(resource.reading),
        wanted=Annotated[part, Query()],
    )
    router.get(path, response_model=page)(_reading(resource, typed))


def _read(router: APIRouter, resource: Resource, path: str, read: type[BaseModel]) -> None:
    async def one(
        access: Access,
        id: uuid.UUID,  # noqa: A002 - the path's name
        response: Response,
    ) -> Any:
        return show(response, read, await resource.find(access, id))

    doc = f"Read a {resource.one.replace('_', ' ')}."
    typed = _typed(one, f"read_{resource.one}", doc, access=_in(resource.reading))
    router.get(path + "/{id}", response_model=read)(_reading(resource, typed))


def _change(router: APIRouter, resource: Resource, path: str, read: type[BaseModel]) -> None:
    form = change_of(resource.create, f"{resource.title}Change", fixed=resource.unchangeable)

    async def change(
        access: Access,
        id: uuid.UUID,  # noqa: A002 - the path's name
        body: Any,
        seen: Seen,
        response: Response,
    ) -> Any:
        row = await resource.find(access, id)
        values = resource.values(body)
        if not values:
            raise Problem(422, "nothing to change was sent", code="invalid-request")
        expect(row, seen)
        for name, value in values.items():
            setattr(row, name, value)
        await access.session.flush()
        return show(response, read, row)

    doc = "Change what is sent; the rest stays."
    typed = _typed(
        change, f"change_{resource.one}", doc, access=_in(resource.writing), body=form, seen=Seen
    )
    router.patch(path + "/{id}", response_model=read)(_writing(resource, typed))


def _delete(router: APIRouter, resource: Resource, path: str, _read: type[BaseModel]) -> None:
    async def delete(access: Access, id: uuid.UUID, seen: Seen) -> None:  # noqa: A002 - the path
        row = await resource.find(access, id)
        expect(row, seen)
        await access.session.delete(row)
        await access.session.flush()

    doc = f"Delete a {resource.one.replace('_', ' ')}."
    typed = _typed(delete, f"delete_{resource.one}", doc, access=_in(resource.writing), seen=Seen)
    router.delete(path + "/{id}", status_code=204)(_writing(resource, typed))
