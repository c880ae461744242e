"""What is wrong with a migration history, and the way out of it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from pgstead.model.history import Applied, HistoryProblem, Remembered, RevisionFile

_SHOWN = 6  # lines of a difference


def problems(files: Sequence[RevisionFile], database: str) -> Iterator[HistoryProblem]:
    """Yield what is wrong with the files alone; `database` is named in the ways out."""
    for file in files:
        if file.problem:
            yield HistoryProblem(
                "unreadable", f"{file.path}: {file.problem}", "mend the file: nothing runs before"
            )
    known = _readable(files)
    yield from _duplicates(files)
    for file in files:
        for parent in file.parents:
            if parent not in known:
                near = difflib.get_close_matches(parent, known.keys() - {file.name}, n=1)
                meant = f"; {near[0]} is there" if near else ""
                yield HistoryProblem(
                    "missing-parent",
                    f"{file.path} comes after {parent}, which no file has{meant}",
                    "get that file back (`git log --diff-filter=D`), or set down_revision to the"
                    " revision that it really comes after",
                )
    if loop := _loop(known):
        yield HistoryProblem(
            "loop", f"these come after each other: {', '.join(loop)}", "mend one down_revision"
        )
    ends = heads(files)
    if len(ends) > 1:
        yield HistoryProblem(
            "two-heads",
            f"there are {len(ends)} heads: {', '.join(ends)}",
            f"merge with `pgstead migrate new {database} --merge -m 'merge'`, or set the"
            f" down_revision of the younger one to the other",
        )


def disagreements(
    files: Sequence[RevisionFile], found: Remembered, database: str
) -> Iterator[HistoryProblem]:
    """Yield in what a database disagrees with the files."""
    known = _readable(files)
    last = {line.revision: line for line in found.lines if line.direction != "down"}
    reconcile = f"`pgstead migrate reconcile {database} REV --reason ...`"
    for head in found.heads:
        if head in known:
            continue
        if head in last:
            yield HistoryProblem(
                "deleted",
                f"the database is at {head}, applied {_when(last[head])}, and no file has it",
                f"its text is kept: `pgstead migrate history {database} --show {head}` prints it;"
                f" or {reconcile} says where the database really is",
            )
        else:
            yield HistoryProblem(
                "foreign",
                f"the database is at {head}, which neither a file nor the ledger has: somebody"
                " stamped it, or the files are those of another branch",
                f"fetch the branch that has it, or {reconcile}",
            )
    done = applied(files, found.heads)
    for name in sorted(done & last.keys()):
        if last[name].digest != known[name].digest:
            yield _edited(known[name], last[name], reconcile)
    if found.lines and (moved := _moved(found.lines[-1], found.heads, done)):
        yield HistoryProblem("moved", moved, reconcile)
    for name, statements in (found.unfinished or {}).items():
        yield HistoryProblem(
            "unfinished",
            f"{name} is half-done: {len(statements)} statement(s) of it are in",
            f"`pgstead migrate up {database}` goes on behind them",
        )


def heads(files: Sequence[RevisionFile]) -> tuple[str, ...]:
    """Return the revisions that nothing comes after, sorted."""
    followed = {parent for file in files for parent in file.parents}
    return tuple(sorted(file.name for file in files if file.name and file.name not in followed))


def applied(files: Sequence[RevisionFile], at: Sequence[str]) -> frozenset[str]:
    """Return the revisions with a file that a database at these heads has."""
    known = _readable(files)
    waiting, done = [*at], set[str]()
    while waiting:
        name = waiting.pop()
        if name in known and name not in done:
            done.add(name)
            waiting += known[name].parents
    return frozenset(done)


def ordered(files: Sequence[RevisionFile]) -> tuple[RevisionFile, ...]:
    """Return the readable files, parents first."""
    known = _readable(files)
    done: dict[str, RevisionFile] = {}
    waiting = sorted(known)
    while waiting:
        ready = [n for n in waiting if not set(known[n].parents) & set(waiting)] or waiting
        done |= {name: known[name] for name in ready}
        waiting = [name for name in waiting if name not in done]
    return tuple(done.values())


def _readable(files: Sequence[RevisionFile]) -> Mapping[str, RevisionFile]:
    return {file.name: file for file in files if file.name}


def _duplicates(files: Sequence[RevisionFile]) -> Iterator[HistoryProblem]:
    by_name: dict[str, list[str]] = {}
    for file in files:
        if file.name:
            by_name.setdefault(file.name, []).append(file.path)
    for name, paths in by_name.items():
        if len(paths) > 1:
            yield HistoryProblem(
                "duplicate",
                f"{' and '.join(paths)} have the same revision id {name}",
                "give the younger one an id of its own, and what comes after it that parent",
            )


def _loop(known: Mapping[str, RevisionFile]) -> list[str]:
    """Return the revisions that cannot be reached from a beginning, if their parents are there."""
    left = dict(known)
    while ready := [n for n, f in left.items() if not set(f.parents) & left.keys()]:
        for name in ready:
            del left[name]
    # what hangs on a loop is not part of it
    while outer := [n for n in left if not any(n in f.parents for f in left.values())]:
        for name in outer:
            del left[name]
    return sorted(left)


def _edited(file: RevisionFile, line: Applied, reconcile: str) -> HistoryProblem:
    changed = [
        text.rstrip()
        for text in difflib.unified_diff(
            line.source.splitlines(), file.source.splitlines(), lineterm="", n=0
        )
        if text[:1] in "+-" and text[:3] not in {"+++", "---"}
    ]
    more = f" ... and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return HistoryProblem(
        "edited",
        f"{file.path} was edited after it was applied {_when(line)}:"
        f" {' | '.join(changed[:_SHOWN])}{more}",
        "take the edit back and write it as a revision of its own; where it changes nothing that"
        f" the database has, {reconcile}",
    )


def _moved(line: Applied, at: Sequence[str], done: frozenset[str]) -> str:
    there = line.revision in done or line.revision in at
    where = ", ".join(at) or "nothing"
    if line.direction == "up" and not there:
        return f"{line.revision} was applied {_when(line)}, but the database says it is at {where}"
    if line.direction == "down" and there:
        return (
            f"{line.revision} was taken back {_when(line)}, but the database says it is at {where}"
        )
    return ""


def _when(line: Applied) -> str:
    return f"on {line.at:%Y-%m-%d %H:%M} by {line.person}"
