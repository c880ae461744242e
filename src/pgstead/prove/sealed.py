"""Encrypted values as a stranger reads them: from the documented form, with AES-GCM by hand.

Nothing of `pgstead.app` is imported: an application that bound its values to nothing, or to
something else, would be believed by its own library.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import sql

from pgstead.model.design import DatabasePlan
from pgstead.prove.finding import CannotTryError
from pgstead.prove.models import metadata_of
from pgstead.prove.witness import Witness

SAMPLE = 20  # values of a column that are opened


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column that the models say is encrypted."""

    database: str
    schema: str
    table: str
    column: str
    label: str  # what its values are bound to
    key: tuple[str, ...]  # columns of the primary key
    tenant: str | None  # the column of the tenant
    textual: bool  # base64 in a text column
    owner: str | None = None  # the column that names whose the value is
    persons: str = ""  # the table of persons that it leads to

    @property
    def relation(self) -> sql.Identifier:
        """The table as SQL has it; in the first schema of the path where the model names none."""
        return sql.Identifier(*(part for part in (self.schema, self.table) if part))

    @property
    def header(self) -> sql.Composed:
        """The first six bytes of a value in SQL; NULL for what is no encrypted value."""
        form = (
            "CASE WHEN octet_length({c}) >= 34 AND get_byte({c}, 0) = 1 AND get_byte({c}, 1) = 1"
            " THEN substring({c}, 1, 6) END"
        )
        base64_form = (
            "CASE WHEN length({c}) >= 48 AND {c} ~ '^AQ[E-H][A-Za-z0-9+/]*={{0,2}}$'"
            " THEN decode(left({c}, 8), 'base64') END"
        )
        chosen = base64_form if self.textual else form
        return sql.SQL(chosen).format(c=sql.Identifier(self.column))

    @property
    def binding(self) -> tuple[str, ...]:
        """The columns of the row that a value is bound to."""
        more = (name for name in (self.tenant, self.owner) if name is not None)
        return tuple(dict.fromkeys([*self.key, *more]))

    def __str__(self) -> str:
        return f"{self.database}: {self.table}.{self.column}"

    def sample(self, row: Mapping[str, Any], keys: Keys | None) -> bytes | str:
        """Return a value of the right form for a row: sealed for it, where there are keys."""
        tenant = None if self.tenant is None else str(row[self.tenant])
        key = tuple(str(row[name]) for name in self.key)
        stored = sealed(Value(self, key, tenant, b""), secrets.token_hex(16).encode(), keys)
        return base64.b64encode(stored).decode() if self.textual else stored


@dataclass(frozen=True, slots=True)
class Value:
    """A stored value with all that it is bound to."""

    column: Sealed
    key: tuple[str, ...]
    tenant: str | None
    stored: bytes
    owner: str | None = None  # the key of the person whose it is

    @property
    def owned(self) -> bool:
        """Whether it says that a person's secret is needed."""
        return len(self.stored) >= 34 and bool(self.stored[2] & 0x80)

    @property
    def version(self) -> int | None:
        """The version of its key, None for what is no encrypted value."""
        sound = len(self.stored) >= 34 and self.stored[:2] == b"\x01\x01"
        return int.from_bytes(self.stored[2:6], "big") & 0x7FFFFFFF if sound else None

    @property
    def bound_to(self) -> bytes:
        """The associated data, as docs/reference/encrypted-values.md says."""
        data = b"pgstead-column-1" + self.stored[:6] + _text(self.column.label)
        data += len(self.key).to_bytes(4, "big") + b"".join(map(_text, self.key))
        return data + (b"\0" if self.tenant is None else b"\1" + _text(self.tenant))

    def opened(self, keys: Keys) -> bytes | None:
        """Return the plaintext, or None where it does not open in this place."""
        cipher = keys.cipher(self)
        if cipher is None:
            return None
        try:
            return cipher.decrypt(self.stored[6:18], self.stored[18:], self.bound_to)
        except InvalidTag:
            return None

    def elsewhere(self) -> Iterator[tuple[str, Value]]:
        """Yield the value as it would be after an attack, with what was done to it."""
        flipped = bytearray(self.stored)
        flipped[-1] ^= 1
        yield "a bit of it flipped", replace(self, stored=bytes(flipped))
        yield "in another row", replace(self, key=(*self.key[:-1], f"{self.key[-1]}0"))
        other = replace(self.column, label=f"{self.column.label}_2")
        yield "in another column", replace(self, column=other)
        if self.tenant is not None:
            yield "in another tenant", replace(self, tenant=f"{self.tenant}2")


def sealed(place: Value, plain: bytes, keys: Keys | None) -> bytes:
    """Return a plaintext encrypted for a place; without keys with one that nobody has."""
    writes = keys.writes if keys is not None else 1
    cipher = keys.ciphers.get(writes) if keys is not None else None
    stored = b"\x01\x01" + writes.to_bytes(4, "big") + secrets.token_bytes(12)
    place = replace(place, stored=stored)
    cipher = cipher or AESGCM(secrets.token_bytes(32))
    return stored + cipher.encrypt(stored[6:18], plain, place.bound_to)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded


@dataclass(frozen=True)
class Keys:
    """The keys of a database, read from its file."""

    path: Path
    ciphers: dict[int, AESGCM] = field(repr=False)
    writes: int
    macs: dict[int, hmac.HMAC] = field(repr=False)
    persons: Path | None = None  # where secrets of persons lie; None: none is used

    def cipher(self, value: Value) -> AESGCM | None:
        """Return what opens a value, None where it is not at hand."""
        version = value.version or 0
        if not value.owned or self.persons is None or version not in self.macs:
            return self.ciphers.get(version)
        if not self.persons.is_absolute():
            raise CannotTryError(f"secrets of persons are kept by {self.persons}", could_try=False)
        secret = secret_in(self.persons, value.column.persons, value.owner or "")
        if secret is None:
            return None
        mac = self.macs[version].copy()
        mac.update(b"pgstead-person-1" + secret)
        return AESGCM(mac.digest())

    def without_persons(self) -> Keys:
        """Return the keys of the database alone."""
        return replace(self, persons=None)

    @classmethod
    def of(cls, w: Witness, database: str) -> Keys:
        """Read a database's key file. Raises CannotTryError where keys are somewhere else."""
        path = Path(w.design.layout.keys, f"{database}.json")
        try:
            raw: Any = json.loads(path.read_text(encoding="utf-8"))
            found = {
                int(version): base64.b64decode(entry["key"])
                for version, entry in raw["values"].items()
                if "key" in entry
            }
            writes = int(raw["writes"]["values"])
        except (OSError, ValueError, KeyError, TypeError):
            raise CannotTryError(
                f"there are no keys of {database} in {path}", could_try=False
            ) from None
        macs = {version: hmac.new(key, digestmod="sha256") for version, key in found.items()}
        ciphers = {version: AESGCM(key) for version, key in found.items()}
        return cls(path, ciphers, writes, macs, store_of(w, database))


def store_of(w: Witness, database: str) -> Path:
    """Return where secrets of a database's persons lie; no absolute path is a store of its own."""
    plan = w.design.database(database)
    named = os.environ.get(f"{plan.prefix}PERSON_KEYS") if plan is not None else None
    return Path(named or w.design.layout.person_keys(database))


def secret_in(store: Path, table: str, key: str) -> bytes | None:
    """Return a person's secret, read as docs/reference/encrypted-values.md says; None for none."""
    told = f"pgstead-person-1\0{table}\0{key}".encode()
    name = hashlib.sha256(told).hexdigest()[:40]
    try:
        words = (store / name[:2] / name).read_text(encoding="ascii").split()
        return base64.b64decode(words[1], validate=True) if len(words) == 2 else None
    except (OSError, ValueError):
        return None


def keys_of(w: Witness, database: str) -> Keys:
    """Return the keys of a database, read once a run. Raises CannotTryError."""
    return w.once(f"keys of {database}", lambda: Keys.of(w, database))


def columns(w: Witness) -> tuple[Sealed, ...]:
    """Return the encrypted columns of all databases. Raises CannotTryError where there are none."""
    found = tuple(column for plan in w.databases for column in of_database(w, plan))
    if not found:
        raise CannotTryError("no model declares an encrypted column", could_try=False)
    return found


def of_database(w: Witness, plan: DatabasePlan) -> tuple[Sealed, ...]:
    """Return the encrypted columns of a database."""
    return tuple(_declared(w, plan)) if plan.models else ()


def _declared(w: Witness, plan: DatabasePlan) -> Iterator[Sealed]:
    metadata = metadata_of(plan.models, w.imported_from(plan))
    for table in metadata.sorted_tables:
        for column in table.columns:
            declared: Any = getattr(column.type, "pgstead_encrypted", None)
            if declared is None:
                continue
            tenant = declared.tenant if declared.tenant in table.c else None
            yield Sealed(
                plan.name,
                table.schema or "",
                table.name,
                column.name,
                declared.label or f"{table.fullname}.{column.name}",
                tuple(c.name for c in table.primary_key),
                tenant,
                bool(getattr(column.type, "textual", False)),
                declared.owner,
                _persons(table, declared.owner),
            )


def _persons(table: Any, owner: str | None) -> str:
    if owner is None:
        return ""
    named = next((key.column.table for key in table.c[owner].foreign_keys), table)
    return f"{named.schema or 'public'}.{named.name}"


def values(w: Witness, column: Sealed, limit: int | None = SAMPLE) -> list[Value]:
    """Return values of a column with their place; keys and tenants as text."""
    named = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in column.key]
    tenant = sql.SQL("{}::text").format(sql.Identifier(column.tenant)) if column.tenant else None
    owner = sql.SQL("{}::text").format(sql.Identifier(column.owner)) if column.owner else None
    query = sql.SQL("SELECT {}, {}, {}, {} FROM {} WHERE {} IS NOT NULL ORDER BY {} DESC").format(
        sql.Identifier(column.column),
        tenant or sql.SQL("NULL::text"),
        owner or sql.SQL("NULL::text"),
        sql.SQL(", ").join(named),
        column.relation,
        sql.Identifier(column.column),
        sql.Identifier(column.key[0]),  # the newest first, where keys sort by age
    )
    if limit is not None:
        query += sql.SQL(" LIMIT {}").format(sql.Literal(limit))
    rows = w.look(query, database=column.database).value
    return [Value(column, tuple(key), of, decoded(raw), who) for raw, of, who, *key in rows]


def decoded(raw: object) -> bytes:
    """Return a value as bytes, as a column of text or bytes has it; none for what is no base64."""
    if not isinstance(raw, str):
        return bytes(raw)  # pyright: ignore[reportArgumentType] - bytea
    try:
        return base64.b64decode(raw, validate=True)
    except ValueError:
        return b""
