"""Where a row's key and tenant reach encryption: in the mapper's own events (docs/adr/0016).

A value is sealed in `before_insert` and `before_update`, when its row is known whole; a value that
was read learns its place in `load` and `refresh`. The keys come with the session, so that two
databases of one process have their own. Models without encrypted columns pay nothing: listeners
are set per model, when it is configured.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from sqlalchemy import Column, Connection, Table, Uuid, event
from sqlalchemy import inspect as sqlalchemy_inspect
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Mapper, object_session, sessionmaker

from pgstead.app.encryption.blind import index_of
from pgstead.app.encryption.column import EncryptedType
from pgstead.app.encryption.declaration import Declaration
from pgstead.app.encryption.errors import KeyringError, UnknownPlaceError, UnsealedError
from pgstead.app.encryption.place import Place
from pgstead.app.encryption.sources import Keys
from pgstead.app.encryption.value import Encrypted
from pgstead.app.identifiers import uuid7

KEYS: Final = "pgstead.keys"  # in Session.info: the Keys of the database
# The execution option by which `Database.session(tenant=...)` tells its connection the scope: a
# row whose tenant the server will fill in belongs to that one.
SCOPE: Final = "pgstead_scope"


def attach(sessions: async_sessionmaker[Any] | sessionmaker[Any], keys: Keys) -> None:
    """Give every session of a factory the keys: `attach(database.sessions, keys)`."""
    given: dict[str, Any] = sessions.kw.get("info") or {}
    sessions.configure(info={**given, KEYS: keys})


@dataclass(frozen=True, slots=True)
class Member:
    """One encrypted attribute of a mapped class."""

    attribute: str
    column: str
    table: Table
    declaration: Declaration
    # names of the columns that make the place, each with the attribute that holds it
    parts: Mapping[str, str]
    index_attribute: str | None

    @classmethod
    def of(cls, mapper: Mapper[Any], column: Column[Any]) -> Member:
        """Read what a mapper says of a column."""
        assert isinstance(column.type, EncryptedType)
        assert isinstance(column.table, Table)
        table, declaration = column.table, column.type.declaration
        index = declaration.blind_index
        return cls(
            _attribute(mapper, column),
            column.name,
            table,
            declaration,
            {name: _attribute(mapper, table.c[name]) for name in declaration.parts(table)},
            _attribute(mapper, table.c[index]) if index else None,
        )

    def row(self, target: Any) -> dict[str, Any]:
        """Return what of an object's key and tenant is loaded."""
        held = target.__dict__
        return {name: held.get(attribute) for name, attribute in self.parts.items()}

    def place(self, target: Any) -> Place:
        """Return the place of an object's value. Raises UnknownPlaceError."""
        return self.declaration.place(self.table, self.column, self.row(target))


def _attribute(mapper: Mapper[Any], column: Column[Any]) -> str:
    return mapper.get_property_by_column(column).key


def members_of(mapper: Mapper[Any]) -> tuple[Member, ...]:
    """Return the encrypted attributes of a mapped class."""
    columns = [c for c in mapper.columns if isinstance(c.type, EncryptedType)]
    return tuple(Member.of(mapper, column) for column in columns)


@event.listens_for(Mapper, "mapper_configured")
def _listen(mapper: Mapper[Any], entity: type[Any]) -> None:
    members = members_of(mapper)
    if not members:
        return
    event.listen(entity, "before_insert", partial(_before_insert, members))
    event.listen(entity, "before_update", partial(_before_update, members))
    event.listen(entity, "load", partial(_loaded, members))
    event.listen(entity, "refresh", partial(_refreshed, members))


def _keys(target: Any) -> Keys | None:
    session = object_session(target)
    return session.info.get(KEYS) if session is not None else None


def _needed_keys(target: Any) -> Keys:
    keys = _keys(target)
    if keys is None:
        raise KeyringError(
            f"{type(target).__name__} has encrypted columns, and its session has no keys",
            hint="attach(database.sessions, keys_of(prefix, environ)) once, at the start",
        )
    return keys


# -- writing ------------------------------------------------------------------------------------


def _before_insert(
    members: Iterable[Member], _mapper: Mapper[Any], connection: Connection, target: Any
) -> None:
    for member in members:
        if target.__dict__.get(member.attribute) is not None:
            _complete(member, connection, target)
            _seal(member, target)


def _before_update(
    members: Iterable[Member], _mapper: Mapper[Any], _connection: Any, target: Any
) -> None:
    for member in members:
        if member.attribute not in target.__dict__:
            _must_not_move(member, target)
        elif target.__dict__[member.attribute] is not None:
            _seal(member, target)
        elif member.index_attribute is not None:
            setattr(target, member.index_attribute, None)


def _complete(member: Member, connection: Connection, target: Any) -> None:
    """Give a new row the key and the tenant that the server would give it later."""
    for name, attribute in member.parts.items():
        if target.__dict__.get(attribute) is None:
            column = member.table.c[name]
            value = _made(column, connection, tenant=name == member.declaration.tenant)
            if value is not None:
                setattr(target, attribute, value)


def _made(column: Column[Any], connection: Connection, *, tenant: bool) -> Any:
    default: Any = column.default
    if default is not None and default.is_scalar:
        return default.arg
    if default is not None and default.is_callable:
        return default.arg(None)
    if column.primary_key:
        return None if column.foreign_keys else _new_key(column)
    if not tenant:
        return None
    told: Any = getattr(connection.get_execution_options().get(SCOPE), "tenant", None)
    if told is not None and _holds_uuids(column):
        return uuid.UUID(str(told))
    return told


def _new_key(column: Column[Any]) -> Any:
    """Return a key for a column of type uuid, None for others."""
    if _holds_uuids(column):
        return uuid7()
    return str(uuid7()) if isinstance(column.type, Uuid) else None


def _holds_uuids(column: Column[Any]) -> bool:
    kind: Any = column.type
    return isinstance(kind, Uuid) and bool(cast("Any", kind).as_uuid)


def _seal(member: Member, target: Any) -> None:
    value: Any = target.__dict__[member.attribute]
    if not isinstance(value, Encrypted):
        raise UnsealedError(
            f"{type(target).__name__}.{member.attribute} is encrypted, and was given a plain"
            f" {type(value).__name__}",
            hint=f"{member.attribute} = Encrypted(value)",
        )
    held = cast("Encrypted[Any]", value)
    place = member.place(target)
    if held.sealed and held.place == place:
        return
    keys = _needed_keys(target)
    plain = held.reveal()  # of a value from elsewhere: only who may read it can put it here
    setattr(target, member.attribute, Encrypted(plain).at(place, keys))
    if member.index_attribute is not None:
        index = index_of(member.declaration, place.label, place.tenant, plain, keys.ring)
        setattr(target, member.index_attribute, index)


def _must_not_move(member: Member, target: Any) -> None:
    """Refuse to give a row another key while a value that is bound to it is not loaded."""
    attributes = sqlalchemy_inspect(target).attrs
    for attribute in member.parts.values():
        if attribute in target.__dict__ and attributes[attribute].history.deleted:
            raise UnknownPlaceError(
                f"{type(target).__name__}.{attribute} changes, and"
                f" {member.attribute}, which is bound to it, is not loaded",
                hint=f"load {member.attribute} first: it is encrypted anew for the new place",
            )


# -- reading ------------------------------------------------------------------------------------


def _loaded(members: Iterable[Member], target: Any, _context: Any) -> None:
    _bind(members, target)


def _refreshed(members: Iterable[Member], target: Any, _context: Any, _names: Any) -> None:
    _bind(members, target)


def _bind(members: Iterable[Member], target: Any) -> None:
    for member in members:
        value: Any = target.__dict__.get(member.attribute)
        if not isinstance(value, Encrypted) or not value.sealed or value.place is not None:
            continue
        row = member.row(target)
        if all(part is not None for part in row.values()) and (keys := _keys(target)) is not None:
            value.bind(member.declaration.place(member.table, member.column, row), keys)


# -- without the mapper's events ----------------------------------------------------------------


def place_of(column: Any, **row: Any) -> Place:
    """Return a place made by hand: the column, the row's key, and its tenant where it has one.

    For values that were read or are written without their entity (Core, single columns).
    """
    found = cast(
        "Column[Any]", column if isinstance(column, Column) else column.property.columns[0]
    )
    assert isinstance(found.type, EncryptedType)
    assert isinstance(found.table, Table)
    return found.type.declaration.place(found.table, found.name, row)


def seal_rows(
    model: type[Any] | Table, rows: Sequence[Mapping[str, Any]], keys: Keys
) -> list[dict[str, Any]]:
    """Seal the rows of a bulk insert, for `session.execute(insert(Model), ...)`.

    Rows map a model's attributes, or a table's columns; a uuid key that is missing is made.
    """
    if isinstance(model, Table):
        return [_sealed_row(model, dict(row), keys) for row in rows]
    mapper: Mapper[Any] = sqlalchemy_inspect(model)
    names = {_attribute(mapper, column): column.name for column in mapper.columns}
    attributes = {name: attribute for attribute, name in names.items()}
    table = cast("Table", mapper.local_table)
    sealed = [_sealed_row(table, {names[a]: v for a, v in row.items()}, keys) for row in rows]
    return [{attributes[name]: value for name, value in row.items()} for row in sealed]


def _sealed_row(table: Table, row: dict[str, Any], keys: Keys) -> dict[str, Any]:
    for column in table.primary_key:
        if row.get(column.name) is None and not column.foreign_keys:
            row[column.name] = _new_key(column)
    for column in table.columns:
        value: Any = row.get(column.name)
        if not isinstance(column.type, EncryptedType) or value is None:
            continue
        declaration = column.type.declaration
        place = declaration.place(table, column.name, row)
        if not isinstance(value, Encrypted):
            raise UnsealedError(
                f"{place.label} is encrypted, and was given a plain {type(value).__name__}",
                hint="Encrypted(value)",
            )
        held = cast("Encrypted[Any]", value)
        plain = held.reveal()
        row[column.name] = Encrypted(plain).at(place, keys)
        if declaration.blind_index is not None:
            row[declaration.blind_index] = index_of(
                declaration, place.label, place.tenant, plain, keys.ring
            )
    return row
