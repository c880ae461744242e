"""Sample data (DEP-10)."""

from __future__ import annotations

from pathlib import Path

from systems.jeex_idea import sample
from systems.jeex_idea.models import Base
from tests.live.samples import load_twice_and_remove, refused_in_production, rows_of
from tests.live.scratch import Scratch


def counted(scratch: Scratch) -> dict[str, int]:
    """Count what the administrator sees; the application sees one person's rows at a time."""
    with scratch.connect("admin") as admin:
        return rows_of(admin, *Base.metadata.tables)


def test_loading_twice_is_loading_once_and_removing_takes_exactly_it_away(
    scratch: Scratch,
) -> None:
    added = load_twice_and_remove(sample, scratch.connection, lambda: counted(scratch))
    assert added.keys() == Base.metadata.tables.keys()  # each has rows


def test_production_takes_no_sample(scratch: Scratch, tmp_path: Path) -> None:
    refused_in_production(sample, scratch.connection, tmp_path)


def test_keys_of_the_sample_are_of_version_7() -> None:
    keys = [row["id"] for rows in sample.rows().values() for row in rows]
    assert {key.version for key in keys} == {7}
    assert len(set(keys)) == len(keys)
