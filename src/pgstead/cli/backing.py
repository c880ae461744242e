"""What the commands about backups share: the stead, and how a backup is told."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgstead.errors import BackupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pgstead.cli.console import Console
    from pgstead.cli.invocation import Invocation
    from pgstead.cli.wiring import Wired
    from pgstead.model.backup import Run, StoredBackup, Target

_UNITS = ("B", "kB", "MB", "GB", "TB")


def backed_up(invocation: Invocation, console: Console) -> Wired:
    """Return the stead. Raises BackupError where it makes no backups.

    One that was never up is begun as far as its manifest names a repository: that of another
    machine, which is to be restored here.
    """
    from pgstead.cli.wiring import prepared, wire
    from pgstead.workflows.backup import ports_of
    from pgstead.workflows.restore import ready

    wired = wire(invocation.manifest, console)
    ports_of(wired.ports)
    if Path(wired.design.layout.barman_conf).exists():
        return wired
    plan = wired.design.backup
    if plan is None or not Path(plan.repository).is_dir():
        raise BackupError("nothing was backed up here yet", hint="`pgstead up` begins with it")
    with prepared(wired):
        ready(wired.design, wired.ports)
    return wire(invocation.manifest, console)  # it has its identity now


def size(count: int) -> str:
    """Return bytes as people read them."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError


def age(moment: datetime | None) -> str:
    """Return how long ago something was."""
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, span in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * span:
            return f"{seconds / span:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"


def backup_json(found: StoredBackup) -> Mapping[str, object]:
    """Return a base backup for programs."""
    return {
        "name": found.name,
        "state": found.state,
        "kind": found.kind,
        "parent": found.parent or None,
        "begun": found.begun,
        "ended": found.ended,
        "size": found.size,
        "wal_size": found.wal_size,
        "cluster_size": found.cluster_size,
        "begin_lsn": found.begin_lsn,
        "end_lsn": found.end_lsn,
        "timeline": found.timeline,
        "encrypted": found.encrypted,
        "postgresql": found.major,
        "error": found.error or None,
    }


def run_json(run: Run | None) -> Mapping[str, object] | None:
    """Return a run for programs."""
    if run is None:
        return None
    return {
        "number": run.number,
        "task": run.task,
        "backup": run.backup or None,
        "begun": run.begun,
        "ended": run.ended,
        "ending": run.ending,
        "cause": run.cause,
        "seconds": run.seconds,
        "detail": run.detail,
        "error": run.error or None,
    }


_MOMENT = (
    click.option("--to-time", metavar="TIME", help="With its zone: 2026-11-21T14:05:00+01:00."),
    click.option("--to-xid", metavar="XID", help="A transaction, itself included."),
    click.option("--to-name", metavar="NAME", help="A moment that `backup mark` named."),
    click.option("--to-lsn", metavar="LSN", help="A place in the WAL."),
    click.option("--exclusive", is_flag=True, help="Stop just before it."),
)


def moment(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command the options that name a moment; it gets them as its `target`."""

    @functools.wraps(function)
    def asked(**options: Any) -> int | None:
        given = {kind: options.pop(f"to_{kind}") for kind in ("time", "xid", "name", "lsn")}
        target = _target(given, exclusive=options.pop("exclusive"))
        return function(target=target, **options)

    for option in reversed(_MOMENT):
        asked = option(asked)
    return asked


def _target(given: Mapping[str, str | None], *, exclusive: bool) -> Target:
    """Return the moment that options name. Raises UsageError for two of them, or a vague time."""
    from pgstead.model.backup import Target, TargetKind

    told = [(TargetKind(kind), value) for kind, value in given.items() if value]
    if len(told) > 1:
        raise UsageError("there is one moment to recover to", hint="give one of the --to-... alone")
    if not told and exclusive:
        raise UsageError("--exclusive goes with --to-time, --to-xid and --to-lsn")
    if not told:
        return Target()
    kind, value = told[0]
    if exclusive and kind is TargetKind.NAME:
        raise UsageError(
            "a name is a moment between transactions: there is nothing to leave out",
            hint="--exclusive goes with --to-time, --to-xid and --to-lsn",
        )
    if kind is TargetKind.TIME:
        value = _moment(value)
    return Target(kind, value, exclusive=exclusive)


def _moment(text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no time", hint="write it as 2026-11-21T14:05:00+01:00"
        ) from None
    if found.tzinfo is None:
        raise UsageError(
            f"{text!r} does not say in which zone", hint=f"{text}Z is UTC, {text}+01:00 is not"
        )
    return found.astimezone(UTC).isoformat(sep=" ")
