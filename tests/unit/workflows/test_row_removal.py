"""How large the next batch of retention is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from psycopg.errors import QueryCanceled

from pgstead.model.retention import Removed, Rule
from pgstead.workflows.row_removal import Key, Removal, Table


class Open:
    """A connection that is there, and that nobody asks."""

    closed = False


def removal() -> Removal:
    table = Table(Rule("public.t", "at", 0.0), (Key("id", "bigint"),), by_age=False)
    return Removal(cast("Any", Open()), table, datetime.now(UTC), Removed("d", "public.t"))


def sizes(tried: Removal, took: float, times: int) -> list[int]:
    found: list[int] = []
    for _ in range(times):
        tried._size = tried._next(took)
        found.append(tried._size)
    return found


def test_batches_grow_while_they_are_fast() -> None:
    assert sizes(removal(), 0.01, 20)[-1] == 20_000


def test_batches_do_not_become_ever_smaller_where_finding_rows_takes_most_of_the_time() -> None:
    assert min(sizes(removal(), 0.45, 50)[5:]) >= 2000


def test_a_batch_that_took_too_long_is_not_tried_again_at_once() -> None:
    tried = removal()
    tried._size = 800
    tried._failed(QueryCanceled())
    assert tried._size == 100
    assert max(sizes(tried, 0.01, 3)) <= 540
