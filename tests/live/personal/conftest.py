"""A stead in which changes of rows are kept with their values, and persons with rows in it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cli.program import Said, inside
from tests.fix_stead import LiveStead, stead_in

AUDITED = """
[databases.history]
values = true

[audit]
enabled = true
interval = "1s"
"""


@dataclass(frozen=True)
class Person:
    """A person with a project, a document and a run of an agent."""

    id: str
    email: str
    name: str
    project: str


@pytest.fixture(scope="session")
def kept() -> Iterator[LiveStead]:
    """Give a stead that is audited, with the values of changes in its history."""
    with stead_in(extra=AUDITED) as made:
        made.run("up")
        # what it would collect meanwhile is collected when it is asked for
        made.wired.ports.supervisor.stop("agent")
        yield made


def pii(stead: LiveStead, *arguments: str, status: int = 0) -> Said:
    """Run `pgstead pii ...` beside the stead's manifest, in this process."""
    said = inside("pii", *arguments, directory=stead.directory)
    assert said.status == status, said
    return said


def add_person(stead: LiveStead, name: str) -> Person:
    """Add a person with rows in every table, and change each of them once."""
    mark = uuid.uuid4().hex[:8]
    keys = [str(uuid.uuid4()) for _ in range(4)]
    person = Person(keys[0], f"{name.lower()}.{mark}@example.com", f"{name} O'Neil-{mark}", keys[1])
    profile = json.dumps({"called": f'"{person.name}"', "city": "Århus"})
    with stead.superuser("jeex_idea") as session:
        does = session.execute
        does(
            "INSERT INTO users (id, email, name, profile_data, last_login_at)"
            " VALUES (%s, %s, %s, %s, now())",
            [person.id, person.email, person.name, profile],
        )
        does("UPDATE users SET name = name || '' , last_login_at = now() WHERE id = %s", [keys[0]])
        does(
            "INSERT INTO projects (id, name, created_by) VALUES (%s, %s, %s)",
            [person.project, f"idea of {person.name}", person.id],
        )
        does(
            "INSERT INTO document_versions (id, project_id, document_type, version, content,"
            " created_by) VALUES (%s, %s, 'about', 1, %s, %s)",
            [keys[2], person.project, f"by {person.email}", person.id],
        )
        does(
            "INSERT INTO agent_executions (id, project_id, agent_type, correlation_id, input_data)"
            " VALUES (%s, %s, 'writer', %s, %s)",
            [keys[3], person.project, str(uuid.uuid4()), profile],
        )
        does("UPDATE projects SET name = 'of ' || name WHERE id = %s", [person.project])
        does("ANALYZE users")
    return person


def held(stead: LiveStead, *values: str, database: str = "jeex_idea") -> list[str]:
    """Return where values are in the database, by a look of its own at every table."""
    found: list[str] = []
    with stead.superuser(database) as session:
        tables: list[dict[str, Any]] = session.execute(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for table in tables:
            for value in values:
                # a row as JSON escapes what a row as text doubles
                escaped = json.dumps(value, ensure_ascii=False)[1:-1]
                asked = (
                    f"SELECT FROM {table['name']} AS t WHERE strpos(lower(to_jsonb(t)::text),"
                    " lower(%s)) > 0"
                )
                if session.execute(asked, [escaped]).rowcount:
                    found.append(f"{table['name']}: {value}")
    return found


@pytest.fixture(scope="session")
def club(kept: LiveStead) -> Iterator[str]:
    """Give a database in which rows belong to persons in every way that there is."""
    with kept.superuser() as session:
        session.execute("CREATE DATABASE club")
    with kept.superuser("club") as session:
        session.execute(CLUB)
    yield "club"
    with kept.superuser() as session:
        session.execute("DROP DATABASE club")


CLUB = """
    CREATE TABLE persons (id int PRIMARY KEY, email text NOT NULL UNIQUE, name text);
    COMMENT ON TABLE persons IS 'members and others [subject: id, email]';
    COMMENT ON COLUMN persons.email IS '[personal: email]';
    COMMENT ON COLUMN persons.name IS 'as they like it [personal: name]';
    CREATE TABLE clubs (id int PRIMARY KEY, owner int NOT NULL REFERENCES persons
                        ON DELETE CASCADE, title text);
    COMMENT ON TABLE clubs IS '[subject: id]';
    CREATE TABLE posts (id int PRIMARY KEY, club int NOT NULL REFERENCES clubs ON DELETE CASCADE,
                        answers int REFERENCES posts ON DELETE CASCADE);
    CREATE TABLE notes (id int PRIMARY KEY, author int REFERENCES persons, body text NOT NULL,
                        site text NOT NULL, born date NOT NULL, tags text[] NOT NULL DEFAULT '{a}',
                        code text NOT NULL UNIQUE, checker int REFERENCES persons);
    COMMENT ON COLUMN notes.author IS '[internal; authored]';
    COMMENT ON COLUMN notes.body IS '[personal]';
    COMMENT ON COLUMN notes.site IS '[personal: url]';
    COMMENT ON COLUMN notes.born IS '[personal]';
    COMMENT ON COLUMN notes.tags IS '[personal]';
    COMMENT ON COLUMN notes.code IS '[personal]';
    CREATE TABLE bills (id int PRIMARY KEY, person int NOT NULL REFERENCES persons);
    INSERT INTO persons VALUES (1, 'one@example.com', 'One Oneson'), (2, 'two@example.com', NULL);
    INSERT INTO clubs VALUES (10, 1, 'of one'), (20, 2, 'of two');
    INSERT INTO posts VALUES (1, 10, NULL), (2, 10, 1), (3, 20, NULL), (4, 20, 2), (5, 20, 3);
    INSERT INTO notes VALUES
        (1, 1, 'by one', 'https://one.example', '1990-01-02', '{x,y}', 'c1', 2),
        (2, 2, 'by two', 'https://two.example', '1991-01-02', '{x,y}', 'c2', 1);
    INSERT INTO bills VALUES (1, 1);
"""
