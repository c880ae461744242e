"""Which conditions for production are not met, and the words for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pgstead.manifest.quantities import written_duration
from pgstead.model.gate import Ages, Condition, Looked, Unmet, Unproven, VerifiedBackup
from pgstead.model.rehearsal import Rehearsed

MARK = "gate:"  # how the gate's words begin in the ledger; `prove` looks for it
_SHOWN = 3  # lines of a lint, problems of a rehearsal
_LONGEST_NAME = 63  # bytes of a restore point's name (MAXFNAMELEN, xlog_internal.h)
_LONGEST_REVISION = 20


def unmet(looked: Looked, allowed: Ages, now: datetime) -> tuple[Unmet, ...]:
    """Return the conditions that are not met, all of them, in a fixed order."""
    found = (
        _lint(looked),
        _rehearsal(looked, allowed.rehearsal, now),
        _backup(looked, allowed.backup, now),
        _restore_point(looked),
    )
    return tuple(condition for condition in found if condition is not None)


def lines(database: str, conditions: Sequence[Unmet]) -> Iterator[str]:
    """Yield what people read of conditions that are not met, each with the way out."""
    for condition in conditions:
        word = "unproven: " if condition.unproven else ""
        yield f"{database}: {condition.condition}: {word}{condition.says}"
        yield f"  way out: {condition.way_out}"


def restore_point(database: str, revision: str, now: datetime) -> str:
    """Return the name of the restore point that is set before a revision."""
    moment = now.astimezone(UTC)
    stamp = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03}Z"
    tail = f"-{revision[:_LONGEST_REVISION]}-{stamp}"
    room = _LONGEST_NAME - len("pgstead-") - len(tail.encode())
    return f"pgstead-{database.encode()[:room].decode(errors='ignore')}{tail}"


def remark(override: str, skipped: Sequence[Unmet], point: str) -> str:
    """Return what the ledger keeps of a passage."""
    told = f"override {override!r}, skipped {_listed(skipped)}" if skipped else "all met"
    return f"[{MARK} {told}{f'; restore point {point}' if point else ''}]"


def _listed(skipped: Sequence[Unmet]) -> str:
    names = [f"{c.condition}{' (unproven)' if c.unproven else ''}" for c in skipped]
    return ", ".join(names)


def _lint(looked: Looked) -> Unmet | None:
    way = f"`pgstead migrate lint {looked.database} --against-live` shows the safe way of each"
    match looked.refused:
        case Unproven(reason):
            return Unmet(Condition.LINT, reason, way, unproven=True)
        case ():
            return None
        case errors:
            return Unmet(Condition.LINT, _first(errors, "; "), way)


def _rehearsal(looked: Looked, age: float, now: datetime) -> Unmet | None:
    way = f"`pgstead migrate rehearse {looked.database}`"
    match looked.rehearsed:
        case Unproven(reason):
            return Unmet(Condition.REHEARSAL, reason, way, unproven=True)
        case None:
            return Unmet(Condition.REHEARSAL, "there was none", way)
        case rehearsed:
            return _judged(looked, rehearsed, age, now, way)


def _judged(
    looked: Looked, rehearsed: Rehearsed, age: float, now: datetime, way: str
) -> Unmet | None:
    if rehearsed.problems:
        told = f"the last one did not go well: {_first(rehearsed.problems, '; ')}"
        return Unmet(Condition.REHEARSAL, told, f"look at {rehearsed.report}, then {way}")
    if not rehearsed.covers(looked.revisions):
        new = [name for name in looked.revisions if name not in rehearsed.revisions]
        edited = [
            name
            for name, digest in looked.revisions.items()
            if rehearsed.revisions.get(name, digest) != digest
        ]
        parts = [f"{', '.join(new)} not tried"] if new else []
        parts += [f"{', '.join(edited)} edited since"] if edited else []
        return Unmet(
            Condition.REHEARSAL, f"the last one is of other texts: {'; '.join(parts)}", way
        )
    try:
        at = datetime.fromisoformat(rehearsed.at)
        old = _too_old(at, age, now)
    except (ValueError, TypeError):
        told = f"{rehearsed.at!r} is no time with its zone"
        return Unmet(Condition.REHEARSAL, told, way, unproven=True)
    return None if old is None else Unmet(Condition.REHEARSAL, f"the last one is {old}", way)


def _backup(looked: Looked, age: float, now: datetime) -> Unmet | None:
    way = f"`pgstead backup now --verify`; it may be {written_duration(age)} old"
    match looked.backup:
        case Unproven(reason):
            return Unmet(Condition.BACKUP, reason, way, unproven=True)
        case None:
            return Unmet(Condition.BACKUP, "no base backup was ever verified", way)
        case VerifiedBackup(name, ended):
            old = _too_old(ended, age, now)
            told = f"{name}, the last one that was verified, is {old}"
            return None if old is None else Unmet(Condition.BACKUP, told, way)


def _restore_point(looked: Looked) -> Unmet | None:
    if looked.restore_point is None:
        return None
    way = "a restore point needs wal_level replica or logical, and a server that is no standby"
    return Unmet(Condition.RESTORE_POINT, looked.restore_point.reason, way, unproven=True)


def _too_old(at: datetime, age: float, now: datetime) -> str | None:
    """Return in what way a moment is too long ago, None where it is not."""
    seconds = (now - at).total_seconds()
    if seconds < 0:
        return f"from the future ({at:%Y-%m-%d %H:%M %Z}): a clock is wrong"
    if seconds <= age:
        return None
    return f"{_rounded(seconds)} old; {written_duration(age)} is allowed"


def _rounded(seconds: float) -> str:
    for unit, factor in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * factor:
            return f"{seconds / factor:.0f} {unit}"
    return f"{seconds:.0f} s"


def _first(told: Sequence[str], separator: str) -> str:
    more = f" ... and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return separator.join(told[:_SHOWN]) + more
