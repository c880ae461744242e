"""Sample data (DEP-10)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from psycopg import sql

from pgstead.errors import UsageError
from systems.jeex_idea import sample
from systems.jeex_idea.models import Base
from tests.live.scratch import Scratch


def counted(scratch: Scratch) -> dict[str, int]:
    """Count what the administrator sees; the application sees one person's rows at a time."""
    found: dict[str, int] = {}
    with scratch.connect("admin") as admin:
        for table in Base.metadata.tables:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            ((found[table],),) = admin.execute(query).fetchall()
    return found


def test_loading_twice_is_loading_once_and_removing_takes_exactly_it_away(
    scratch: Scratch,
) -> None:
    before = counted(scratch)
    added = sample.load(scratch.connection)
    assert all(added.values())
    assert counted(scratch) == {table: before[table] + added[table] for table in before}
    assert set(sample.load(scratch.connection).values()) == {0}
    assert sample.remove(scratch.connection) == added
    assert counted(scratch) == before
    assert set(sample.remove(scratch.connection).values()) == {0}


def test_production_takes_no_sample(scratch: Scratch, tmp_path: Path) -> None:
    told = json.loads(scratch.connection.read_text())
    told["environment"] = "production"
    production = tmp_path / "jeex_idea.json"
    production.write_text(json.dumps(told))
    with pytest.raises(UsageError, match="production"):
        sample.load(production)


def test_keys_of_the_sample_are_of_version_7() -> None:
    keys = [row["id"] for rows in sample.rows().values() for row in rows]
    assert {key.version for key in keys} == {7}
    assert len(set(keys)) == len(keys)
