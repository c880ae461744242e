"""`pgstead rotate keys`: a further version of a database's key, driven to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgstead.cli.keyring import Ring, engine_of, metadata_of
from pgstead.cli.keys import RotationError, activate, must_be_settled, teller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine, Table

    from pgstead.cli.console import Console
    from pgstead.cli.invocation import Invocation


@dataclass(frozen=True, slots=True)
class KeysRotated:
    """What became of the keys of one database."""

    database: str
    version: int
    rows: int
    retired: tuple[int, ...]


def rotate_keys(
    database: str, invocation: Invocation, console: Console, *, retire: bool
) -> KeysRotated | None:
    """Make a further version write, renew every value, and take older versions out if told to.

    A rotation that was left unfinished is finished; it gets no further version. Return None where
    the models have no encrypted column. Raises RotationError where rows are left.
    """
    from pgstead.app.encryption.rotation import Rotation, encrypted_tables

    tables = encrypted_tables(metadata_of(database, invocation))
    if not tables:
        return None
    ring = Ring.of(database, invocation)
    with engine_of(ring.connection, "admin") as engine:
        _further_version(ring, engine, tables)
        activate(ring)
        result = Rotation(engine, ring.keys, tables, report=teller(console)).run()
        if result.left:
            raise RotationError(
                f"{result.left} rows of {database} still hold an older version",
                hint=f"`pgstead keys rotate {database}` names them; rows in use come with the"
                " next run",
            )
        must_be_settled(settled=result.settled)
        retired = _without_older(ring, result.version) if retire else ()
    return KeysRotated(database, result.version, result.rows, retired)


def _further_version(ring: Ring, engine: Engine, tables: Sequence[Table]) -> None:
    """Add a version to the key of values, unless one waits already or values wait for one."""
    from pgstead.app.encryption import keyfile
    from pgstead.app.encryption.census import left

    with keyfile.held(ring.path), engine.connect() as connection:
        text = keyfile.read(ring.path, ring.kms)
        found = [v for v in keyfile.versions(text) if v.kind is keyfile.KeyKind.VALUES]
        waits = not max(found, key=lambda v: v.number).writes
        if waits or any(left(connection, table, ring.keys.ring) for table in tables):
            return
        text, _ = keyfile.with_version(text, keyfile.KeyKind.VALUES, ring.kms)
        ring.write(text)


def _without_older(ring: Ring, version: int) -> tuple[int, ...]:
    from pgstead.app.encryption import keyfile

    with keyfile.held(ring.path):
        text = keyfile.read(ring.path, ring.kms)
        older = [
            v.number
            for v in keyfile.versions(text)
            if v.kind is keyfile.KeyKind.VALUES and v.number < version
        ]
        for number in older:
            text = keyfile.without_version(text, keyfile.KeyKind.VALUES, number)
        if older:
            ring.write(text)
    return tuple(older)
