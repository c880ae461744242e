"""The machine of test_every_table.py turns red where policies are broken on purpose."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest

from tests.live.tenancy.authors import mostly_first
from tests.live.tenancy.ledger import Shape
from tests.live.tenancy.machine import Machine
from tests.live.tenancy.worlds import SYSTEMS, World

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
LOOSE = (
    "ALTER TABLE {0} DROP CONSTRAINT {0}_workspace_id_project_id_fkey",
    "ALTER TABLE {0} ADD FOREIGN KEY (project_id) REFERENCES projects (id)",
)


def turns_red(
    machine: Machine, table: str, damage: tuple[str, ...], acts: Callable[[], object]
) -> None:
    """See the machine fail while a table is damaged, and not because of anything else."""
    statements = [statement.format(table) for statement in damage]
    with machine.damaged(*statements), pytest.raises(AssertionError):
        acts()


@pytest.fixture
def settle(worlds: Callable[[str], World]) -> Iterator[Callable[[str], Machine]]:
    """Give machines with rows in every table."""
    made: list[Machine] = []

    def of(name: str) -> Machine:
        made.append(Machine(worlds(name)))
        made[-1].settle(mostly_first(0))
        return made[-1]

    yield of
    for machine in made:
        machine.close()


def protected(machine: Machine) -> list[Shape]:
    """Return the tables whose policies can be broken."""
    return [shape for shape in machine.world.shapes.values() if shape.security is not None]


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_sees_every_table_that_shows_or_hides_what_it_should_not(
    settle: Callable[[str], Machine], name: str
) -> None:
    machine = settle(name)

    def look() -> None:
        machine.everybody_sees_what_is_theirs()
        machine.others_see_by_their_policies()

    for shape, (word, damage) in itertools.product(protected(machine), LOOKING.items()):
        assert shape.security is not None
        if "bind" in word and "pg_database_owner" in shape.security.admins:
            continue  # its owner sees it by a policy
        turns_red(machine, shape.name, damage, look)
    look()


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_sees_every_table_that_takes_rows_for_others(
    settle: Callable[[str], Machine], name: str
) -> None:
    machine = settle(name)
    choose = mostly_first(1)

    def write() -> None:
        for _ in range(60):
            machine.insert(shape, choose, honest=False)

    machine.say(machine.world.people[0])
    for shape in protected(machine):
        turns_red(machine, shape.name, UNCHECKED, write)


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        # what carries the workspace, and does not any more
        pytest.param("branches", LOOSE, id="a foreign key that points anywhere"),
        # a member who may write memberships asks themselves in
        pytest.param("workspace_members", UNCHECKED, id="members who invite themselves"),
        # a member makes themselves the owner
        pytest.param(
            "workspaces",
            ("DROP TRIGGER workspaces_owner_id_kept ON {0}",),
            id="members who take a workspace over",
        ),
    ],
)
def test_it_sees_who_gets_around_what_keeps_workspaces_apart(
    settle: Callable[[str], Machine], table: str, damage: tuple[str, ...]
) -> None:
    machine = settle("specgen")
    shape = machine.world.shapes[table]
    choose = random.Random(2).choice

    def try_everything() -> None:
        for person, _ in itertools.product(machine.world.people, range(100)):
            machine.say(person)
            machine.insert(shape, choose, honest=False)
            machine.move(shape, choose, mine=True)

    turns_red(machine, table, damage, try_everything)
