"""The worlds in which the machine plays: the three systems, and the laboratory's odd tables.

A world is made of the models' declarations alone; a table that is added there is played with here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import MetaData

from pgstead.app.tenancy import TENANT, USER
from systems.ai_agents.models import Base as AiAgents
from systems.jeex_idea.models import Base as JeexIdea
from systems.specgen.models import Base as Specgen
from tests.live.tenancy import models
from tests.live.tenancy.ledger import Shape, rules_of, shapes

METADATA: dict[str, MetaData] = {
    "jeex_idea": JeexIdea.metadata,
    "ai_agents": AiAgents.metadata,
    "specgen": Specgen.metadata,
    models.NAME: models.Base.metadata,
}

# Tables that everybody reads, and why; what is neither protected nor named here fails a test.
SHARED = {
    ("ai_agents", "retention_rules"): (
        "how long rows are kept, no row of anybody; the application only reads it"
    ),
}

# Columns that name somebody, by a key that cannot be guessed. That a row names a person does not
# let anybody see that person's row, nor the other way round.
NAMING_PEOPLE = "users"


@dataclass(frozen=True)
class World:
    """A database, and who is in it."""

    name: str
    connect: Callable[[], psycopg.Connection[Any]]  # as the superuser
    asking: tuple[str, ...] = (USER,)  # the settings that say who asks
    people: tuple[str, ...] = tuple(
        str(uuid.UUID(int=(7 << 76) | (2 << 62) | n)) for n in (1, 2, 3)
    )
    newcomer: str = str(uuid.UUID(int=(7 << 76) | (2 << 62) | 99))  # has no row at all
    # who lets others at rows by writing into a table: the one that a column of it names
    doorkeepers: dict[str, str] = field(default_factory=dict)
    keepers: dict[str, str] = field(default_factory=dict)  # a column that whom it names may change

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The tables."""
        return shapes(METADATA[self.name])

    @cached_property
    def settings(self) -> tuple[str, ...]:
        """The settings that policies compare with."""
        found = [rule.setting for s in self.shapes.values() for rule in rules_of(s.security)]
        return tuple(dict.fromkeys([*self.asking, *found]))

    def role(self, purpose: str) -> sql.Identifier:
        """Return the role for a purpose."""
        return sql.Identifier(f"{self.name}_{purpose}")

    def rights(self, connection: psycopg.Connection[Any]) -> dict[str, frozenset[str]]:
        """Return what the application may do at all with each table."""
        query = "SELECT has_table_privilege(%s, %s, %s)"
        return {
            name: frozenset(
                right
                for right in ("INSERT", "UPDATE", "DELETE")
                if connection.execute(
                    query, [f"{self.name}_app", sql.Identifier(name).as_string(), right]
                ).fetchone()
                == (True,)
            )
            for name in self.shapes
        }

    def fixed(self, connection: psycopg.Connection[Any]) -> dict[str, frozenset[str]]:
        """Return the columns that a trigger keeps as they are."""
        query = """
            SELECT tgrelid::regclass::text, rtrim(encode(tgargs, 'escape'), '\\000')
            FROM pg_trigger WHERE tgname LIKE '%immutable'
        """
        found: dict[str, frozenset[str]] = dict.fromkeys(self.shapes, frozenset())
        for table, column in connection.execute(query).fetchall():
            if table in found:
                found[table] |= {column}
        return found


def world(name: str, connect: Callable[[], psycopg.Connection[Any]]) -> World:
    """Return the world of a database."""
    if name == "ai_agents":
        return World(name, connect, (TENANT,), ("one", "two", "three"), "four")
    if name == "specgen":
        return World(
            name,
            connect,
            doorkeepers={"workspace_members": "owner_id"},
            keepers={"workspaces": "owner_id"},
        )
    if name == models.NAME:  # where, to keep it small, anybody asks themselves in
        return World(name, connect, (TENANT, USER), doorkeepers={"members": "user_id"})
    return World(name, connect)
