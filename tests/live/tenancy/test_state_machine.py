"""Whatever several people do, in whatever order: each sees what is theirs, nobody sees nothing.

The model is a dictionary of rows. Everything happens in one transaction of one connection, as
behind a pooler, with savepoints; at the end it is rolled back.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import errors

from tests.live.scratch import Scratch
from tests.live.tenancy import worlds
from tests.live.tenancy.lab import Lab
from tests.live.tenancy.worlds import Kind, World

Refused = (errors.InsufficientPrivilege, errors.ForeignKeyViolation)


@dataclass(frozen=True)
class Row:
    """A row as the model knows it."""

    owner: str
    text: str
    parent: Any = None


class Tenants(RuleBasedStateMachine):
    """The machine; a test gives it its world."""

    world: World

    def __init__(self) -> None:
        """Begin with nobody asking."""
        super().__init__()
        self.connection = self.world.connect()
        self.rows: dict[str, dict[Any, Row]] = {kind.table: {} for kind in self.world.kinds}
        self.kept: list[dict[str, dict[Any, Row]]] = []
        self.who = ""
        self.numbers = itertools.count(1)

    def teardown(self) -> None:
        """Undo everything."""
        self.connection.rollback()
        self.connection.close()

    # -- what is asked --------------------------------------------------------------------------

    def attempt(self, statement: str, **values: Any) -> int | psycopg.Error:
        """Run a statement in a savepoint; return the number of rows, or why it was refused."""
        try:
            with self.connection.transaction():
                return self.connection.execute(statement.encode(), values).rowcount
        except psycopg.Error as error:
            return error

    def pick(self, data: st.DataObject, table: str, *, mine: bool) -> Any:
        """Choose a row of mine, or of somebody else; None where there is none."""
        found = [k for k, row in self.rows[table].items() if (row.owner == self.who) is mine]
        return data.draw(st.sampled_from(sorted(found))) if found else None

    def any_kind(self, data: st.DataObject) -> Kind:
        """Choose a table."""
        return data.draw(st.sampled_from(self.world.kinds))

    # -- who asks -------------------------------------------------------------------------------

    @initialize(data=st.data())
    def somebody_begins(self, data: st.DataObject) -> None:
        """Begin as somebody with a row in every table."""
        self.switch(data)
        for kind in self.world.kinds:
            self.write(kind, data)

    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        """Ask for somebody else from now on."""
        self.who = data.draw(st.sampled_from(self.world.people))
        self.world.say(self.connection, self.who)

    # -- what they do ---------------------------------------------------------------------------

    @rule(data=st.data())
    def insert(self, data: st.DataObject) -> None:
        """Write a row of one's own."""
        self.write(self.any_kind(data), data)

    def write(self, kind: Kind, data: st.DataObject) -> None:
        """Write a row of one's own, below a parent of one's own."""
        parent = self.pick(data, kind.parent, mine=True) if kind.parent else None
        if kind.parent and parent is None:
            return
        key = self.world.key(next(self.numbers))
        text = f"{self.who} {key}"[:50]
        done = self.attempt(
            kind.insert, key=key, scope=self.world.scope(self.who), text=text, parent=parent
        )
        assert done == 1, done
        self.rows[kind.table][key] = Row(self.who, text, parent)

    @rule(data=st.data())
    def insert_for_another(self, data: st.DataObject) -> None:
        """Write a row that would be somebody else's."""
        kind = self.any_kind(data)
        other = data.draw(st.sampled_from([p for p in self.world.people if p != self.who]))
        parent = self.pick(data, kind.parent, mine=False) if kind.parent else None
        if kind.parent and parent is None:
            return
        key = self.world.key(next(self.numbers))
        done = self.attempt(
            kind.insert, key=key, scope=self.world.scope(other), text="x", parent=parent
        )
        assert isinstance(done, Refused), done

    @rule(data=st.data())
    def link_to_a_foreign_parent(self, data: st.DataObject) -> None:
        """Write a row of one's own below a row of somebody else."""
        kind = data.draw(st.sampled_from([k for k in self.world.kinds if k.parent]))
        parent = self.pick(data, kind.parent, mine=False)
        if parent is None:
            return
        key = self.world.key(next(self.numbers))
        scope = self.world.scope(self.who)
        done = self.attempt(kind.insert, key=key, scope=scope, text="x", parent=parent)
        assert isinstance(done, Refused), done

    @rule(data=st.data(), mine=st.booleans())
    def update(self, data: st.DataObject, mine: bool) -> None:
        """Change a row."""
        kind = self.any_kind(data)
        key = self.pick(data, kind.table, mine=mine)
        if key is None:
            return
        text = f"changed {next(self.numbers)}"
        change = f"UPDATE {kind.table} SET {kind.text} = %(text)s WHERE id = %(key)s"
        assert self.attempt(change, text=text, key=key) == int(mine)
        if mine:
            row = self.rows[kind.table][key]
            self.rows[kind.table][key] = Row(row.owner, text, row.parent)

    @rule(data=st.data(), mine=st.booleans())
    def delete(self, data: st.DataObject, mine: bool) -> None:
        """Delete a row; what hangs on it goes along."""
        kind = self.any_kind(data)
        key = self.pick(data, kind.table, mine=mine)
        if key is None:
            return
        done = self.attempt(f"DELETE FROM {kind.table} WHERE id = %(key)s", key=key)
        assert done == int(mine)
        if mine:
            del self.rows[kind.table][key]
            self.forget_children(kind.table, key)

    def forget_children(self, table: str, key: Any) -> None:
        """Follow ON DELETE CASCADE in the model."""
        for kind in self.world.kinds:
            if kind.parent == table:
                rows = self.rows[kind.table]
                self.rows[kind.table] = {k: r for k, r in rows.items() if r.parent != key}

    @rule(data=st.data(), mine=st.booleans())
    def upsert(self, data: st.DataObject, mine: bool) -> None:
        """Write a row whose key exists, or change the one that does."""
        kind = self.any_kind(data)
        key = self.pick(data, kind.table, mine=mine)
        parent = self.pick(data, kind.parent, mine=True) if kind.parent else None
        if key is None or not kind.upsert or (kind.parent and parent is None):
            return
        text = f"again {next(self.numbers)}"
        done = self.attempt(
            f"{kind.insert} ON CONFLICT {kind.upsert}"
            f" DO UPDATE SET {kind.text} = EXCLUDED.{kind.text}",
            key=key, scope=self.world.scope(self.who), text=text, parent=parent,
        )  # fmt: skip
        if mine:
            assert done == 1, done
            row = self.rows[kind.table][key]
            self.rows[kind.table][key] = Row(row.owner, text, row.parent)
        else:  # of a key that is unique among all, the existence is told, never the row
            assert isinstance(done, (*Refused, errors.UniqueViolation)), done

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """Hand a row over, or below a parent of somebody else."""
        kind = self.any_kind(data)
        key = self.pick(data, kind.table, mine=True)
        other = data.draw(st.sampled_from([p for p in self.world.people if p != self.who]))
        target: Any = self.world.scope(other)
        if kind.scope == "project_id":
            target = self.pick(data, kind.parent, mine=False)
        if key is None or target is None:
            return
        change = f"UPDATE {kind.table} SET {kind.scope} = %(target)s WHERE id = %(key)s"
        done = self.attempt(change, target=target, key=key)
        assert isinstance(done, (*Refused, errors.IntegrityError)), done

    # -- savepoints -----------------------------------------------------------------------------

    @rule()
    def save(self) -> None:
        """Set a savepoint."""
        self.connection.execute(f"SAVEPOINT s{len(self.kept)}".encode())
        self.kept.append({table: dict(rows) for table, rows in self.rows.items()})

    @precondition(lambda self: self.kept)
    @rule()
    def roll_back(self) -> None:
        """Go back to the savepoint; the setting goes back too, so it is said anew."""
        self.rows = self.kept.pop()
        self.connection.execute(f"ROLLBACK TO s{len(self.kept)}".encode())
        self.world.say(self.connection, self.who)

    # -- what must hold -------------------------------------------------------------------------

    @invariant()
    def everybody_sees_what_is_theirs(self) -> None:
        """Compare with the model, for everybody and for nobody."""
        for person in ("", *self.world.people):
            self.world.say(self.connection, person)
            for kind in self.world.kinds:
                query = f"SELECT id, {kind.text} FROM {kind.table}"
                seen = dict(self.connection.execute(query.encode()).fetchall())
                theirs = self.rows[kind.table].items()
                wanted = {k: row.text for k, row in theirs if row.owner == person}
                assert seen == wanted, (person, kind.table)
        self.world.say(self.connection, self.who)


def play(world: World, examples: int, steps: int) -> None:
    """Play the machine in a world."""
    machine = type("Machine", (Tenants,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.fixture
def people(scratch: Scratch) -> Iterator[tuple[str, ...]]:
    """Give three people of jeex_idea."""
    add = "INSERT INTO users (email, name) VALUES (%s, 'P') RETURNING id::text"
    with scratch.admin("jeex_idea") as admin:
        rows = [admin.execute(add, [f"machine{n}@example.com"]).fetchone() for n in range(3)]
        names = tuple(row[0] for row in rows if row is not None)
        yield names
        admin.execute("DELETE FROM users WHERE id::text = ANY (%s)", [list(names)])


AMOUNTS = [
    pytest.param(12, 25, id="some"),
    pytest.param(400, 50, id="many", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("examples", "steps"), AMOUNTS)
def test_tenants_of_the_laboratory_never_meet(lab: Lab, examples: int, steps: int) -> None:
    play(worlds.laboratory(lab.connect), examples, steps)


@pytest.mark.parametrize(("examples", "steps"), AMOUNTS)
def test_people_of_jeex_idea_never_meet(
    scratch: Scratch, people: tuple[str, ...], examples: int, steps: int
) -> None:
    play(worlds.jeex_idea(scratch.connect, people), examples, steps)


def test_the_machine_sees_a_policy_that_lets_others_in(lab: Lab) -> None:
    change = "ALTER POLICY {} ON orders USING ({})"
    names = ("tenant_isolation_policy", "tenant_isolation_policy_floor")
    with lab.admin() as admin:
        query = "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polname = %s"
        row = admin.execute(f"{query} AND polrelid = 'orders'::regclass", [names[0]]).fetchone()
        assert row is not None
        for name in names:
            admin.execute(change.format(name, "id >= 1000000").encode())
        try:
            with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of failures too
                play(worlds.laboratory(lab.connect), 12, 25)
        finally:
            for name in names:
                admin.execute(change.format(name, row[0]).encode())
    assert "AssertionError" in repr(caught.value) or "orders" in str(caught.value)
