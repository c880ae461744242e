"""Rotation: every stored value gets the version of the key that writes, while applications run.

Batches in the order of the primary key, each a transaction of its own. A row that somebody else
holds is passed over and comes with the next pass. What is left to do stands in the rows themselves
(the version is in each value's header), so a rotation that was killed goes on where it was, and
any number of them may run at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    Table,
    and_,
    bindparam,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.elements import ColumnElement

from pgstead.app.encryption.blind import index_of
from pgstead.app.encryption.census import Count, census, left, sees_every_row, stale
from pgstead.app.encryption.column import encrypted_columns
from pgstead.app.encryption.errors import EncryptionError
from pgstead.app.encryption.ring import KeyRing
from pgstead.app.encryption.sources import LOOK_AGAIN, Keys
from pgstead.app.encryption.value import Encrypted, encode
from pgstead.app.errors import AccessDeniedError, UniqueError
from pgstead.app.translation import translate

MOST_FAILURES: Final = 100  # after that the rotation stops: it is not single rows that are wrong
PATIENCE: Final = 30.0  # seconds without any progress while rows are held by others
SETTLE: Final = 2 * LOOK_AGAIN  # seconds after which every process has read the key file again


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that could not be encrypted anew. No value is in it."""

    label: str
    key: tuple[str, ...]
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """How far a rotation is: rows of one table."""

    table: str
    rows: int  # done in this pass
    left: int  # of those that it began with


@dataclass(frozen=True, slots=True)
class Result:
    """What a rotation did, and the proof of it: counts by version, taken at the end."""

    version: int
    rows: int
    left: int
    failures: tuple[Failure, ...]
    counts: tuple[Count, ...]
    settled: bool = True  # no transaction is open that may still bring a value of before

    @property
    def complete(self) -> bool:
        """Nothing is left with another version than the one that writes, nor will be."""
        return self.left == 0 and self.settled


Report = Callable[[Step], None]

# A transaction has a number from its first write on; snapshots tell those of every database.
_BEGUN = text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
_OVER = text("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= CAST(:begun AS xid8)")

# Names of parameters: SQLAlchemy keeps those of the columns for itself.
_KEY, _NEW = "pgstead_key_", "pgstead_new_"


def writers_ended(
    engine: Engine, patience: float, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Wait until the transactions that have written something by now are over.

    No count sees what they wrote before they commit. Return False when patience, in seconds, is
    at its end.
    """
    end = time.monotonic() + patience
    with engine.connect() as connection:
        begun = connection.execute(_BEGUN).scalar_one()
        connection.rollback()  # our own snapshot is to hold nothing back
        while not connection.execute(_OVER, {"begun": begun}).scalar_one():
            connection.rollback()
            if time.monotonic() > end:
                return False
            sleep(0.2)
    return True


def encrypted_tables(metadata: MetaData) -> tuple[Table, ...]:
    """Return the tables that have encrypted columns, in a stable order."""
    return tuple(t for t in metadata.sorted_tables if encrypted_columns(t))


@dataclass
class Rotation:
    """One run over the tables of a database."""

    engine: Engine
    keys: Keys
    tables: Sequence[Table]
    batch: int = 500  # rows of one transaction
    pause: float = 0.0  # seconds between two of them
    report: Report = lambda _step: None
    sleep: Callable[[float], None] = time.sleep
    patience: float = PATIENCE  # seconds in which transactions of before have to end
    failures: dict[tuple[str, tuple[str, ...]], Failure] = field(
        default_factory=dict[tuple[str, tuple[str, ...]], Failure]
    )
    rows: int = 0

    def run(self) -> Result:
        """Encrypt anew until a count finds nothing left. Raises AccessDeniedError.

        The last count comes after every process has had time to read the key file again, and
        after every transaction of before has ended: what an application wrote meanwhile with the
        version before is found by it.
        """
        ring = self.keys.refresh()
        self._must_see_everything()
        self._passes(ring)
        self.sleep(SETTLE)
        settled = writers_ended(self.engine, self.patience, self.sleep)
        if self._left(ring):
            self._passes(ring)
        with self.engine.connect() as connection:
            counts = tuple(count for table in self.tables for count in census(connection, table))
        failures = tuple(self.failures.values())
        return Result(ring.writes, self.rows, self._left(ring), failures, counts, settled)

    def _must_see_everything(self) -> None:
        with self.engine.connect() as connection:
            for table in self.tables:
                if not sees_every_row(connection, table):
                    raise AccessDeniedError(
                        f"row-level security hides rows of {table.fullname} from this role",
                        hint="rotate as a role whose policy shows every tenant: --role admin",
                    )

    def _left(self, ring: KeyRing) -> int:
        with self.engine.connect() as connection:
            return sum(left(connection, table, ring) for table in self.tables)

    def _passes(self, ring: KeyRing) -> None:
        """Go over the tables until nothing is left, or nothing moves any more."""
        waited = 0.0
        while len(self.failures) < MOST_FAILURES:
            done = sum(self._pass(table, ring) for table in self.tables)
            if self._left(ring) <= len(self.failures):
                return
            waited = 0.0 if done else waited + 0.2
            if waited > PATIENCE:
                return
            self.sleep(0 if done else 0.2)

    def _pass(self, table: Table, ring: KeyRing) -> int:
        """Go over one table once, in the order of its key."""
        done, last = 0, None
        with self.engine.connect() as connection:
            todo = left(connection, table, ring)
        while todo and len(self.failures) < MOST_FAILURES:
            with self.engine.begin() as connection:
                rows = self._locked(connection, table, ring, last)
                changed = [self._renewed(table, dict(row), ring) for row in rows]
                stored = self._store(connection, table, [row for row in changed if row])
            if not rows:
                break
            done, self.rows = done + stored, self.rows + stored
            last = tuple(rows[-1][c.name] for c in table.primary_key)
            self.report(Step(table.fullname, done, max(0, todo - done)))
            self.sleep(self.pause)
        return done

    def _locked(
        self, connection: Connection, table: Table, ring: KeyRing, last: tuple[Any, ...] | None
    ) -> Sequence[Any]:
        """Return the next rows of the table that have something to renew, held for us."""
        key = [*table.primary_key]
        after: ColumnElement[bool] | None = tuple_(*key) > last if last is not None else None
        query = (
            select(*_needed(table))
            .where(and_(*[c for c in (stale(table, ring), after) if c is not None]))
            .order_by(*key)
            .limit(self.batch)
            .with_for_update(skip_locked=True)
        )
        return connection.execute(query).mappings().all()

    def _renewed(self, table: Table, row: dict[str, Any], ring: KeyRing) -> dict[str, Any]:
        """Return a row's new values, or nothing where it failed."""
        found: dict[str, Any] = {}
        for name, kind in encrypted_columns(table):
            if row[name] is None:
                continue
            declaration = kind.declaration
            try:
                place = declaration.place(table, name, row)
                # a value that cannot be read cannot be renewed, and is never overwritten
                value = row[name].bind(place, self.keys).reveal()
                stored = self.keys.seal(encode(value), place, ring)
            except EncryptionError as error:
                self._failed(table, name, row, error)
                return {}
            found[name] = Encrypted.of_stored(stored, declaration.kind)
            if declaration.blind_index is not None:
                found[declaration.blind_index] = index_of(
                    declaration, place.label, place.tenant, value, ring
                )
        return {**found, **{f"{_KEY}{c.name}": row[c.name] for c in table.primary_key}}

    def _store(self, connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
        """Write rows; return how many went in. Where one is refused, each goes alone."""
        try:
            with connection.begin_nested():
                return _store(connection, table, rows)
        except IntegrityError as error:
            if len(rows) != 1:
                return sum(self._store(connection, table, [row]) for row in rows)
            self._conflicts(table, rows[0], error)
            return 0

    def _conflicts(self, table: Table, row: dict[str, Any], error: IntegrityError) -> None:
        """Name a row whose blind index another row has under the version that writes.

        A UNIQUE holds per version of the index key: while both were in use the same text could be
        stored twice.
        """
        meaning = translate(error, table.metadata)
        if not isinstance(meaning, UniqueError):
            raise error
        key = tuple(str(row[f"{_KEY}{c.name}"]) for c in table.primary_key)
        said = f"{meaning.message}: another row holds the same text; change or delete one of them"
        self.failures[table.fullname, key] = Failure(table.fullname, key, meaning.code, said)

    def _failed(self, table: Table, name: str, row: dict[str, Any], error: EncryptionError) -> None:
        key = tuple(str(row[c.name]) for c in table.primary_key)
        label = f"{table.fullname}.{name}"
        self.failures[label, key] = Failure(label, key, error.code, error.message)


def _needed(table: Table) -> Iterable[Any]:
    names = dict.fromkeys(c.name for c in table.primary_key)
    for name, kind in encrypted_columns(table):
        names |= dict.fromkeys([name, *kind.declaration.parts(table)])
    return [table.c[name] for name in names]


def _store(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Write rows by their key; rows with the same columns go together."""
    shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        shapes.setdefault(tuple(row), []).append(row)
    for shape, alike in shapes.items():
        by_key = and_(*[c == bindparam(f"{_KEY}{c.name}", type_=c.type) for c in table.primary_key])
        values = {n: bindparam(f"{_NEW}{n}", type_=table.c[n].type) for n in shape if n in table.c}
        named = [{f"{_NEW}{n}" if n in table.c else n: v for n, v in row.items()} for row in alike]
        connection.execute(update(table).where(by_key).values(values), named)
    return len(rows)
