"""A stead that is kept up by tests, and a table that needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_stead import LiveStead, stead_in
from tests.live.upkeep.keeping import GENTLE, does


@pytest.fixture(scope="package")
def kept() -> Iterator[LiveStead]:
    """Give a stead that nobody keeps up but the test."""
    with stead_in(upkeep=GENTLE) as made:
        made.run("up")
        yield made


@pytest.fixture
def churned(kept: LiveStead) -> Iterator[str]:
    """Give a table of which most was deleted; autovacuum leaves it alone."""
    does(
        kept,
        "CREATE TABLE churned (id bigint, body text) WITH (autovacuum_enabled = false)",
        "INSERT INTO churned SELECT g, md5(g::text) FROM generate_series(1, 20000) AS g",
        "CREATE INDEX churned_body ON churned (body)",
        "DELETE FROM churned WHERE id % 5 <> 0",
        "SELECT pg_stat_force_next_flush()",
    )
    yield "churned"
    does(kept, "DROP TABLE IF EXISTS churned")
