"""Backups: streamed, young, verified, restored, closed to others, and as they were made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from pgstead.errors import SteadError
from pgstead.model.address import Capability
from pgstead.model.backup import BackupPlan, BaseBackup, Ending, Run, State, Task
from pgstead.ports import BackupPorts
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.witness import Witness

BACKUP = Capability.BACKUP
_NEEDS = ("backup",)
_STREAMED = 10.0  # seconds within which a commit has to have left the server
_PGP = (0x84, 0x85, 0xC1)  # how a message to a public key begins (RFC 9580, 4.2 and 5.1)
_WHOLE = 2 * 2**30  # bytes of a base backup up to which all of it is read
_HOUR = 3600.0


def _plan(w: Witness) -> BackupPlan:
    assert w.design.backup is not None
    return w.design.backup


def _ports(w: Witness) -> BackupPorts:
    found = w.access.ports.backup
    if found is None:
        raise CannotTryError("what makes the backups is not at hand here")
    return found


def _backups(w: Witness) -> Answer[tuple[BaseBackup, ...]]:
    """Return the base backups that are done, oldest first."""

    def listed() -> Answer[tuple[BaseBackup, ...]]:
        with timed() as watch:
            try:
                found = _ports(w).engine.backups()
            except SteadError as error:
                raise CannotTryError(f"the backups cannot be listed: {error.message}") from error
        done = tuple(b for b in found if b.state is State.DONE)
        names = ", ".join(b.name for b in done) or "none"
        return answer(f"barman list-backups {_plan(w).repository}", names, done, watch)

    return w.once("backups", listed)


def _runs(w: Witness, task: Task) -> Answer[tuple[Run, ...]]:
    with timed() as watch:
        try:
            found = _ports(w).catalog.runs(task)
        except SteadError as error:
            raise CannotTryError(f"the catalog cannot be read: {error.message}") from error
    done = [run for run in found if run.ending is Ending.DONE]
    text = f"{len(done)} of {len(found)} succeeded"
    if done and done[0].ended is not None:
        text += f", the last one ended {done[0].ended:%F %T} UTC"
    return answer(f"the catalog: runs of {task}", text, found, watch)


@promise(
    "BAK-001",
    "what is committed has left the server within seconds",
    requirement="BAK-1",
    capability=BACKUP,
    needs=_NEEDS,
)
def commits_leave_the_server(w: Witness) -> Iterator[Finding]:
    with w.backstage(write=True) as session:
        told = session.ask("SELECT pg_logical_emit_message(true, 'pgstead', 'probe')::text")
    lsn = told.value[0][0]
    slot = _plan(w).slot
    statement = (
        "SELECT r.write_lsn::text FROM pg_catalog.pg_stat_replication AS r"
        " JOIN pg_catalog.pg_replication_slots AS s ON s.active_pid = r.pid"
        " WHERE s.slot_name = %s AND r.write_lsn >= %s::pg_lsn"
    )
    found = w.wait_until(lambda: w.look(statement, [slot, lsn]).value, _STREAMED)
    told = w.look(
        "SELECT active, wal_status, restart_lsn::text FROM pg_catalog.pg_replication_slots"
        " WHERE slot_name = %s",
        [slot],
    )
    yield told.shows(
        holds=bool(found),
        expected=f"{lsn} received by whoever uses the slot {slot} within {_STREAMED:.0f} s",
        hint="`pgstead logs wal-receiver`; `pgstead up` starts it",
    )


@promise(
    "BAK-002",
    "there is a base backup younger than the manifest's max_age",
    requirement="BAK-1 MIG-6",
    capability=BACKUP,
    needs=_NEEDS,
)
def a_backup_is_young(w: Witness) -> Iterator[Finding]:
    told, limit = _backups(w), timedelta(seconds=_plan(w).max_age)
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
)
def the_newest_is_verified(w: Witness) -> Iterator[Finding]:
    newest = _newest(w)
    told = _runs(w, Task.VERIFY)
    good = any(r.backup == newest.name and r.ending is Ending.DONE for r in told.value)
    yield told.shows(
        holds=good,
        expected=f"a verification of {newest.name} that succeeded",
        hint=f"`pgstead backup verify {newest.name}`",
    )


def _newest(w: Witness) -> BaseBackup:
    found = _backups(w)
    if not found.value:
        raise CannotTryError("there is no base backup yet", evidence=found.evidence)
    return found.value[-1]


@promise(
    "BAK-004",
    "a drill has restored a backup lately, and what it restored was right",
    requirement="BAK-2 BAK-3",
    capability=BACKUP,
    needs=_NEEDS,
)
def a_drill_has_passed(w: Witness) -> Iterator[Finding]:
    told, limit = _runs(w, Task.DRILL), timedelta(seconds=_plan(w).drill_age)
    if not told.value:
        yield told.unproven("no drill was done yet: `pgstead drill` does one")
        return
    good = [r.ended for r in told.value if r.ending is Ending.DONE and r.ended is not None]
    last = told.value[0]
    yield told.shows(
        holds=bool(good)
        and datetime.now(UTC) - max(good) < limit
        and last.ending is not Ending.FAILED,
        expected=f"a drill that passed within {limit}, and none that failed since",
        hint="`pgstead drill` does one, and says what is wrong",
        said=f"{told.text}; the last one: {last.ending} {last.error}".strip(),
    )


@promise(
    "BAK-005",
    "what lies in the repository is encrypted, base backups and WAL",
    requirement="BAK-4 ENC-3",
    capability=BACKUP,
    needs=_NEEDS,
)
def the_repository_is_encrypted(w: Witness) -> Iterator[Finding]:
    plan = _plan(w)
    if not plan.encrypted:
        raise CannotTryError("a waiver lets these backups be plain", could_try=False)
    with timed() as watch:
        files = [*_data_files(plan), *_segments(plan)]
        plain = [str(path) for path in files if not _is_sealed(path)]
    text = f"{len(files)} files, {len(plain)} of them plain"
    told = answer(
        f"the first bytes of every file in {plan.base} and {plan.wals}", text, plain, watch
    )
    yield told.shows(
        holds=bool(files) and not plain,
        expected="messages to a public key alone",
        hint="remove what is plain, or find out who put it there",
        said=f"{text}: {', '.join(plain[:3])}" if plain else text,
    )


def _data_files(plan: BackupPlan) -> list[Path]:
    """Return the files of base backups; the manifest names files and sums, and no row."""
    found = Path(plan.base).glob("*/data/*")
    return sorted(path for path in found if path.is_file() and path.name != "backup_manifest")


def _segments(plan: BackupPlan) -> list[Path]:
    """Return the segments of WAL that are kept; history files say no more than numbers."""
    found = Path(plan.wals).glob("*/*")
    return sorted(path for path in found if path.is_file() and len(path.name) == 24)


def _is_sealed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1)[:1] in {bytes([b]) for b in _PGP}
    except OSError:
        return False


@promise(
    "BAK-006",
    "nobody but who makes the backups may look into the repository",
    requirement="BAK-4",
    capability=BACKUP,
    needs=_NEEDS,
)
def the_repository_is_closed(w: Witness) -> Iterator[Finding]:
    plan = _plan(w)
    places = [Path(plan.repository), Path(plan.key), Path(plan.streaming), Path(plan.base)]
    with timed() as watch:
        modes = {str(p): p.stat().st_mode & 0o777 for p in places if p.exists()}
    open_ones = [f"{place} {mode:04o}" for place, mode in modes.items() if mode & 0o077]
    told = answer(f"stat of {plan.repository} and what is in it", "", open_ones, watch)
    yield told.shows(
        holds=bool(modes) and not open_ones,
        expected="mode 0700",
        hint="`chmod 0700`, and find out who was there",
        said=", ".join(open_ones) or f"{len(modes)} directories, all of mode 0700",
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
        [_plan(w).slot],
    )
    yield slots.shows(
        holds=[row[1] for row in slots.value] in (["reserved"], ["extended"]),
        expected="the slot is there, and has lost no WAL",
        hint="`pgstead up` makes it anew; make a base backup then",
    )


@promise(
    "BAK-008",
    "no segment of WAL is missing from the oldest base backup to the newest segment",
    requirement="BAK-1 BAK-3",
    capability=BACKUP,
    needs=_NEEDS,
)
def no_wal_is_missing(w: Witness) -> Iterator[Finding]:
    plan, backups = _plan(w), _backups(w).value
    if not backups:
        raise CannotTryError("there is no base backup yet")
    with timed() as watch:
        arrived = [p.name for p in Path(plan.streaming).glob("*")]
        names = {path.name for path in _segments(plan)} | {n[:24] for n in arrived}
        per_log = 2**32 // (16 * 2**20)
        numbers = sorted({_number(n, per_log) for n in names if len(n) == 24})
        first = _number(backups[0].begin_wal, per_log)
        there = set(numbers)
        last = max(numbers, default=first - 1)
        missing = [n for n in range(first, last + 1) if n not in there]
    text = f"{len(numbers)} segments from {backups[0].begin_wal} on, {len(missing)} missing"
    told = answer(f"the names in {plan.wals} and {plan.streaming}", text, missing, watch)
    yield told.shows(
        holds=last >= first and not missing,
        expected="every number once",
        hint="moments behind the gap can't be recovered from older backups: `pgstead backup now`",
    )


def _number(segment: str, per_log: int) -> int:
    return int(segment[8:16], 16) * per_log + int(segment[16:24], 16)


@promise(
    "BAK-009",
    "base backups are, byte for byte, what was made",
    requirement="BAK-2 REL-4",
    capability=BACKUP,
    needs=_NEEDS,
    limit=120.0,
)
def backups_are_as_made(w: Witness) -> Iterator[Finding]:
    plan, newest = _plan(w), _newest(w)
    made = next((r for r in _runs(w, Task.BACKUP).value if r.backup == newest.name), None)
    sums = _sums(made.detail.get("sums")) if made is not None else {}
    if not sums:
        raise CannotTryError(f"the catalog has no sums of {newest.name}")
    folder = Path(plan.base, newest.name, "data")
    with timed() as watch:
        size = sum(p.stat().st_size for p in folder.glob("*") if p.is_file())
        if size > _WHOLE:
            raise CannotTryError(f"{size} bytes are too many to read for a proof; verify does")
        odd = [name for name, wanted in sums.items() if sum_of(folder / name) != wanted]
    told = answer(f"sha256sum of {folder}/*", f"{len(sums)} files, {size} bytes", odd, watch)
    yield told.shows(
        holds=not odd,
        expected="the sums that the catalog has",
        hint="it cannot be trusted: `pgstead backup now` makes another",
        said=f"altered or gone: {', '.join(odd)}" if odd else "",
    )


def _sums(told: object) -> dict[str, str]:
    return cast("dict[str, str]", told) if isinstance(told, dict) else {}


def sum_of(path: Path) -> str:
    """Return the SHA-256 of a file, empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


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
    plan, told = _plan(w), _backups(w)
    edge = datetime.now(UTC) - timedelta(days=plan.retention)
    # two days for the run that lets go; the newest `minimum`, the one before the edge, and the
    # last proven one stay
    late = edge - timedelta(days=2)
    proven = {r.backup for r in _runs(w, Task.DRILL).value if r.ending is Ending.DONE}
    full = [b for b in told.value if b.kind == "full"]
    old = [b for b in full[: -plan.minimum] if b.ended is not None and b.ended < late]
    spare = [b.name for b in old[:-1] if b.name not in proven]
    removed = {n for r in _runs(w, Task.EXPIRE).value for n in _names(r.detail.get("removed"))}
    there = {b.name for b in told.value}
    runs = _runs(w, Task.BACKUP).value
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
    told = _runs(w, Task.BACKUP)
    # a failure that the retry mended is none: by the day, as the schedule has it
    days: dict[object, bool] = {}
    for run in told.value:
        if run.begun > edge and run.ending is not Ending.RUNNING:
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
    the_repository_is_encrypted,
    the_repository_is_closed,
    the_slot_is_bounded,
    no_wal_is_missing,
    backups_are_as_made,
    the_ledger_is_whole,
    the_retention_is_kept,
    backups_succeed,
)
