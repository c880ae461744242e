"""A REINDEX that cannot be done or is cut short: told, left without a trace, and done next time."""

from __future__ import annotations

import time

import pytest

from pgstead.apply.upkeep import PutOffError, Window
from pgstead.model.upkeep import Chore, Outcome, Work
from pgstead.workflows import upkeep
from tests.fix_stead import LiveStead
from tests.live.upkeep.keeping import (
    DATABASE,
    does,
    having,
    is_told_as_killed,
    killed_when,
    of,
    there,
    unmade,
    without_rights,
)
from tests.waiting import until


def test_a_reindex_whose_lock_is_not_to_be_had_leaves_nothing_and_is_done_next_time(
    kept: LiveStead, churned: str
) -> None:
    does(kept, "VACUUM ANALYZE churned")
    with kept.superuser(DATABASE) as other:
        other.execute("SET application_name = 'a long transaction'")
        other.execute("BEGIN")
        other.execute("UPDATE churned SET body = body WHERE id = 5")
        (put_off, *_) = of(kept, churned)
        other.execute("ROLLBACK")
    assert (put_off.work, put_off.outcome) == (Work.REINDEX, Outcome.DEFERRED)
    assert "lock was not to be had" in put_off.error
    assert (Work.REINDEX, Outcome.DONE) in {(c.work, c.outcome) for c in of(kept, churned)}
    assert unmade(kept) == []


def test_a_reindex_without_rights_fails_and_is_done_when_they_are_there_again(
    kept: LiveStead, churned: str
) -> None:
    does(kept, "VACUUM ANALYZE churned")
    with without_rights(kept):
        (failed, *_) = of(kept, churned)
    assert (failed.work, failed.outcome) == (Work.REINDEX, Outcome.FAILED)
    assert "may not: " in failed.error
    design, ports = kept.wired.design, kept.wired.ports
    assert churned in {c.table for c in upkeep.status(design, ports).failing}
    assert [c.outcome for c in of(kept, churned)] == [Outcome.DONE]
    assert unmade(kept) == []


def test_a_reindex_for_which_the_window_is_too_short_is_put_off_and_said_so(
    kept: LiveStead, churned: str
) -> None:
    does(kept, "VACUUM ANALYZE churned")
    (none,) = of(kept, churned, seconds=0.001)
    assert (none.work, none.outcome) == (Work.REINDEX, Outcome.DEFERRED)
    assert "window" in none.error
    assert [c.outcome for c in of(kept, churned)] == [Outcome.DONE]


def test_what_is_longer_than_any_window_is_put_off_and_says_what_to_do(kept: LiveStead) -> None:
    long = Chore(Work.REINDEX, DATABASE, "public", "large", "table", "o", "why", seconds=7200.0)
    design = having(kept, window=3600.0)
    history = upkeep.history_of(kept.wired.ports)
    window = Window(time.monotonic() + 3600)
    running = upkeep._Running(design, kept.wired.ports, upkeep.plan_of(design), history, window)
    with pytest.raises(PutOffError, match=r"takes about 7200 s.*set upkeep\.window"):
        upkeep._may_begin(running, long)


def test_a_killed_reindex_leaves_no_index_behind_after_the_next_run(
    kept: LiveStead, churned: str
) -> None:
    does(kept, "VACUUM ANALYZE churned")
    with kept.superuser(DATABASE) as other:
        other.execute("BEGIN")
        other.execute("UPDATE churned SET body = body WHERE id = 5")  # it waits for that
        killed_when(kept, lambda: "churned_body_ccnew" in unmade(kept))
        until(lambda: not there(kept))  # the server has noticed that nobody listens
        other.execute("ROLLBACK")
    done = of(kept, churned)
    assert is_told_as_killed(kept, churned)
    assert {c.outcome for c in done} == {Outcome.DONE}
    assert {Work.DROP, Work.REINDEX} >= {c.work for c in done} >= {Work.DROP}
    assert unmade(kept) == []
