"""The tables that the state machine plays with: two of the laboratory, all of jeex_idea."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.live.tenancy.lab import TENANT, USER, act

People = tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A protected table: how a row of it is made, changed, and handed over."""

    table: str
    parent: str  # the table that rows refer to; empty for none
    insert: str  # with (key), (text) and, below a parent, (parent); `scope` is who it is for
    scope: str  # the column that says whose a row is
    text: str  # a column that may be changed
    upsert: str = ""  # what ON CONFLICT names; empty where there is nothing to collide with


@dataclass(frozen=True)
class World:
    """A database, who is in it, and its tables, parents first."""

    connect: Callable[[], psycopg.Connection[Any]]
    setting: str
    people: People
    kinds: tuple[Kind, ...]
    key: Callable[[int], Any]
    scope: Callable[[str], Any] = str

    def say(self, connection: psycopg.Connection[Any], person: str) -> None:
        """Say for whom the transaction asks; nobody is the empty string."""
        act(connection, **{self.setting: self.scope(person) if person else ""})

    def kind(self, table: str) -> Kind:
        """Return a table by name."""
        return next(kind for kind in self.kinds if kind.table == table)


LAB = (
    Kind(
        "accounts",
        "",
        "INSERT INTO accounts (id, tenant_id, email) VALUES (%(key)s, %(scope)s, %(text)s)",
        "tenant_id",
        "email",
        "(tenant_id, id)",
    ),
    Kind(
        "orders",
        "accounts",
        "INSERT INTO orders (id, tenant_id, account_id, note)"
        " VALUES (%(key)s, %(scope)s, %(parent)s, %(text)s)",
        "tenant_id",
        "note",
        "(id)",
    ),
)

JEEX = (
    Kind(
        "projects",
        "",
        "INSERT INTO projects (id, created_by, name) VALUES (%(key)s, %(scope)s, %(text)s)",
        "created_by",
        "name",
        "(id)",
    ),
    Kind(
        "document_versions",
        "projects",
        "INSERT INTO document_versions (id, project_id, document_type, version, content,"
        " created_by) VALUES (%(key)s, %(parent)s, %(key)s::text, 1, %(text)s, %(scope)s)",
        "project_id",
        "content",
    ),
    Kind(
        "agent_executions",
        "projects",
        "INSERT INTO agent_executions (id, project_id, agent_type, correlation_id)"
        " VALUES (%(key)s, %(parent)s, %(text)s, %(scope)s)",
        "project_id",
        "agent_type",
        "(id)",
    ),
    Kind(
        "exports",
        "projects",
        "INSERT INTO exports (id, project_id, file_path) VALUES (%(key)s, %(parent)s, %(text)s)",
        "project_id",
        "file_path",
        "(id)",
    ),
)


def laboratory(connect: Callable[[], psycopg.Connection[Any]]) -> World:
    """Return the world of tenants whose rows carry their tenant."""
    return World(connect, TENANT, ("one", "two", "three"), LAB, lambda n: 1_000_000 + n)


def jeex_idea(connect: Callable[[], psycopg.Connection[Any]], people: People) -> World:
    """Return the world of people who own projects."""
    return World(connect, USER, people, JEEX, lambda n: uuid.UUID(int=(7 << 76) | (1 << 63) | n))
