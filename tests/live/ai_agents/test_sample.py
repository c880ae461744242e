"""Sample data (DEP-10)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from psycopg import sql

from pgstead.errors import UsageError
from systems.ai_agents import sample
from systems.ai_agents.models import Base
from tests.live.scratch import Scratch


def counted(scratch: Scratch) -> dict[str, int]:
    """Count all rows, as the superuser."""
    found: dict[str, int] = {}
    with scratch.admin("ai_agents") as admin:
        for table in Base.metadata.tables:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            ((found[table],),) = admin.execute(query).fetchall()
    return found


def test_loading_twice_is_loading_once_and_removing_takes_exactly_it_away(
    scratch: Scratch,
) -> None:
    before = counted(scratch)
    added = sample.load(scratch.connection)
    assert added
    assert all(added.values())
    assert counted(scratch) == {table: before[table] + added.get(table, 0) for table in before}
    assert set(sample.load(scratch.connection).values()) == {0}
    assert sample.remove(scratch.connection) == added
    assert counted(scratch) == before
    assert set(sample.remove(scratch.connection).values()) == {0}


def test_production_takes_no_sample(scratch: Scratch, tmp_path: Path) -> None:
    told = json.loads(scratch.connection.read_text())
    told["environment"] = "production"
    production = tmp_path / "ai_agents.json"
    production.write_text(json.dumps(told))
    with pytest.raises(UsageError, match="production"):
        sample.load(production)
