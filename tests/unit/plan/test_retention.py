"""Which base backups are let go of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgstead.model.backup import State, StoredBackup
from pgstead.plan.retention import chain, expiry, needed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def backup(days: float, *, parent: str = "") -> StoredBackup:
    """Return one that ended so many days ago."""
    ended = NOW - timedelta(days=days)
    return StoredBackup(
        name=f"{ended:%Y%m%dT%H%M%S}",
        state=State.DONE,
        kind="incremental" if parent else "full",
        parent=parent,
        begun=ended - timedelta(minutes=1),
        ended=ended,
        size=1,
        wal_size=1,
        cluster_size=1,
        begin_lsn="0/2000028",
        end_lsn="0/2000100",
        begin_wal="000000010000000000000002",
        end_wal="000000010000000000000002",
        timeline=1,
        system_id="1",
        major=18,
        segment=16 * 2**20,
        encrypted=True,
    )


def daily(count: int) -> list[StoredBackup]:
    return [backup(days + 0.5) for days in reversed(range(count))]


def test_what_lies_before_the_window_goes_but_for_one_to_begin_with() -> None:
    done = daily(10)
    assert expiry(done, NOW, days=7, minimum=2).gone == (done[0].name, done[1].name)


def test_the_newest_ones_stay_whatever_their_age() -> None:
    done = [backup(days) for days in (40, 39, 38, 37)]
    assert needed(done, NOW, days=7, minimum=3) == {b.name for b in done[1:]}


def test_the_last_proven_one_is_never_let_go_of() -> None:
    done = daily(12)
    decided = expiry(done, NOW, days=7, minimum=2, proven=done[1].name)
    assert done[1].name not in decided.gone
    assert done[0].name in decided.gone


def test_a_proven_one_that_is_gone_keeps_nothing() -> None:
    done = daily(10)
    assert expiry(done, NOW, days=7, minimum=2, proven="19990101T000000").gone


def test_an_incremental_backup_keeps_all_that_it_stands_on() -> None:
    full = backup(20)
    first = backup(19, parent=full.name)
    second = backup(1, parent=first.name)
    done = [full, first, second, backup(0.5)]
    assert chain(done, second.name) == {full.name, first.name, second.name}
    assert expiry(done, NOW, days=7, minimum=1).gone == ()


def test_a_parent_that_names_itself_ends() -> None:
    odd = backup(1, parent=backup(1).name)
    assert chain([odd], odd.name) == {odd.name}


def test_a_clock_that_ran_ahead_removes_nothing() -> None:
    decided = expiry(daily(8), NOW + timedelta(days=365), days=7, minimum=1)
    assert decided.gone == ()
    assert "6 of 8 would go at once" in decided.refused or "7 of 8" in decided.refused


def test_a_clock_that_was_set_back_removes_nothing() -> None:
    done = [backup(days) for days in (100, 99, 98, 1, 0.5)]
    decided = expiry(done, NOW - timedelta(days=80), days=7, minimum=1)
    assert decided.gone == ()
    assert decided.refused == "" or "to come" in decided.refused


def test_one_from_the_future_stops_everything() -> None:
    done = [*daily(10), backup(-1)]
    decided = expiry(done, NOW, days=7, minimum=1)
    assert decided.gone == ()
    assert "which is to come" in decided.refused


def test_whoever_trusts_the_clock_may_say_so() -> None:
    done = daily(8)
    later = NOW + timedelta(days=365)
    gone = expiry(done, later, days=7, minimum=2, trusting=True).gone
    assert gone == tuple(b.name for b in done[:6])


def test_days_that_are_refused_end_with_new_backups() -> None:
    old = [backup(days) for days in range(60, 50, -1)]
    refused = [expiry([*old, *daily(n)], NOW, days=7, minimum=1).refused for n in (1, 3, 5)]
    assert refused[0]
    assert not refused[2]


def test_without_backups_nothing_goes() -> None:
    assert expiry([], NOW, days=7, minimum=2).gone == ()
