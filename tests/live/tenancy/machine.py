"""Acts of several people on the tables of a world, each foretold by the ledger.

What chooses is Hypothesis, or a plain list of everything there is to try.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from tests.live.tenancy.inventions import invent, needed
from tests.live.tenancy.ledger import Key, Ledger, Reference, Row, Said, Shape, Verdict, rules_of
from tests.live.tenancy.worlds import NAMING_PEOPLE, World

Chosen = TypeVar("Chosen")
Choose = Callable[[Sequence[Any]], Any]
_PENDING = "pending"


class Machine:
    """One transaction of one connection, as behind a pooler, in which people take turns."""

    def __init__(self, world: World) -> None:
        """Begin with nobody asking."""
        self.world = world
        self.connection = world.connect()
        self.connection.autocommit = False
        self.ledger = Ledger(
            world.shapes,
            world.rights(self.connection),
            world.fixed(self.connection),
            world.keepers,
        )
        self.who = ""
        self.more: dict[str, str] = {}  # settings beside the main one
        self.numbers = itertools.count(1_000_000)
        self.kept: list[tuple[dict[str, dict[Key, Row]], str, dict[str, str]]] = []
        self.tried: set[tuple[str, str, Verdict]] = set()
        self.query = self._look()
        if self.run(self.query + sql.SQL(" LIMIT 1")).fetchone():  # others have been here
            names = sql.SQL(", ").join(map(sql.Identifier, world.shapes))
            self.run(sql.SQL("TRUNCATE {} CASCADE").format(names))
        self.run(sql.SQL("SET LOCAL ROLE {}").format(world.role("app")))

    def close(self) -> None:
        """Undo everything."""
        self.connection.rollback()
        self.connection.close()

    # -- who asks -------------------------------------------------------------------------------

    @property
    def said(self) -> dict[str, str]:
        """The settings of the transaction."""
        return {**self.more, **self.saying(self.who)}

    def saying(self, person: str) -> dict[str, str]:
        """Return the settings by which somebody asks."""
        return dict.fromkeys(self.world.asking, person)

    def say(self, who: str, more: dict[str, str] | None = None) -> None:
        """Ask for somebody from now on; nobody is the empty string."""
        self.who, self.more = who, more or {}
        self._tell(self.said)

    def _tell(self, said: Said) -> None:
        calls = [
            sql.SQL("set_config({}, {}, true)").format(name, said.get(name, ""))
            for name in self.world.settings
        ]
        self.run(sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls)))

    # -- statements -----------------------------------------------------------------------------

    def run(self, statement: sql.Composed) -> psycopg.Cursor[Any]:
        """Run a statement; its values are in it, so that no name is taken for a placeholder."""
        return self.connection.execute(statement)

    def attempt(self, statement: sql.Composed) -> tuple[Verdict, int]:
        """Run a statement in a savepoint; return what became of it and the number of rows."""
        try:
            with self.connection.transaction():
                count = self.run(statement).rowcount
        except psycopg.Error as error:
            try:
                return Verdict(error.sqlstate), 0
            except ValueError:
                raise AssertionError(f"{statement.as_string()}: {error}") from error
        return (Verdict.DONE if count else Verdict.UNSEEN), count

    def _agree(self, act: str, name: str, statement: sql.Composed, foretold: Verdict) -> bool:
        """Run a statement and compare with what was foretold; say whether it was done."""
        found, count = self.attempt(statement)
        self.tried.add((act, name, foretold))
        if foretold is Verdict.DONE and found is Verdict.REFUSED:
            return False  # a CHECK of the table, which is nobody's
        refusals = {Verdict.DENIED, Verdict.TAKEN, Verdict.DANGLING, Verdict.REFUSED}
        same = found is foretold or {found, foretold} <= refusals
        assert same, f"{foretold} was foretold, {found} came: {self._as(statement)}"
        assert count <= 1, self._as(statement)
        return found is Verdict.DONE

    def _as(self, statement: sql.Composed) -> str:
        return f"as {self.said}: {statement.as_string()}"

    # -- rows that are written ------------------------------------------------------------------

    def row(self, shape: Shape, choose: Choose, *, honest: bool) -> Row | None:
        """Make up a row: one's own, or one that links and pretends. None where there is no way."""
        row: Row = dict.fromkeys(shape.columns, _PENDING)
        if not self._belong(shape, row, choose, honest=honest):
            return None
        nullable = {c.name for c in shape.table.columns if c.nullable}
        fitting = honest or choose([True, False])
        for reference in shape.references:
            chosen = self._refer(
                shape, row, reference, nullable, choose, honest=honest, fitting=fitting
            )
            if not chosen:
                return None
        number = next(self.numbers)
        for column in shape.table.columns:
            if row.get(column.name) is _PENDING:
                row[column.name] = invent(shape.table, column, number)
        return row

    def _belong(self, shape: Shape, row: Row, choose: Choose, *, honest: bool) -> bool:
        """Fill the columns that say whose the row is; say whether there was a way."""
        security = shape.security
        if security is None:
            return True
        rules = security.written or (choose(security.rules),)
        for rule in rules:
            if not rule.table:
                others = [p for p in (*self.world.people, self.world.newcomer) if p != self.who]
                if rule.setting in self.world.asking:
                    row[rule.column] = self.who if honest and self.who else choose(others)
                continue
            keys = [
                other[rule.key]
                for other in self.ledger.rows[rule.table].values()
                if self.ledger.holds(rule, {rule.column: other[rule.key]}, self.said) is honest
            ]
            if not keys:
                return False
            row[rule.column] = choose(keys)
        return True

    def _refer(
        self,
        shape: Shape,
        row: Row,
        reference: Reference,
        nullable: set[str],
        choose: Choose,
        *,
        honest: bool,
        fitting: bool,
    ) -> bool:
        """Fill the columns of a foreign key; say whether there was a way."""
        free = [c for c in reference.columns if row[c] is _PENDING]
        if not free:
            return True
        parents = [
            parent
            for key, parent in self.ledger.rows[reference.parent].items()
            if (not fitting or _fits(reference, parent, row, free))
            and (not honest or self._may_name(reference, key))
        ]
        names = [tuple(parent[c] for c in reference.referred) for parent in parents]
        used = {tuple(row.get(c) for c in r.columns) for r in shape.references if r != reference}
        names = [name for name in names if name not in used] or names
        if nullable.issuperset(free) and (not names or choose([True, False])):
            row.update(dict.fromkeys(free))
            return True
        if not names:
            return False
        chosen = choose(names)
        told = dict(zip(reference.columns, chosen, strict=True))
        row.update({column: told[column] for column in free})
        return True

    def _may_name(self, reference: Reference, key: Key) -> bool:
        if reference.parent == NAMING_PEOPLE:
            return True
        return key in self.ledger.seen(reference.parent, self.said)

    # -- acts -----------------------------------------------------------------------------------

    def insert(self, shape: Shape, choose: Choose, *, honest: bool = True) -> bool:
        """Write a row; say whether it was written."""
        row = self.row(shape, choose, honest=honest)
        if row is None:
            return False
        before = self._everything()
        foretold = self.ledger.insertion(shape.name, row, self.said)
        if not self._agree("insert", shape.name, self._insert(shape, row), foretold):
            return False
        self.ledger.insert(shape.name, row)
        self._nothing_else_came(before, shape, row)
        return True

    def _insert(self, shape: Shape, row: Row) -> sql.Composed:
        number = next(self.numbers)
        more = {c.name: invent(shape.table, c, number) for c in needed(shape.table)}
        values = {**more, **row}
        return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(shape.name),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Literal, values.values())),
        )

    def upsert(self, shape: Shape, choose: Choose, *, mine: bool) -> None:
        """Write a row over one that is there."""
        key = self.pick(shape, choose, mine=mine)
        row = self.row(shape, choose, honest=True)
        if key is None or row is None:
            return
        there = self.ledger.rows[shape.name][key]
        row = {**row, **{column: there[column] for column in shape.key}}
        changed = sql.Identifier(shape.content or shape.key[0])
        statement = self._insert(shape, row) + sql.SQL(
            " ON CONFLICT ({}) DO UPDATE SET {} = EXCLUDED.{}"
        ).format(sql.SQL(", ").join(map(sql.Identifier, shape.key)), changed, changed)
        foretold = self.ledger.upsertion(shape.name, row, self.said)
        done = self._agree("upsert", shape.name, statement, foretold)
        if done and shape.content:
            self.ledger.update(shape.name, key, {shape.content: row[shape.content]})

    def update(self, shape: Shape, choose: Choose, *, mine: bool) -> None:
        """Change what a row holds."""
        key = self.pick(shape, choose, mine=mine)
        if key is None:
            return
        column = shape.content or shape.key[0]
        there = self.ledger.rows[shape.name][key]
        value = there[column]
        if shape.content:
            value = invent(shape.table, shape.table.columns[column], next(self.numbers))
        self._change("update", shape, key, {column: value})

    def move(self, shape: Shape, choose: Choose, *, mine: bool) -> None:
        """Hand a row over, below another parent, or take somebody else's."""
        key = self.pick(shape, choose, mine=mine)
        target = self.row(shape, choose, honest=choose([True, False]))
        if key is None or target is None:
            return
        named = {c for r in shape.references for c in r.columns}
        named |= set(shape.security.columns if shape.security else ())
        groups = [*(r.columns for r in shape.references), tuple(sorted(named))]
        groups += [(column,) for column in sorted(named)]
        columns = choose([group for group in groups if group] or [shape.columns[-1:]])
        self._change("move", shape, key, {column: target[column] for column in columns})

    def _change(self, act: str, shape: Shape, key: Key, values: Row) -> None:
        before = self._everything()
        after = {**self.ledger.rows[shape.name][key], **values}
        foretold = self.ledger.change(shape.name, key, values, self.said)
        statement = sql.SQL("UPDATE {} SET {} WHERE {}").format(
            sql.Identifier(shape.name),
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(c), v) for c, v in values.items()
            ),
            _where(shape, key),
        )
        if self._agree(act, shape.name, statement, foretold):
            self.ledger.update(shape.name, key, values)
            self._nothing_else_came(before, shape, after)

    def delete(self, shape: Shape, choose: Choose, *, mine: bool) -> None:
        """Delete a row; what hangs on it goes along."""
        key = self.pick(shape, choose, mine=mine)
        if key is None:
            return
        statement = sql.SQL("DELETE FROM {} WHERE {}").format(
            sql.Identifier(shape.name), _where(shape, key)
        )
        foretold = self.ledger.removal(shape.name, key, self.said)
        if self._agree("delete", shape.name, statement, foretold):
            self.ledger.delete(shape.name, key)

    def ask_raw(self, shape: Shape, choose: Choose) -> None:
        """Ask without saying whose: all that one's own SQL finds is one's own."""
        table = sql.Identifier(shape.name)
        mine = len(self.ledger.seen(shape.name, self.said))
        foreign = self.pick(shape, choose, mine=False)
        partitioned = shape.table.dialect_options["postgresql"]["partition_by"]
        counted = sql.SQL("SELECT count(*) FROM {}").format(table)
        found = [self.run(counted).fetchone() == (mine,)]
        with self.connection.cursor() as cursor:
            cursor.execute(sql.SQL("DECLARE c NO SCROLL CURSOR FOR SELECT 1 FROM {}").format(table))
            cursor.execute("FETCH ALL FROM c")
            found.append(cursor.rowcount == mine)
            cursor.execute("CLOSE c")
            with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(table)) as copy:
                # of a partitioned table it reads no partition
                copied = sum(1 for _ in copy.rows())
                found.append(copied in {mine, 0} if partitioned else copied == mine)
        if foreign is not None:
            where = _where(shape, foreign)
            locking = sql.SQL("SELECT 1 FROM {} WHERE {} FOR KEY SHARE").format(table, where)
            found.append(self.attempt(locking)[0] in {Verdict.UNSEEN, Verdict.DENIED})
        self.tried.add(("raw", shape.name, Verdict.DONE))
        assert all(found), f"as {self.said}: {shape.name}: {found}"

    def pick(self, shape: Shape, choose: Choose, *, mine: bool) -> Key | None:
        """Choose a row of mine, or of somebody else; None where there is none."""
        seen = self.ledger.seen(shape.name, self.said)
        keys = sorted(k for k in self.ledger.rows[shape.name] if (k in seen) is mine)
        return choose(keys) if keys else None

    # -- savepoints -----------------------------------------------------------------------------

    def save(self) -> None:
        """Set a savepoint."""
        self.connection.execute(f"SAVEPOINT s{len(self.kept)}".encode())
        self.kept.append((self.ledger.copy(), self.who, self.more))

    def roll_back(self) -> None:
        """Go back to the savepoint; who asks goes back too."""
        self.ledger.rows, self.who, self.more = self.kept.pop()
        self.connection.execute(f"ROLLBACK TO s{len(self.kept)}".encode())

    @contextmanager
    def damaged(self, *statements: str) -> Generator[None]:
        """Break policies on purpose, as the superuser; everything is as before afterwards."""
        self.save()
        self.run(sql.SQL("RESET ROLE"))
        for statement in statements:
            self.connection.execute(statement.encode())
        self.run(sql.SQL("SET LOCAL ROLE {}").format(self.world.role("app")))
        try:
            yield
        finally:
            self.roll_back()

    # -- what must hold -------------------------------------------------------------------------

    def _everything(self) -> set[tuple[str, Key]]:
        """Return what is seen of all protected tables."""
        return {
            (name, key)
            for name, shape in self.world.shapes.items()
            if shape.security is not None
            for key in self.ledger.seen(name, self.said)
        }

    def _nothing_else_came(self, before: set[tuple[str, Key]], shape: Shape, written: Row) -> None:
        """Say that writing a row shows nobody more than that row, and links to no foreign one.

        This asks no declaration who may write what: a membership that one writes for oneself
        would be seen by what it opens.
        """
        row = (shape.name, shape.key_of(written))
        keeper = self.world.doorkeepers.get(shape.name)
        if keeper is None or written[keeper] != self.who:
            came = self._everything() - before - {row}
            assert not came, f"as {self.said}: by writing {row} one sees {sorted(came)}"
        for reference in shape.references:
            target = reference.target(written)
            if target is None or reference.parent in (NAMING_PEOPLE, shape.name):
                continue
            seen = all(
                self.ledger.shows(reference.parent, parent, self.said)
                for parent in self.ledger.parents(reference, target)
            )
            assert seen, f"as {self.said}: {row} refers to a row of somebody else: {reference}"

    def _look(self) -> sql.Composed:
        """Return the query of all there is to be seen."""
        return sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, ARRAY[{}] FROM {}").format(
                shape.name,
                sql.SQL(", ").join(
                    sql.SQL("{}::text").format(sql.Identifier(c)) for c in shape.columns
                ),
                sql.Identifier(shape.name),
            )
            for shape in self.world.shapes.values()
        )

    def _found(self) -> dict[str, dict[Key, Row]]:
        found: dict[str, dict[Key, Row]] = {name: {} for name in self.world.shapes}
        for name, values in self.connection.execute(self.query, prepare=True):
            shape = self.world.shapes[name]
            row = dict(zip(shape.columns, values, strict=True))
            found[name][shape.key_of(row)] = row
        return found

    def everybody_sees_what_is_theirs(self) -> None:
        """Compare with the ledger, for everybody, for nobody, and for whoever asks now."""
        asking: list[dict[str, str]] = [self.saying(p) for p in self.world.people]
        for said in ({}, *asking, self.said):
            self._tell(said)
            self._compare(said)
        self._tell(self.said)

    def _compare(self, said: Said) -> None:
        for name, found in self._found().items():
            wanted = self.ledger.seen(name, said)
            if not any(said.values()) and self.world.shapes[name].security is not None:
                assert wanted == {}
            assert found == wanted, f"as {dict(said)}: {name}: {found} and not {wanted}"

    def others_see_by_their_policies(self) -> None:
        """Compare what the owner of the tables sees (nothing), and the administrator (all)."""
        self._tell({})
        for purpose, name in (("owner", "pg_database_owner"), ("admin", "admin")):
            self.run(sql.SQL("RESET ROLE"))
            self.run(sql.SQL("SET LOCAL ROLE {}").format(self.world.role(purpose)))
            for table, found in self._found().items():
                security = self.world.shapes[table].security
                all_of_it = security is None or name in security.admins
                wanted = self.ledger.rows[table] if all_of_it else {}
                assert found == wanted, f"{purpose}: {table}: {found} and not {wanted}"
        self.run(sql.SQL("RESET ROLE"))
        self.run(sql.SQL("SET LOCAL ROLE {}").format(self.world.role("app")))
        self._tell(self.said)

    @property
    def acts(self) -> set[tuple[str, str]]:
        """What was tried on which tables."""
        return {(act, table) for act, table, _ in self.tried}

    # -- the beginning --------------------------------------------------------------------------

    def settle(self, choose: Choose) -> None:
        """Let everybody have rows of their own in every table, two where they can."""
        for enough in (2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16):
            for person in self.world.people:
                self.say(person)
                for shape in self.world.shapes.values():
                    if shape.name in self._doors or len(self._mine(shape)) < enough:
                        self.insert(shape, choose)
            lacking = [s.name for s in self.world.shapes.values() if not self._owned(s)]
            if not lacking:
                return
        raise AssertionError(f"not everybody could write a row of {lacking}: see inventions.py")

    @cached_property
    def _doors(self) -> frozenset[str]:
        """The tables in which it is looked up whose a row is."""
        security = (shape.security for shape in self.world.shapes.values())
        return frozenset(rule.table for s in security for rule in rules_of(s) if rule.table)

    def _mine(self, shape: Shape) -> dict[Key, Row]:
        return self.ledger.seen(shape.name, self.said)

    def _owned(self, shape: Shape) -> bool:
        asking = map(self.saying, self.world.people)
        return shape.security is None or all(self.ledger.seen(shape.name, s) for s in asking)


def _where(shape: Shape, key: Iterable[Any]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), value)
        for column, value in zip(shape.key, key, strict=True)
    )


def _fits(reference: Reference, parent: Row, row: Row, free: list[str]) -> bool:
    """Say whether a parent agrees with what of the foreign key is filled already."""
    pairs = zip(reference.columns, reference.referred, strict=True)
    return all(c in free or row[c] == parent[r] for c, r in pairs)
