"""A person is erased: their rows, what names them elsewhere, and the change history's values.

All of it is one transaction of the database, so that an erasure is there or is not. Before it the
list says that it begins, after it that it was looked for: a run that was cut off in between is
taken up by the next one, and a restore is followed by the list (`replay`).
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from pgstead.errors import PersonalDataError, UsageError
from pgstead.model.audit import Event, Kind, Seal
from pgstead.model.design import Design
from pgstead.model.erasure import Erasure, begun, called, finished, refused
from pgstead.model.personal import ERASED, Inventory, Name, Reference, Table
from pgstead.observe.personal import Spot, inventory, spots, standing, trusted
from pgstead.observe.seals import sealed as sealed_now
from pgstead.observe.seals import seals
from pgstead.ports import Ports
from pgstead.ports.personal import PersonalPorts
from pgstead.workflows.person import QUIET, Person, Rows, find, gather
from pgstead.workflows.person_secrets import Sealed, destroy, sealed_values, with_others
from pgstead.workflows.remains import Remains, remains

if TYPE_CHECKING:
    Session = psycopg.Connection[dict[str, Any]]

_HISTORY: Name = ("pgstead_audit", "change")
_THERE = "SELECT to_regclass('pgstead_audit.change') IS NOT NULL AS there"
# a writer that holds a row of theirs is not waited for longer: the whole is tried again
_PATIENCE = "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = 0"
_STOPPING = ("a", "r")  # pg_constraint.confdeltype: the parent's row is not let go


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to the rows of one table."""

    table: str
    does: str  # deleted, anonymised, unlinked, scrubbed
    rows: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an erasure did, and the proof of it."""

    database: str
    table: str
    key: Mapping[str, str]
    steps: tuple[Step, ...]
    rehearsed: bool
    searched: int = 0  # values that were looked for everywhere
    found: tuple[Spot, ...] = ()  # where they still are
    remains: tuple[Remains, ...] = ()  # what was not touched, and why
    sealed: tuple[Sealed, ...] = ()  # their encrypted values, by what opens them
    secrets: int = 0  # of persons, that were destroyed
    resumed: bool = False

    @property
    def clean(self) -> bool:
        """Nothing of the person was found in the database."""
        return not self.found


def erase(
    design: Design, ports: Ports, personal: PersonalPorts, database: str, who: str,
    *, dry: bool = False,
) -> Outcome:  # fmt: skip
    """Erase whoever is called so; `dry` does it all and undoes it.

    Raises UsageError for an unknown person, PersonalDataError where rows keep the person's.
    """
    with ports.sql.connect(database) as connection:
        connection.execute(QUIET)
        held = inventory(connection, database, design.build.major)
        try:
            person = find(connection, held, who)
        except UsageError:
            left = _cut_off(personal, database, who)
            if left is None or dry:
                raise
            return _finish(design, ports, personal, connection, held, left)
        work = _Work(design, ports, personal, connection, held)
        return work.rehearsed(person) if dry else work.done(person, who)


def replay(design: Design, ports: Ports, personal: PersonalPorts) -> tuple[Outcome, ...]:
    """Erase again whoever a restore has brought back, and finish what was cut off.

    Raises PersonalDataError when all were tried, where one was refused.
    """
    done: list[Outcome] = []
    refusals: list[PersonalDataError] = []
    for erasure in personal.erasures.all():
        if design.database(erasure.database) is None:
            continue
        try:
            done += _replayed(design, ports, personal, erasure)
        except PersonalDataError as error:
            refusals.append(error)  # the others are erased all the same
    if refusals:
        raise refusals[0]
    return tuple(done)


def _replayed(
    design: Design, ports: Ports, personal: PersonalPorts, erasure: Erasure
) -> Iterator[Outcome]:
    with ports.sql.connect(erasure.database) as connection:
        connection.execute(QUIET)
        held = inventory(connection, erasure.database, design.build.major)
        table = next((t for t in held.tables if t.full == erasure.table), None)
        if table is not None and standing(connection, table, erasure.key):
            work = _Work(design, ports, personal, connection, held)
            yield work.again(Person(table, erasure.key), erasure)
        elif not erasure.finished:
            yield _finish(design, ports, personal, connection, held, erasure)
        elif back := destroy(personal, held, erasure):  # a copy of the secrets was put back
            yield Outcome(erasure.database, ".".join(erasure.table), erasure.key, (),
                          rehearsed=False, secrets=back, resumed=True)  # fmt: skip


def _cut_off(personal: PersonalPorts, database: str, who: str) -> Erasure | None:
    mine = (e for e in personal.erasures.all() if e.database == database and not e.finished)
    return next((e for e in mine if e.means(who)), None)


def _finish(
    design: Design, ports: Ports, personal: PersonalPorts, connection: Session,
    held: Inventory, erasure: Erasure,
) -> Outcome:  # fmt: skip
    """Say what can still be said of one that was cut off behind its transaction."""
    destroyed = destroy(personal, held, erasure)
    _tidy(connection, held.tables)
    personal.erasures.append(finished(replace(erasure, finished=_now())))
    told = Remains("search", "the values are gone, so that they could not be looked for again")
    rest = (told, *remains(design, ports, held))
    where = ".".join(erasure.table)
    return Outcome(erasure.database, where, erasure.key, (), rehearsed=False, remains=rest,
                   secrets=destroyed, resumed=True)  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class _Work:
    """One erasure in one database."""

    design: Design
    ports: Ports
    personal: PersonalPorts
    connection: Session
    held: Inventory

    def rehearsed(self, person: Person) -> Outcome:
        """Do it all, count, and undo it."""
        steps: list[Step] = []
        with _answered(), self.connection.transaction():
            self.connection.execute(_PATIENCE)
            steps += self._erased(gather(self.connection, self.held, person))
            raise psycopg.Rollback
        rest = remains(self.design, self.ports, self.held)
        shown = person.table.shown
        return Outcome(self.held.database, shown, person.key, tuple(steps), rehearsed=True,
                       remains=rest)  # fmt: skip

    def done(self, person: Person, who: str) -> Outcome:
        """Note it, do it, look for what is left, and note that."""
        left = _cut_off(self.personal, self.held.database, who)
        if left is None:
            salt = secrets.token_hex(8)
            left = Erasure(secrets.token_hex(8), _now(), self.held.database, person.table.full,
                           person.key, salt, called(who, salt))  # fmt: skip
            self.personal.erasures.append(begun(left))
        try:
            return self.again(person, left)
        except PersonalDataError:
            self.personal.erasures.append(refused(left))
            raise

    def again(self, person: Person, erasure: Erasure) -> Outcome:
        """Erase a person who is in the list."""
        with _answered(), self.connection.transaction():
            self.connection.execute(_PATIENCE)
            rows = gather(self.connection, self.held, person)
            values = rows.values()
            sealed = tuple(sealed_values(rows))
            erasure = with_others(self.personal, rows, erasure)
            before = self._whole_seals(rows)
            steps = tuple(self._erased(rows))
            self._tell(erasure, before)
        destroyed = destroy(self.personal, self.held, erasure)  # not before: it may be refused
        _tidy(self.connection, self.held.tables)
        found = tuple(spots(self.connection, values))
        logs = self.personal.files_with(values)
        kept = sum(s.rows for s in found)
        counted = {f"{s.table} {s.does}": s.rows for s in steps}
        done = replace(erasure, finished=_now(), rows=counted, left=kept)
        self.personal.erasures.append(finished(done))
        self.ports.journal.record("erased", database=self.held.database, erasure=erasure.id)
        rest = (
            *(Remains(str(path), f"holds {count} of the values until it is rotated away")
              for path, count in logs),
            *remains(self.design, self.ports, self.held),
        )  # fmt: skip
        return Outcome(self.held.database, person.table.shown, person.key, steps, rehearsed=False,
                       searched=len(values), found=found, remains=rest, sealed=sealed,
                       secrets=destroyed)  # fmt: skip

    # -- in the transaction -----------------------------------------------------------------------

    def _erased(self, rows: Rows) -> Iterator[Step]:
        """Do the steps, children before their parents, and yield what each did."""
        self._must_let_go(rows)
        for name, keys in rows.staying.items():
            ties = [r for r in rows.reach.authored if r.child == name]
            names = [column for reference in ties for column in reference.columns]
            yield self._blanked(rows, name, keys, names)
        for reference in rows.reach.cut:
            yield self._unlinked(rows, reference)
        for name in reversed(rows.reach.going):
            gone = sql.SQL("DELETE FROM {} AS t WHERE {}").format(
                sql.Identifier(*name), rows.among(name, rows.going[name])
            )
            # what the database lets go with its parent is counted with the keys, not here
            count = rows.count(rows.going[name])
            self.connection.execute(gone)
            yield Step(self.held.table(name).shown, "deleted", count)
        root = rows.reach.root
        if root.full not in rows.reach.going:
            yield self._blanked(rows, root.full, rows.going[root.full], ())
        yield from self._scrubbed(rows)

    def _must_let_go(self, rows: Rows) -> None:
        """Refuse where a row that stays points at one that goes, and must point at one."""
        for reference in rows.reach.cut:
            table = self.held.table(reference.child)
            held = all(not table.column(name).nullable for name in reference.columns)
            if not held or reference.action not in _STOPPING:
                continue
            asked = sql.SQL("SELECT FROM {} AS t WHERE {} AND NOT {}").format(
                sql.Identifier(*reference.child), self._pointing(rows, reference),
                self._going(rows, reference.child),
            )  # fmt: skip
            if count := self.connection.execute(asked).rowcount:
                names = ", ".join(reference.columns)
                raise PersonalDataError(
                    f"{count} rows of {table.shown} point at what would go, by {names}",
                    hint=f'Classified(owned="{names}") lets them go too, kept=True at'
                    f" {rows.reach.root.shown} keeps the person's row without what is personal",
                )

    def _going(self, rows: Rows, name: Name) -> sql.Composable:
        keys = rows.going.get(name)
        return sql.SQL("false") if keys is None else rows.among(name, keys)

    def _pointing(self, rows: Rows, reference: Reference) -> sql.Composed:
        return sql.SQL("({}) IN (SELECT {} FROM {} AS p WHERE {})").format(
            sql.SQL(", ").join(sql.Identifier("t", c) for c in reference.columns),
            sql.SQL(", ").join(sql.Identifier("p", c) for c in reference.parent_columns),
            sql.Identifier(*reference.parent),
            rows.among(reference.parent, rows.going[reference.parent], "p"),
        )

    def _unlinked(self, rows: Rows, reference: Reference) -> Step:
        table = self.held.table(reference.child)
        names = [name for name in reference.columns if table.column(name).nullable]
        keys = (self._pointing(rows, reference), self._going(rows, reference.child))
        count = 0
        if names:
            cut = sql.SQL("UPDATE {} AS t SET {} WHERE {} AND NOT {}").format(
                sql.Identifier(*table.full),
                sql.SQL(", ").join(sql.SQL("{} = NULL").format(sql.Identifier(n)) for n in names),
                *keys,
            )
            count = self.connection.execute(cut).rowcount
        return Step(table.shown, f"unlinked by {', '.join(names)}", count)

    def _blanked(self, rows: Rows, name: Name, keys: sql.Identifier, ties: Sequence[str]) -> Step:
        table = self.held.table(name)
        values = {c.name: c.blank.value for c in table.personal if not c.generated}
        values |= {tie: "NULL" for tie in ties if table.column(tie).nullable}
        count = 0
        if values:
            parts = [
                sql.SQL("{} = {}").format(sql.Identifier(column), sql.SQL(trusted(value)))
                for column, value in values.items()
            ]
            blanked = sql.SQL("UPDATE {} AS t SET {} WHERE {}").format(
                sql.Identifier(*name), sql.SQL(", ").join(parts), rows.among(name, keys)
            )
            count = self.connection.execute(blanked).rowcount
        return Step(table.shown, "anonymised", count)

    # -- the change history -----------------------------------------------------------------------

    def _history(self) -> bool:
        row = self.connection.execute(_THERE).fetchone()
        return row is not None and bool(row["there"])

    def _of_history(self, table: Table, keys: sql.Identifier) -> sql.Composed:
        return sql.SQL(
            "h.schema_name = {} AND h.table_name = {}"
            " AND h.key IN (SELECT to_jsonb(k) FROM {} AS k)"
            " AND (h.before IS NOT NULL OR h.after IS NOT NULL)"
        ).format(sql.Literal(table.schema), sql.Literal(table.name), keys)

    def _scrubbed(self, rows: Rows) -> Iterator[Step]:
        """Take personal values out of the change history, the last changes' included."""
        for table, keys in rows.told() if self._history() else ():
            names = sql.Literal([c.name for c in table.personal])
            blank = sql.SQL(
                "(SELECT jsonb_object_agg(e.key, CASE WHEN e.key = ANY ({0}) THEN {1}"
                " ELSE e.value END) FROM jsonb_each(h.{2}) AS e)"
            )
            erased = sql.Literal(f'"{ERASED}"')
            scrub = sql.SQL("UPDATE {} AS h SET before = {}, after = {} WHERE {}").format(
                sql.Identifier(*_HISTORY),
                blank.format(names, erased, sql.Identifier("before")),
                blank.format(names, erased, sql.Identifier("after")),
                self._of_history(table, keys),
            )
            count = self.connection.execute(scrub).rowcount
            if count:
                yield Step(f"{'.'.join(_HISTORY)} of {table.shown}", "scrubbed", count)

    def _whole_seals(self, rows: Rows) -> tuple[Seal, ...]:
        """Return the seals of the rows that will be scrubbed, those that are whole now."""
        audit = self.ports.audit
        if audit is None or not self._history():
            return ()
        touched: set[int] = set()
        for table, keys in rows.told():
            asked = sql.SQL("SELECT DISTINCT h.transaction::text AS xid FROM {} AS h WHERE {}")
            asked = asked.format(sql.Identifier(*_HISTORY), self._of_history(table, keys))
            touched |= {int(row["xid"]) for row in self.connection.execute(asked)}
        told = seals(r for _, r in audit.trail.records() if r is not None)
        mine = (s for s in told if s.database == self.held.database)
        near = (s for s in mine if any(int(s.begin) <= x < int(s.end) for x in touched))
        return tuple(s for s in near if self._now_sealed(s).sum in (s.sum, *s.also))

    def _now_sealed(self, seal: Seal) -> Seal:
        found = sealed_now(self.connection, seal.database, seal.begin, seal.end)
        return found or replace(seal, sum="", also=())

    def _tell(self, erasure: Erasure, before: Sequence[Seal]) -> None:
        """Tell the trail who was erased by their key, and what seals say since."""
        audit = self.ports.audit
        if audit is None:
            return
        now = [asdict(self._now_sealed(seal)) for seal in before]
        told = Event(
            at=datetime.now(UTC).isoformat(timespec="milliseconds"), kind=Kind.ERASED,
            database=self.held.database, what=f"a person was erased ({erasure.id})",
            objects=(".".join(erasure.table),), detail={"erasure": erasure.id, "seals": now},
        )  # fmt: skip
        with audit.trail.writing():
            audit.trail.append([told.told()])


@contextmanager
def _answered() -> Generator[None]:
    """Say what the server refused, without the values that its details name."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise PersonalDataError(
            "a row of the person is held by somebody else for 10 s; nothing was erased",
            hint="`pgstead top` shows who holds it; run it again",
        ) from error
    except psycopg.Error as error:
        told = error.diag.message_primary or type(error).__name__
        raise PersonalDataError(
            f"the server refused the erasure, and nothing was erased: {told}",
            hint="a CHECK or a trigger may refuse what a column is left with; `pgstead pii report`"
            " shows the columns",
        ) from error


def _tidy(connection: Session, tables: Iterable[Table]) -> None:
    """Take dead rows out of the files, and samples of values out of the statistics."""
    names = [sql.Identifier(*t.full) for t in tables]
    row = connection.execute(_THERE).fetchone()
    if row is not None and row["there"]:
        names.append(sql.Identifier(*_HISTORY))
    connection.execute("SET statement_timeout = 0")
    for name in names:
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(name))
