"""How the driver is set up, by what was found."""

from __future__ import annotations

import pytest

from pgstead.app.connection import Pooler
from pgstead.app.profile import UNKNOWN, PoolerTooOldError, Way, choose
from pgstead.app.target import Driver

OLD = Pooler("1.18.0", prepared_statements=False)
NEW = Pooler("1.24.1", prepared_statements=True)


@pytest.mark.parametrize(
    ("way", "pooler", "fast", "prepares", "word"),
    [
        (Way.DIRECT, None, False, True, "no pooler"),
        (Way.DIRECT, None, True, True, "no pooler"),
        (Way.UNTRACKED, OLD, False, False, "PgBouncer 1.18.0 does not track"),
        (Way.UNTRACKED, None, False, False, "the pooler does not track"),
        (Way.TRACKED, NEW, False, False, "PgBouncer 1.24.1 tracks"),
        (Way.TRACKED, NEW, True, True, "PgBouncer 1.24.1 tracks"),
    ],
)
def test_the_choice_follows_what_was_found_and_says_why(
    way: Way, pooler: Pooler | None, fast: bool, prepares: bool, word: str
) -> None:
    chosen = choose(way, pooler, fast=fast)
    assert chosen.prepares is prepares
    assert word in chosen.reason


def test_prepared_statements_that_a_pooler_would_mix_up_are_refused() -> None:
    with pytest.raises(PoolerTooOldError, match=r"1\.18\.0") as caught:
        choose(Way.UNTRACKED, OLD, fast=True)
    assert "1.21" in caught.value.hint


def test_before_anything_is_known_it_is_set_up_for_the_worst() -> None:
    assert UNKNOWN.arguments(Driver.PSYCOPG) == {"prepare_threshold": None}
    assert UNKNOWN.arguments(Driver.ASYNCPG) == {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
    }
