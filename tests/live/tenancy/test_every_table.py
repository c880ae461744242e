"""Whatever several people do, in whatever order: each sees what is theirs, nobody sees nothing.

Over every protected table of the three systems, from their models' declarations. Everything
happens in one transaction, as behind a pooler, with savepoints; at the end it is rolled back.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

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

from pgstead.app.tenancy import scoped_tables
from tests.live.scratch import Scratch
from tests.live.tenancy import models
from tests.live.tenancy.lab import Lab
from tests.live.tenancy.ledger import Shape
from tests.live.tenancy.machine import Choose, Machine
from tests.live.tenancy.worlds import METADATA, SHARED, World, world

SYSTEMS = ("jeex_idea", "ai_agents", "specgen")


@pytest.fixture
def worlds(every_system: Scratch, lab: Lab) -> Callable[[str], World]:
    """Return the worlds by name."""

    def of(name: str) -> World:
        server = lab.scratch if name == models.NAME else every_system
        return world(name, lambda: server.admin(name))

    return of


class People(RuleBasedStateMachine):
    """The machine as Hypothesis plays it; a test gives it its world."""

    world: World

    def __init__(self) -> None:
        """Begin."""
        super().__init__()
        self.machine = Machine(self.world)

    def teardown(self) -> None:
        """Look as others do, then undo everything."""
        try:
            self.machine.others_see_by_their_policies()
        finally:
            self.machine.close()

    @initialize(seed=st.sampled_from((1, 2, 5)))
    def settle(self, seed: int) -> None:
        """Begin with rows in every table."""
        self.machine.settle(mostly_first(seed))

    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        """Ask for somebody else from now on, or for nobody, or by another setting."""
        choose = choosing(data)
        who = choose([*self.world.people, ""])
        self.machine.say(who, others(self.machine, choose))

    @rule(data=st.data(), honest=st.booleans())
    def insert(self, data: st.DataObject, honest: bool) -> None:
        """Write a row, of one's own or below and for others."""
        self.machine.insert(self.table(data), choosing(data), honest=honest)

    @rule(data=st.data(), mine=st.booleans(), act=st.sampled_from(["update", "delete", "upsert"]))
    def change(self, data: st.DataObject, mine: bool, act: str) -> None:
        """Change, delete or write over a row."""
        getattr(self.machine, act)(self.table(data), choosing(data), mine=mine)

    @rule(data=st.data(), mine=st.booleans())
    def move(self, data: st.DataObject, mine: bool) -> None:
        """Hand a row over, or take one."""
        self.machine.move(self.table(data), choosing(data), mine=mine)

    @rule(data=st.data())
    def ask_raw(self, data: st.DataObject) -> None:
        """Ask without conditions."""
        self.machine.ask_raw(self.table(data), choosing(data))

    @rule()
    def save(self) -> None:
        """Set a savepoint."""
        self.machine.save()

    @precondition(lambda self: self.machine.kept)
    @rule()
    def roll_back(self) -> None:
        """Go back to it."""
        self.machine.roll_back()

    @invariant()
    def everybody_sees_what_is_theirs(self) -> None:
        """Compare."""
        self.machine.everybody_sees_what_is_theirs()

    def table(self, data: st.DataObject) -> Shape:
        """Choose a table."""
        return data.draw(st.sampled_from([*self.world.shapes.values()]))


def choosing(data: st.DataObject) -> Choose:
    """Let Hypothesis choose."""
    return lambda options: data.draw(st.sampled_from(list(options)))


def mostly_first(seed: int) -> Choose:
    """Choose by chance, the first of all more often: so people get what hangs together."""
    chance = random.Random(seed)
    return lambda options: options[0] if chance.random() < 0.6 else chance.choice(list(options))


def others(machine: Machine, choose: Choose) -> dict[str, str]:
    """Say something in the settings beside the main one, of what rows have."""
    said: dict[str, str] = {}
    for name, shape in machine.world.shapes.items():
        for of in shape.security.shown if shape.security else ():
            values = [str(row[of.column]) for row in machine.ledger.rows[name].values()]
            said[of.setting] = choose(["", *values])
    return said


def play(played: World, examples: int, steps: int) -> None:
    """Play the machine in a world."""
    machine = type("Machine", (People,), {"world": played})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


def sweep(played: World) -> set[tuple[str, str]]:
    """Try everything on every table once, without chance; return which acts on which tables."""
    machine = Machine(played)
    choose = mostly_first(0)
    try:
        machine.settle(choose)
        machine.everybody_sees_what_is_theirs()
        machine.others_see_by_their_policies()
        for shape, who in itertools.product(played.shapes.values(), (played.people[0], "")):
            machine.save()
            machine.say(who, others(machine, choose))
            for honest in (True, False, False):
                machine.insert(shape, choose, honest=honest)
            for act, mine in itertools.product(
                (machine.upsert, machine.update, machine.move, machine.move), (True, False)
            ):
                for _ in range(8):
                    act(shape, choose, mine=mine)
                    if (act.__name__, shape.name) in machine.acts:
                        break  # there was a row to do it to
            machine.ask_raw(shape, choose)
            machine.everybody_sees_what_is_theirs()
            machine.roll_back()
        for shape, mine in itertools.product(reversed(played.shapes.values()), (False, True)):
            machine.save()
            machine.say(played.people[1])
            machine.delete(shape, choose, mine=mine)
            machine.everybody_sees_what_is_theirs()
            machine.roll_back()
            machine.everybody_sees_what_is_theirs()
        return machine.acts
    finally:
        machine.close()


AMOUNTS = [
    pytest.param(6, 20, id="some"),
    pytest.param(400, 50, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
]


@pytest.mark.parametrize(("examples", "steps"), AMOUNTS)
@pytest.mark.parametrize("name", [*SYSTEMS, models.NAME])
def test_people_never_meet_whatever_they_do(
    worlds: Callable[[str], World], name: str, examples: int, steps: int
) -> None:
    play(worlds(name), examples, steps)


@pytest.mark.parametrize("name", [*SYSTEMS, models.NAME])
def test_every_act_is_tried_on_every_protected_table(
    worlds: Callable[[str], World], name: str
) -> None:
    tried = sweep(worlds(name))
    for table, _ in scoped_tables(METADATA[name]):
        for act in ("insert", "upsert", "update", "move", "raw", "delete"):
            assert (act, table.name) in tried


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_table_is_protected_or_named_as_shared_with_a_reason(name: str) -> None:
    protected = {table.name for table, _ in scoped_tables(METADATA[name])}
    shared = {table for system, table in SHARED if system == name}
    assert set(METADATA[name].tables) - protected == shared


# -- the machine itself ---------------------------------------------------------------------------

POLICY = "tenant_isolation_policy"
FLOOR = f"{POLICY}_floor"
LOOKING: dict[str, tuple[str, ...]] = {
    "lets everybody read": (
        f"ALTER POLICY {POLICY} ON {{0}} USING (true)",
        f"ALTER POLICY {FLOOR} ON {{0}} USING (true)",
    ),
    "has lost its policy": (f"DROP POLICY {POLICY} ON {{0}}",),
    "is not protected": ("ALTER TABLE {0} DISABLE ROW LEVEL SECURITY",),
    "does not bind its owner": ("ALTER TABLE {0} NO FORCE ROW LEVEL SECURITY",),
    "has lost the administrator's policy": (f"DROP POLICY {POLICY}_admin ON {{0}}",),
}
UNCHECKED = tuple(f"ALTER POLICY {name} ON {{0}} WITH CHECK (true)" for name in (POLICY, FLOOR))


@pytest.fixture(params=SYSTEMS)
def settled(request: pytest.FixtureRequest, worlds: Callable[[str], World]) -> Iterator[Machine]:
    """Give a machine with rows in every table."""
    machine = Machine(worlds(request.param))
    machine.settle(mostly_first(0))
    yield machine
    machine.close()


def protected(machine: Machine) -> list[Shape]:
    """Return the tables whose policies can be broken."""
    return [shape for shape in machine.world.shapes.values() if shape.security is not None]


@pytest.mark.parametrize("damage", LOOKING)
def test_the_machine_sees_a_table_that(settled: Machine, damage: str) -> None:
    for shape in protected(settled):
        assert shape.security is not None
        if "bind" in damage and "pg_database_owner" in shape.security.admins:
            continue  # its owner sees it by a policy
        with settled.damaged(*(statement.format(shape.name) for statement in LOOKING[damage])):
            with pytest.raises(AssertionError):
                settled.everybody_sees_what_is_theirs()
                settled.others_see_by_their_policies()
    settled.everybody_sees_what_is_theirs()


def test_the_machine_sees_a_table_that_takes_rows_for_others(settled: Machine) -> None:
    choose = mostly_first(1)
    for shape in protected(settled):
        with settled.damaged(*(statement.format(shape.name) for statement in UNCHECKED)):
            settled.say(settled.world.people[0])
            with pytest.raises(AssertionError):
                for _ in range(60):
                    settled.insert(shape, choose, honest=False)


def test_the_machine_sees_a_foreign_key_that_points_anywhere(
    worlds: Callable[[str], World],
) -> None:
    machine = Machine(worlds("specgen"))
    choose = random.Random(1).choice
    loose = (
        "ALTER TABLE branches DROP CONSTRAINT branches_workspace_id_project_id_fkey",
        "ALTER TABLE branches ADD FOREIGN KEY (project_id) REFERENCES projects (id)",
    )
    try:
        machine.settle(mostly_first(0))
        with machine.damaged(*loose):
            machine.say(machine.world.people[0])
            with pytest.raises(AssertionError):
                for _ in range(200):
                    machine.move(machine.world.shapes["branches"], choose, mine=True)
    finally:
        machine.close()


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        # a member who may write memberships asks themselves in anywhere
        ("workspace_members", UNCHECKED),
        # what the trigger keeps: a member makes themselves the owner
        ("workspaces", ("DROP TRIGGER workspaces_owner_id_kept ON workspaces",)),
    ],
)
def test_the_machine_sees_who_lets_themselves_in(
    worlds: Callable[[str], World], table: str, damage: tuple[str, ...]
) -> None:
    machine = Machine(worlds("specgen"))
    shape = machine.world.shapes[table]
    choose = random.Random(2).choice
    try:
        machine.settle(mostly_first(0))
        with machine.damaged(*(statement.format(table) for statement in damage)):
            with pytest.raises(AssertionError):
                for person, _ in itertools.product(machine.world.people, range(30)):
                    machine.say(person)
                    machine.insert(shape, choose, honest=False)
                    machine.move(shape, choose, mine=True)
    finally:
        machine.close()
