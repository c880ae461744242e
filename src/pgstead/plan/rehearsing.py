"""What a rehearsal means: what has to be looked at first, and the report in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pgstead.model.definition import Definition
from pgstead.model.rehearsal import Contents, Held, Passed, Ran, Showed, Waited
from pgstead.plan.drift import drifts

BUDGET = 300.0  # seconds for all that is pending (MIG-9)
_LARGE = 1024**3  # bytes
_NOTICED = 0.05  # seconds that a statement of somebody waits before it is worth a line
_VERSION = "alembic_version"


def problems(showed: Showed, longest_lock: float) -> tuple[str, ...]:
    """Return what must be looked at before this runs where it counts; empty: nothing."""
    return (*_problems(showed, longest_lock),)


def _problems(showed: Showed, longest_lock: float) -> Iterator[str]:
    first, *others = showed.passes
    if first.problem:
        yield f"it fails: {first.problem}"
    for ran in first.statements:
        for lock in ran.locks:
            yield from _too_long(showed, ran, lock, longest_lock)
    if first.seconds > BUDGET:
        yield f"it takes {first.seconds:.0f} s, and {BUDGET:.0f} s are the limit"
    for other in others:
        if other.problem and other.problem != showed.irreversible:
            way = "down" if other.direction == "down" else "up again"
            yield f"the way {way} fails: {other.problem}"
    yield from showed.differences


def _too_long(showed: Showed, ran: Ran, lock: Held, longest: float) -> Iterator[str]:
    seconds = showed.predicted(lock)
    if not lock.rows or seconds <= longest or not lock.stops_writers:
        return
    what = "reads or writes" if lock.stops_readers else "writes"
    yield (
        f"nobody {what} {lock.table} for {seconds:.2f} s, and {longest:g} s are the limit:"
        f" {ran.revision} takes {lock.mode} with {ran.statement}"
    )


def differences(
    when: str,
    wanted: tuple[Definition, Mapping[str, Contents]],
    found: tuple[Definition, Mapping[str, Contents]],
) -> Iterator[str]:
    """Yield how a database differs that has come back to where it was."""
    for drift in drifts(wanted[0], found[0]):
        if _VERSION not in drift.object.name:
            facets = ", ".join(difference.facet for difference in drift.differences)
            yield f"{when}: {drift.object} is {drift.how}{f' ({facets})' if facets else ''}"
    for table in sorted(wanted[1].keys() & found[1].keys()):
        yield from _contents(when, table, wanted[1][table], found[1][table])


def _contents(when: str, table: str, wanted: Contents, found: Contents) -> Iterator[str]:
    if wanted.rows != found.rows:
        yield f"{when}: {table} has {found.rows} rows instead of {wanted.rows}"
        return
    for column in sorted(wanted.columns.keys() & found.columns.keys()):
        if wanted.columns[column] != found.columns[column]:
            yield f"{when}: {table}.{column} has other values than before"


def lines(showed: Showed, found: Sequence[str]) -> Iterator[str]:
    """Yield the report; `found` are the problems."""
    word = "went well" if not found else f"{len(found)} to look at first"
    yield f"{showed.database}: rehearsed {', '.join(showed.revisions)}: {word}"
    yield from (f"  look at: {problem}" for problem in found)
    how = "shared with the original" if showed.cloned else "copied"
    yield (
        f"  {_size(showed.copied_bytes)} {how} in {showed.copy_seconds:.1f} s;"
        f" the rehearsal took {showed.seconds:.1f} s"
    )
    for at, passed in enumerate(showed.passes):
        yield from _passed(showed, passed, again=at > 1)
    yield from (f"  a downgrade loses {lost}" for lost in showed.lost)
    if showed.irreversible:
        yield f"  no way down: {showed.irreversible}"
    elif len(showed.passes) == 3 and not showed.differences:
        yield "  up, down and up again: schema and rows are the same"
    yield from (f"  note: {note}" for note in showed.notes)


def _passed(showed: Showed, passed: Passed, *, again: bool) -> Iterator[str]:
    way = f"{passed.direction}{' again' if again else ''}"
    yield f"  {way}: {passed.seconds:.2f} s{', failed' if passed.problem else ''}"
    if passed.direction != "up" or again:
        return
    told = [ran for ran in passed.statements if _is_worth_a_line(ran)]
    for ran in told:
        yield f"    {ran.revision}: {ran.statement}"
        yield f"      {'; '.join(_ran(showed, ran))}"
    if rest := [ran for ran in passed.statements if ran not in told]:
        seconds = sum(ran.seconds for ran in rest)
        yield f"    {len(rest)} more in {seconds:.2f} s, which locked no table that had rows"
    for waited in passed.waits:
        yield f"    {_waited(waited)}"


def _is_worth_a_line(ran: Ran) -> bool:
    locked = any(lock.rows for lock in ran.locks)
    return locked or bool(ran.rewritten) or ran.failed or ran.seconds >= _NOTICED


def _ran(showed: Showed, ran: Ran) -> Iterator[str]:
    yield "failed" if ran.failed else f"{ran.seconds:.2f} s"
    for lock in ran.locks:
        if lock.stops_writers or not lock.rows:
            rows = "" if lock.rows else " (no rows)"
            yield f"{lock.mode} on {lock.table}{rows} for {showed.predicted(lock):.2f} s"
        else:
            yield f"{lock.mode} on {lock.table}"
    yield from (f"{table} rewritten" for table in ran.rewritten)
    yield f"WAL {_size(ran.wal)}"
    yield f"disk +{_size(ran.disk)}"


def _waited(waited: Waited) -> str:
    if not waited.count:
        return f"{waited.what}: none came through"
    told = f"{waited.what}: {waited.count}"
    if waited.longest >= _NOTICED:
        told += f", waited {waited.longest:.2f} s at most (p99 {waited.p99:.3f} s)"
    else:
        told += f", {1000 * waited.longest:.0f} ms at most"
    failed = [f"{count} with {state}" for state, count in waited.errors.items()]
    return f"{told}; failed: {', '.join(failed)}" if failed else told


def _size(size: int) -> str:
    if size < 1024**2:
        return f"{max(size, 0) / 1024:.0f} kB"
    return f"{size / 1024**2:.1f} MB" if size < _LARGE else f"{size / _LARGE:.2f} GB"
