"""Sample data (DEP-10)."""

from __future__ import annotations

from pathlib import Path

from systems.specgen import sample
from systems.specgen.models import Base
from tests.live.samples import load_twice_and_remove, refused_in_production, rows_of
from tests.live.scratch import Scratch


def counted(scratch: Scratch) -> dict[str, int]:
    """Count all rows, as the superuser."""
    with scratch.admin("specgen") as admin:
        return rows_of(admin, *Base.metadata.tables)


def test_loading_twice_is_loading_once_and_removing_takes_exactly_it_away(
    scratch: Scratch,
) -> None:
    load_twice_and_remove(sample, scratch.connection, lambda: counted(scratch))


def test_production_takes_no_sample(scratch: Scratch, tmp_path: Path) -> None:
    refused_in_production(sample, scratch.connection, tmp_path)
