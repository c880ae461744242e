"""What is tried of the sample data of every system (DEP-10)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from psycopg import sql

from pgstead.errors import UsageError


class Sample(Protocol):
    """The module of a system's sample."""

    def load(self, connection: Path) -> Mapping[str, int]: ...
    def remove(self, connection: Path) -> Mapping[str, int]: ...


def rows_of(session: Any, *tables: str) -> dict[str, int]:
    """Count the rows that a session sees."""
    found: dict[str, int] = {}
    for table in tables:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        ((found[table],),) = session.execute(query).fetchall()
    return found


def load_twice_and_remove(
    sample: Sample, connection: Path, counted: Callable[[], dict[str, int]]
) -> Mapping[str, int]:
    """Loading twice is loading once, and removing takes exactly it away; return what was added."""
    before = counted()
    added = sample.load(connection)
    assert added
    assert all(added.values())
    assert counted() == {table: before[table] + added.get(table, 0) for table in before}
    assert set(sample.load(connection).values()) == {0}
    assert sample.remove(connection) == added
    assert counted() == before
    assert set(sample.remove(connection).values()) == {0}
    return added


def refused_in_production(sample: Sample, connection: Path, place: Path) -> None:
    """Production takes none."""
    told = json.loads(connection.read_text())
    told["environment"] = "production"
    production = place / connection.name
    production.write_text(json.dumps(told))
    with pytest.raises(UsageError, match="production"):
        sample.load(production)
