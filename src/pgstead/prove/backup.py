"""Backups: streamed, young, verified, restored, and kept as long as was asked."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from pgstead.model.address import Capability
from pgstead.model.backup import BackupPlan, Ending, StoredBackup, Task
from pgstead.prove.backup_facts import backups_of, newest_of, overdue, plan_of, ports_of, runs_of
from pgstead.prove.finding import Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

BACKUP = Capability.BACKUP
_NEEDS = ("backup",)
_VERIFIED = 60.0  # seconds that a verification under way is waited for
_BEGINS = timedelta(seconds=15)  # after which a verification that was meant to follow has begun
_STREAMED = 10.0  # seconds within which a commit has to have left the server


@promise(
    "BAK-001",
    "what is committed has left the server within seconds",
    requirement="BAK-1",
    capability=BACKUP,
    needs=_NEEDS,
)
def commits_leave_the_server(w: Witness) -> Iterator[Finding]:
    plan, mark = plan_of(w), secrets.token_hex(8)
    with w.backstage(write=True) as session:
        # twice: a page may end within one of them
        told = session.ask(
            "SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_logical_emit_message(true,"
            " 'pgstead', %s))",
            [f"{mark} {mark}"],
        )
    segment = told.value[0][0]
    with timed() as watch:
        found = w.wait_until(lambda: _received(plan, segment, mark.encode()), _STREAMED)
    place = f"{plan.streaming}/{segment}"
    told = answer(f"grep {mark} {place}*", f"found after {watch.seconds:.2f} s", found, watch)
    yield told.shows(
        holds=bool(found),
        expected=f"what was committed, received within {_STREAMED:.0f} s",
        hint="`pgstead logs wal-receiver`; `pgstead up` starts it",
        said="" if found else "it is not there",
    )
    used = w.look(
        "SELECT active, wal_status, restart_lsn::text FROM pg_catalog.pg_replication_slots"
        " WHERE slot_name = %s",
        [plan.slot],
    )
    yield used.shows(
        holds=[row[0] for row in used.value] == [True],
        expected=f"somebody uses the slot {plan.slot}",
        hint="`pgstead logs wal-receiver`; `pgstead up` starts it",
    )


def _received(plan: BackupPlan, segment: str, mark: bytes) -> bool:
    """Say whether a word is in a segment that is being received, or was just now.

    The server itself is told every 10 s only how far the receiver is (pg_receivewal
    --status-interval).
    """
    for name in (f"{segment}.partial", segment):
        try:
            if mark in Path(plan.streaming, name).read_bytes():
                return True
        except FileNotFoundError:
            continue
    return bool(list(Path(plan.wals).glob(f"*/{segment}")))


@promise(
    "BAK-002",
    "there is a base backup younger than the manifest's max_age",
    requirement="BAK-1 MIG-6",
    capability=BACKUP,
    needs=_NEEDS,
)
def a_backup_is_young(w: Witness) -> Iterator[Finding]:
    told, limit = backups_of(w), timedelta(seconds=plan_of(w).max_age)
    ended = [b.ended for b in told.value if b.ended is not None]
    yield told.shows(
        holds=bool(ended) and datetime.now(UTC) - max(ended) < limit,
        expected=f"one that ended within {limit}",
        hint="`pgstead backup now`; `pgstead logs agent` shows why the schedule did not",
    )


@promise(
    "BAK-003",
    "the newest base backup was verified, its WAL too",
    requirement="BAK-2",
    capability=BACKUP,
    needs=_NEEDS,
    limit=_VERIFIED + 30,
)
def the_newest_is_verified(w: Witness) -> Iterator[Finding]:
    newest = newest_of(w)
    ports_of(w).catalog.settle()  # a killed one is under way no more
    if _is_being_verified(w, newest):
        w.wait_until(lambda: not _is_being_verified(w, newest), _VERIFIED)
    told = runs_of(w, Task.VERIFY)
    good = any(r.backup == newest.name and r.ending is Ending.DONE for r in told.value)
    if not good and _is_being_verified(w, newest):
        yield told.unproven(f"{newest.name} is being verified now: try again when that has ended")
        return
    yield told.shows(
        holds=good,
        expected=f"a verification of {newest.name} that succeeded",
        hint=f"`pgstead backup verify {newest.name}`",
    )


def _is_being_verified(w: Witness, newest: StoredBackup) -> bool:
    """Say whether whoever makes backups is at it, or about to be: it takes a moment to begin."""
    runs = [run for run in runs_of(w, Task.VERIFY).value if run.backup == newest.name]
    if runs or newest.ended is None:
        return bool(runs) and runs[0].ending is Ending.RUNNING
    return datetime.now(UTC) - newest.ended < _BEGINS


@promise(
    "BAK-004",
    "a drill has restored a backup lately, and what it restored was right",
    requirement="BAK-2 BAK-3",
    capability=BACKUP,
    needs=_NEEDS,
)
def a_drill_has_passed(w: Witness) -> Iterator[Finding]:
    told, limit = runs_of(w, Task.DRILL), timedelta(seconds=plan_of(w).drill_age)
    if not told.value and not overdue(w, limit):
        # its schedule does, and once it is overdue this is broken
        yield told.unproven("no drill was due yet: `pgstead drill` does one", could_try=False)
        return
    good = [r.ended for r in told.value if r.ending is Ending.DONE and r.ended is not None]
    counted = (run for run in told.value if run.counts)
    last = next(counted, told.value[0] if told.value else None)
    yield told.shows(
        holds=bool(good)
        and datetime.now(UTC) - max(good) < limit
        and last is not None
        and last.ending is not Ending.FAILED,
        expected=f"a drill that passed within {limit}, and none that failed since",
        hint="`pgstead drill` does one, and says what is wrong",
        said=f"{told.text}; the last one: "
        + ("there is none" if last is None else f"{last.ending} {last.error}".strip()),
    )


@promise(
    "BAK-007",
    "a receiver that is gone cannot fill the server's disk",
    requirement="BAK-1 TEL-7",
    capability=BACKUP,
    needs=_NEEDS,
)
def the_slot_is_bounded(w: Witness) -> Iterator[Finding]:
    told = w.setting("max_slot_wal_keep_size")
    yield told.shows(
        holds=told.value.lstrip("-").isdigit() and int(told.value) > 0,
        expected="max_slot_wal_keep_size above 0: -1 keeps WAL without end",
        hint="`pgstead up` puts the design's value back",
    )
    slots = w.look(
        "SELECT slot_name::text, coalesce(wal_status, '') FROM pg_catalog.pg_replication_slots"
        " WHERE slot_name = %s",
        [plan_of(w).slot],
    )
    yield slots.shows(
        holds=[row[1] for row in slots.value] in (["reserved"], ["extended"]),
        expected="the slot is there, and has lost no WAL",
        hint="`pgstead up` makes it anew; make a base backup then",
    )


@promise(
    "BAK-010",
    "the ledger is written to the running system, and none of its rows is missing or altered",
    requirement="BAK-2",
    capability=BACKUP,
    needs=_NEEDS,
)
def the_ledger_is_whole(w: Witness) -> Iterator[Finding]:
    told = w.look(
        "SELECT count(*), coalesce(bool_or(number <> before + 1), false),"
        " coalesce(bool_or(hash <> sha256(hash_before"
        " || convert_to(number || ' ' || (at AT TIME ZONE 'UTC')::text || '+00', 'UTF8'))), false),"
        " extract(epoch FROM clock_timestamp() - max(at))::float8"
        " FROM (SELECT number, at, hash, lag(number) OVER w AS before,"
        " lag(hash) OVER w AS hash_before"
        " FROM pgstead_heartbeat.ledger WINDOW w AS (ORDER BY number)) AS l"
    )
    count, gaps, altered, age = told.value[0]
    yield told.shows(
        holds=count > 0 and not gaps and not altered and age < 60,
        expected="numbered rows, each hash following from the one before, the last a minute old"
        " at most",
        hint="`pgstead logs agent`: it writes a row every 10 s; an altered one was not its doing",
    )


@promise(
    "BAK-011",
    "no base backup is kept longer than the retention asks for, and none that it needs is gone",
    requirement="BAK-1",
    capability=BACKUP,
    needs=_NEEDS,
)
def the_retention_is_kept(w: Witness) -> Iterator[Finding]:
    plan, told = plan_of(w), backups_of(w)
    edge = datetime.now(UTC) - timedelta(days=plan.retention)
    # two days for the run that lets go; the newest `minimum`, the one before the edge, and the
    # last proven one stay
    late = edge - timedelta(days=2)
    proven = {r.backup for r in runs_of(w, Task.DRILL).value if r.ending is Ending.DONE}
    full = [b for b in told.value if b.kind == "full"]
    old = [b for b in full[: -plan.minimum] if b.ended is not None and b.ended < late]
    spare = [b.name for b in old[:-1] if b.name not in proven]
    # an upgrade sets aside what was backed up of the version before
    left = [run.detail for run in runs_of(w, Task.EXPIRE).value]
    removed = {n for told in left for how in ("removed", "aside") for n in _names(told.get(how))}
    there = {b.name for b in told.value}
    runs = runs_of(w, Task.BACKUP).value
    made = [r for r in runs if r.ending is Ending.DONE and r.ended is not None and r.ended > edge]
    gone = sorted({r.backup for r in made} - there - removed)
    yield told.shows(
        holds=not spare and not gone,
        expected=f"what {plan.retention} days need, and no more",
        hint="`pgstead backup expire`; what is gone was removed by somebody else",
        said=f"too old: {', '.join(spare) or 'none'}; gone: {', '.join(gone) or 'none'}",
    )


def _names(told: object) -> list[str]:
    return cast("list[str]", told) if isinstance(told, list) else []


@promise(
    "BAK-012",
    "of the last thirty days' backups 99.9 % succeeded",
    requirement="BAK-2",
    capability=BACKUP,
    needs=_NEEDS,
)
def backups_succeed(w: Witness) -> Iterator[Finding]:
    edge = datetime.now(UTC) - timedelta(days=30)
    told = runs_of(w, Task.BACKUP)
    # a failure that the retry mended is none: by the day, as the schedule has it
    days: dict[object, bool] = {}
    for run in told.value:
        if run.begun > edge and run.counts:
            day = run.begun.date()
            days[day] = days.get(day, False) or run.ending is Ending.DONE
    good = sum(days.values())
    text = f"{good} of {len(days)} days"
    if not days:
        yield told.unproven("no backup was made yet")
        return
    yield told.shows(
        holds=good >= 0.999 * len(days),
        expected="a backup that succeeded on every day that one was tried",
        hint="`pgstead backup list --json` has the errors",
        said=text,
    )


PROMISES = (
    commits_leave_the_server,
    a_backup_is_young,
    the_newest_is_verified,
    a_drill_has_passed,
    the_slot_is_bounded,
    the_ledger_is_whole,
    the_retention_is_kept,
    backups_succeed,
)
