"""`pgstead backup now|list|show|verify|expire|mark|export|open|key`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli import backup_export, backup_key, backup_mirror
from pgstead.cli.backing import age, backed_up, backup_json, run_json, size
from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import UsageError

if TYPE_CHECKING:
    from pgstead.model.backup import StoredBackup

NEWEST = "newest"


@new_command(
    "now",
    ("pgstead backup now", "make a base backup"),
    ("pgstead backup now --verify", "and verify it"),
    ("pgstead backup now --gentle", "as the schedule does it: slower, felt less"),
)
@click.option("--verify", is_flag=True, help="Verify it afterwards.")
@click.option("--incremental", is_flag=True, help="On top of the newest one (PostgreSQL 17).")
@click.option("--gentle", is_flag=True, help="At the lowest priority, after a spread checkpoint.")
def _now(verify: bool, incremental: bool, gentle: bool) -> None:
    """Make a base backup now, whatever the schedule says.

    The running server is read at the rate that the manifest allows. The backup counts when all
    WAL that it needs has arrived too.
    """
    from pgstead.model.backup import Task
    from pgstead.workflows import backup, verification

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = backed_up(invocation, console)
        parent = backup.newest(backup.ports_of(wired.ports)).name if incremental else ""
        made = backup.make(wired.ports, "command", parent=parent, gentle=gentle)
        verified = verification.verify(wired.ports, "command", made.name) if verify else None
    if invocation.json:
        seconds = backup.ports_of(wired.ports).catalog.runs(Task.BACKUP, limit=1)[0].seconds
        console.data({**backup_json(made), "seconds": seconds, "verified": verified})
        return
    console.line(f"base backup {made.name}: {size(made.size)} of {size(made.cluster_size)}")
    if verified is not None:
        console.line(f"verified: {verified.files} files, {verified.segments} WAL segments")


@new_command("list", ("pgstead backup list", "what can be restored, and what was proven"))
def _list() -> None:
    """List the base backups, oldest first, with what is known of each."""
    from pgstead.model.backup import Task
    from pgstead.workflows import backup

    invocation = invocation_of()
    console = Console(invocation)
    wired = backed_up(invocation, console)
    ports = backup.ports_of(wired.ports)
    found, runs = ports.engine.backups(), ports.catalog.runs()
    last = backup.proven(runs)
    if invocation.json:
        rates = {
            task: backup.summary(tuple(r for r in runs if r.task is task))
            for task in (Task.BACKUP, Task.VERIFY, Task.DRILL)
        }
        told = [backup_json(b) for b in found]
        console.data({"backups": told, "last_drill": run_json(last), "success": rates})
        return
    rows = [_row(b) for b in found]
    console.table(rows or [("none yet",)], ("backup", "state", "kind", "size", "ended", "WAL"))
    if last is not None:
        seconds = last.detail.get("rto")
        console.line(f"last proven restore: {last.backup}, {age(last.ended)}, in {seconds} s")
    else:
        console.line("last proven restore: none; `pgstead drill` makes one")


def _row(found: StoredBackup) -> tuple[str, ...]:
    return (
        found.name,
        str(found.state),
        found.kind,
        size(found.size),
        age(found.ended),
        size(found.wal_size),
    )


@new_command(
    "show", ("pgstead backup show", "the newest"), ("pgstead backup show 20261121T0200", "")
)
@click.argument("name", default=NEWEST)
def _show(name: str) -> None:
    """Show one base backup, and the runs that were about it."""
    from pgstead.workflows import backup

    invocation = invocation_of()
    console = Console(invocation)
    ports = backup.ports_of(backed_up(invocation, console).ports)
    found = backup.newest(ports) if name == NEWEST else ports.engine.show(name)
    runs = [run for run in ports.catalog.runs() if run.backup == found.name]
    told = backup_json(found)
    if invocation.json:
        console.data({**told, "runs": [run_json(run) for run in runs]})
        return
    console.table([(key, str(value)) for key, value in told.items() if value is not None])
    for run in reversed(runs):
        seconds = f" in {run.seconds:.1f} s" if run.seconds is not None else ""
        console.line(f"{run.task}: {run.ending}{seconds}, {age(run.ended)} {run.error}".rstrip())


@new_command(
    "verify",
    ("pgstead backup verify", "the newest"),
    ("pgstead backup verify --remote", "every object of the copy in S3"),
)
@click.argument("name", default=NEWEST)
@click.option("--remote", is_flag=True, help="Read the copy in object storage instead, all of it.")
def _verify(name: str, remote: bool) -> None:
    """Verify a base backup: every file of its manifest, and every WAL record from it to now.

    It is laid out in a place of its own for that, and nothing is started. Whether it can be
    started and holds what it should, a drill shows.
    """
    from pgstead.workflows import backup, mirror_check, verification

    invocation = invocation_of()
    console = Console(invocation)
    if remote and name != NEWEST:
        raise UsageError("--remote reads all of the copy", hint="leave the name out")
    if remote:
        with console.working():
            wired = backed_up(invocation, console)
            checked = mirror_check.check(wired.design, wired.ports, "command")
        if invocation.json:
            console.data(checked)
            return
        console.line(f"{checked.place}: {checked.objects} objects are whole, {size(checked.size)}")
        return
    with console.working():
        wired = backed_up(invocation, console)
        ports = backup.ports_of(wired.ports)
        chosen = backup.newest(ports).name if name == NEWEST else name
        done = verification.verify(wired.ports, "command", chosen)
    if invocation.json:
        console.data({"backup": chosen, "verified": done})
        return
    console.line(f"{chosen}: {done.files} files and {done.segments} WAL segments are whole")


@new_command(
    "expire",
    ("pgstead backup expire --rehearse", "say what would go"),
    ("pgstead backup expire", "let go of what the retention does not need"),
)
@click.option("--rehearse", is_flag=True, help="Say it, and remove nothing.")
@click.option("--force", is_flag=True, help="Even where the clock seems to have jumped.")
def _expire(rehearse: bool, force: bool) -> None:
    """Let go of base backups that no moment of the retention needs, and of their WAL.

    The newest ones that the manifest wants kept stay whatever their age, and so does the last
    one that a drill has proven. Nothing goes where more than half would go at once, or where the
    newest one seems to come from the future: that is a clock that jumped.
    """
    from pgstead.workflows.backup import expire

    invocation = invocation_of()
    console = Console(invocation)
    wired = backed_up(invocation, console)
    gone = expire(wired.design, wired.ports, "command", rehearse=rehearse, force=force)
    if invocation.json:
        console.data({"removed": [] if rehearse else gone, "would_remove": gone})
        return
    word = "would go" if rehearse else "removed"
    console.line(f"{word}: {', '.join(gone)}" if gone else "nothing to let go of")


@new_command("mark", ("pgstead backup mark before-import", "a name for this moment"))
@click.argument("name")
def _mark(name: str) -> None:
    """Give this moment a name that `restore --to-name` goes back to."""
    from pgstead.workflows.marks import mark

    invocation = invocation_of()
    console = Console(invocation)
    wired = backed_up(invocation, console)
    lsn = mark(wired.ports, name)
    if invocation.json:
        console.data({"name": name, "lsn": lsn})
        return
    console.line(f"{name} is at {lsn}; `pgstead restore --to-name {name}` goes back to it")


command = CommandGroup(
    "backup",
    help="Make, list, verify and let go of backups.\n\nThe agent makes them by the schedule of the"
    " manifest; these commands do it at once. WAL is streamed all the time, so that any moment"
    " since the oldest base backup can be recovered.",
    examples=(
        ("pgstead backup list", "what there is, and what was proven"),
        ("pgstead backup now --verify", "a further one, verified"),
        ("pgstead drill", "show that the newest one can be restored"),
    ),
)
for _part in (_now, _list, _show, _verify, _expire, _mark):
    command.add_command(_part)
for _part in (backup_export.command, backup_export.open_, backup_key.command):
    command.add_command(_part)
command.add_command(backup_mirror.command)
