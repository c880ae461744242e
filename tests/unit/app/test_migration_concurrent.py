"""Statements with CONCURRENTLY, as revisions write them."""

from __future__ import annotations

import pytest

from pgstead.app.migration_concurrent import Concurrent
from pgstead.app.migration_runner import Patience
from pgstead.app.migration_watch import shown


@pytest.mark.parametrize(
    ("statement", "meant"),
    [
        ("CREATE INDEX CONCURRENTLY ix ON item (name)", Concurrent("create", "ix", "item")),
        (
            'create unique index concurrently if not exists "a ""b" on only "S"."T" (x)',
            Concurrent("create", '"a ""b"', '"S"."T"'),
        ),
        ("-- why\n/* and */ DROP INDEX CONCURRENTLY IF EXISTS s.ix", Concurrent("drop", "s.ix")),
        ("REINDEX INDEX CONCURRENTLY ix", Concurrent("reindex", "ix")),
        ("REINDEX (VERBOSE, CONCURRENTLY) TABLE item;", Concurrent("reindex", "item")),
        ("ALTER TABLE a DETACH PARTITION b CONCURRENTLY", Concurrent("other")),
        ("CREATE INDEX ix ON item (name)", None),
    ],
)
def test_what_a_statement_builds_is_read_from_it(statement: str, meant: Concurrent | None) -> None:
    assert Concurrent.of(statement) == meant


def test_locks_are_waited_for_ever_longer_and_never_long() -> None:
    patience = Patience()
    waits = [patience.lock_timeout(attempt) for attempt in range(1, patience.tries + 1)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.1, 5.0)
    # with as much time again to stay away in between, all tries together fit into MIG-9
    assert 2 * sum(waits) < patience.budget


def test_a_statement_is_shown_without_its_values() -> None:
    assert shown("SELECT  1\n WHERE name = 'it''s Ann'") == "SELECT 1 WHERE name = '...'"
    assert len(shown("SELECT " + "x" * 1000)) < 110
