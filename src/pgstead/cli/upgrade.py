"""`pgstead upgrade`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import ExitStatus, NotAllowedError, NotRunningError, UpgradeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgstead.cli.upgrading import Standing
    from pgstead.cli.wiring import Wired
    from pgstead.host.upgrading import LocalUpgrade
    from pgstead.model.upgrade import Mode, Obstacle, RehearsedUpgrade, Upgrade
    from pgstead.workflows.upgrade import Upgraded, Work


@new_command(
    "upgrade",
    ("pgstead upgrade --rehearse", "on a copy: does it go well, and for how long is it away?"),
    ("pgstead upgrade", "do it; or finish, or take back, what was killed"),
    ("pgstead upgrade --mode link", "shorter, and without a way back"),
    ("pgstead upgrade --back", "the version before, with what it had then"),
    exits=(0, 1, 2, 3),
    exit_1="it failed; the old version serves as before",
    exit_3="something has to be seen to first, or it was not rehearsed",
)
@click.option("--rehearse", is_flag=True, help="On a copy of the cluster; nothing else changes.")
@click.option(
    "--mode",
    type=click.Choice(["auto", "copy", "clone", "link"]),
    default="auto",
    show_default=True,
    help="How files come into the new cluster; auto clones where it can, else copies.",
)
@click.option("--unrehearsed", is_flag=True, help="Do it although no rehearsal went well.")
@click.option("--back", is_flag=True, help="Run the version before again; what came since is lost.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    help="How long open transactions may take to end.",
)
@click.option("--anyway", is_flag=True, help="Go on then all the same: those that are open fail.")
def command(
    rehearse: bool, mode: str, unrehearsed: bool, back: bool, patience: float, anyway: bool
) -> int:
    """Take the cluster to another PostgreSQL, rehearsed first.

    Set server.major in the manifest to the new version, rehearse, then do it: a base backup is
    made, the pooler's clients wait, pg_upgrade runs, the new server starts, and its own backups
    begin. Where it fails the old version serves again; killed at any moment, the next run
    finishes or takes it back. With newer binaries of the same version at hand (`pgstead toolchain
    add`) the server restarts on these, and no client of the pooler sees an error.
    """
    from pgstead.cli.upgrading import standing
    from pgstead.host import state
    from pgstead.model.upgrade import Phase

    invocation = invocation_of()
    console = Console(invocation)
    if back and rehearse:
        raise UsageError("--back goes without --rehearse")
    with console.working():
        here = standing(invocation.manifest)
        with state.lock(here.ground.layout):
            pending = here.pending
            if pending is not None and pending.phase is Phase.RETURNING:
                return _went_back(here, pending, console)  # and no upgrade anew: nobody asked
            if back:
                return _back(here, pending, console)
            if pending is not None:
                if (done := _settled(here, pending, console)) is not None:
                    _print(console, done, None)
                    return ExitStatus.DONE
                here = standing(invocation.manifest)
            if here.major == here.source.manifest.server.major:
                return _minor(here, console, patience=patience, anyway=anyway)
            return _major(
                here, console, rehearse=rehearse, mode=mode, unrehearsed=unrehearsed,
                patience=patience, anyway=anyway,
            )  # fmt: skip


def _settled(here: Standing, pending: Upgrade, console: Console) -> Upgraded | None:
    """Finish what a killed run had begun, or take it back and return None."""
    from pgstead.cli.upgrading import side, side_of, work_between
    from pgstead.workflows import upgrade as workflow

    if pending.phase.returns:
        old = side(here.applied(), here.as_of(pending.old.major), console)
        workflow.undo(side_of(old), work_between(old, old), pending)
        console.say(f"the killed upgrade was taken back: PostgreSQL {pending.old} serves")
        return None
    if here.source.manifest.server.major != pending.new.major:
        raise UpgradeError(
            f"an upgrade to {pending.new.major} was killed, and the manifest says"
            f" {here.source.manifest.server.major}",
            hint=f"set server.major = {pending.new.major}: `pgstead upgrade` finishes it then",
        )
    new = side(here.source, here.as_of(pending.new.major), console)
    return workflow.finish(side_of(new), work_between(new, new), pending)


def _major(
    here: Standing, console: Console, *, rehearse: bool, mode: str, unrehearsed: bool,
    patience: float, anyway: bool,
) -> int:  # fmt: skip
    from pgstead.cli.upgrading import refuse_other_changes, release, side, work_between
    from pgstead.host.upgrading import LocalUpgrade

    refuse_other_changes(here)
    wanted = here.source.manifest.server.major
    old = side(here.applied(), here.as_of(here.major), console)
    new = side(here.source, here.as_of(wanted), console)
    if not old.ports.sql.answers():
        raise NotRunningError(
            f"PostgreSQL {old.design.build.version} does not run",
            hint=f"`pgstead up` with server.major = {here.major} starts it",
        )
    _must_be_settled(old)
    work = work_between(old, new)
    assert isinstance(work.host, LocalUpgrade)
    chosen, found = _looked(old, new, work.host, mode, rehearsal=rehearse)
    if found:
        return _refused(console, found)
    ends = release(old.design.build), release(new.design.build)
    if rehearse:
        from pgstead.cli.upgrade_rehearsal import rehearse as tried

        work.host.discard()  # what a killed run left
        shown = tried(old, new, work.host, ends, chosen, console)
        work.host.log.keep_rehearsal(shown)
        return _print_rehearsal(console, shown, old)
    shown = work.log.rehearsed()
    covered = shown is not None and shown.covers(*ends, chosen)
    if not covered and not unrehearsed:
        raise NotAllowedError(
            f"no rehearsal has shown that {ends[0]} to {ends[1]} goes well ({chosen})",
            hint="`pgstead upgrade --rehearse`; or `pgstead upgrade --unrehearsed`",
        )
    done = _done(old, new, work, chosen, patience=patience, anyway=anyway)
    _print(console, done, shown if covered else None)
    return ExitStatus.DONE


def _must_be_settled(wired: Wired) -> None:
    """Raise NotAllowedError where more would change than the version: pending revisions, too."""
    from pgstead.workflows.planning import plan

    if operations := plan(wired.design, wired.ports).operations:
        told = ", ".join(str(operation.address) for operation in operations[:5])
        raise NotAllowedError(
            f"{len(operations)} change(s) are pending besides the version: {told}",
            hint=f"`pgstead up` with server.major = {wired.design.build.major} first",
        )


def _looked(
    old: Wired, new: Wired, host: LocalUpgrade, mode: str, *, rehearsal: bool
) -> tuple[Mode, Sequence[Obstacle]]:
    """Return how files are taken over, and what must be seen to first."""
    from pgstead.cli.doors import must_be_free
    from pgstead.model.resources import Cluster
    from pgstead.observe import upgrading as looked
    from pgstead.plan import upgrading

    ground, facts = host.ground(), looked.facts(old.ports.sql)
    chosen = upgrading.mode(mode, ground)
    slot = old.design.backup.slot if old.design.backup is not None else ""
    found = [*upgrading.obstacles(facts, ground, chosen, slot, rehearsal=rehearsal)]
    cluster, wanted = old.ports.cluster.inspect(), new.design.stead.find(Cluster, "")
    assert cluster is not None
    assert wanted is not None
    found += upgrading.unfit(cluster, wanted)
    must_be_free(new)
    return chosen, found


def _refused(console: Console, found: Sequence[Obstacle]) -> int:
    if console.json:
        console.data({"obstacles": found})
        return ExitStatus.DRIFT
    for obstacle in found:
        console.line(obstacle.text)
        console.hint(obstacle.hint)
    return ExitStatus.DRIFT


def _print_rehearsal(console: Console, shown: RehearsedUpgrade, old: Wired) -> int:
    from pgstead.plan import upgrading

    back = upgrading.way_back(shown.mode, shown.old, backed_up=old.design.backup is not None)
    if console.json:
        told = {"rehearsed": shown, "downtime": upgrading.predicted(shown), "way_back": back}
        console.data(told)
    else:
        console.table([*upgrading.report(shown), ("way back", back)])
        console.hint("`pgstead upgrade` does it")
    return ExitStatus.DRIFT if shown.differences else ExitStatus.DONE


def _done(
    old: Wired, new: Wired, work: Work, chosen: Mode, *, patience: float, anyway: bool
) -> Upgraded:
    from pgstead.cli.upgrading import release, side_of
    from pgstead.host import clock
    from pgstead.model.upgrade import Phase, Upgrade
    from pgstead.workflows import upgrade as workflow

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    major = old.design.build.major
    wanted = Upgrade(
        old=release(old.design.build),
        new=release(new.design.build),
        mode=chosen,
        phase=Phase.PREPARING,
        begun=clock.stamp(),
        kept=f"data.{major}-{stamp}",
        aside=f"before-{new.design.build.major}-{stamp}" if old.design.backup is not None else "",
    )
    return workflow.upgrade(
        side_of(old), side_of(new), work, wanted, patience=patience, anyway=anyway
    )


def _print(console: Console, done: Upgraded, shown: RehearsedUpgrade | None) -> None:
    from pgstead.plan import upgrading

    upgrade = done.upgrade
    back = upgrading.way_back(upgrade.mode, upgrade.old, backed_up=bool(upgrade.backup))
    told = upgrading.predicted(shown) if shown is not None else None
    if console.json:
        console.data(
            {
                "from": upgrade.old.version,
                "to": upgrade.new.version,
                "mode": upgrade.mode,
                "downtime": None if done.downtime is None else round(done.downtime, 3),
                "seconds": done.laps,
                "predicted": None if told is None else round(told, 3),
                "kept": upgrade.kept,
                "backup_before": upgrade.backup or None,
                "way_back": back,
                "notes": done.notes,
            }
        )
        return
    console.line(f"PostgreSQL {upgrade.new} serves, upgraded from {upgrade.old}")
    if done.downtime is not None:
        said = f"; the rehearsal said {told:.1f} s" if told is not None else ""
        console.line(f"nobody was served for {done.downtime:.1f} s{said}")
    for note in done.notes:
        console.say(f"note: {note}")
    console.line(f"way back: {back}")
    console.hint(f"`pgstead drill`, `pgstead prove`; remove server/{upgrade.kept} when all is well")


def _minor(here: Standing, console: Console, *, patience: float, anyway: bool) -> int:
    """Restart on newer binaries of the same major version, where there are some."""
    from pgstead.cli.upgrading import side
    from pgstead.host import binaries
    from pgstead.host.cluster import DataDirectory
    from pgstead.model.operation import Impact
    from pgstead.workflows.restart import restart
    from pgstead.workflows.up import up

    layout, host = here.ground.layout, here.ground.host
    wired = side(here.applied(), here.ground, console)
    build, was = wired.design.build, _running(wired)
    newest = build
    if not here.source.manifest.server.bindir:
        newest = binaries.newest(build, layout, host)
    if newest is not build:
        _must_be_settled(wired)
        DataDirectory(layout, host, newest, wired.design.stead_id).record_build()
        wired = side(here.applied(), here.ground, console)
        up(wired.design, wired.ports, allow=Impact.RESTART)
    elif was != build.version:
        restart(wired.ports, patience=patience, anyway=anyway)
    if console.json:
        console.data({"from": was, "to": newest.version, "mode": "restart"})
    elif was == newest.version:
        console.line(f"PostgreSQL {was} runs, the newest of {build.major} at hand")
        console.hint(f"`pgstead toolchain add {build.major}` fetches the newest that is pinned")
    else:
        console.line(f"PostgreSQL {newest.version} runs, where {was} did")
    return ExitStatus.DONE


def _running(wired: Wired) -> str:
    """Return the version of the server that runs, of the binaries where none does."""
    if not wired.ports.sql.answers():
        return wired.design.build.version
    with wired.ports.sql.connect(read_only=True) as session:
        row = session.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row["server_version"]).split()[0]


def _back(here: Standing, pending: Upgrade | None, console: Console) -> int:
    """Run the version before on the data directory that it left."""
    if pending is not None:
        raise UpgradeError(
            f"an upgrade from {pending.old} to {pending.new} was killed ({pending.phase})",
            hint="`pgstead upgrade` finishes it, or takes it back; then `--back`",
        )
    last = here.log.last()
    if last is None:
        raise UsageError(
            "no upgrade was done that could be taken back",
            hint="`pgstead restore` brings back any moment that was backed up",
        )
    if not last.mode.reversible:
        raise UpgradeError(
            f"{last.old} has the same files as {last.new}: it was linked",
            hint="restore the base backup that was made before, from what was set aside",
        )
    if not Path(here.ground.layout.server / last.kept).is_dir():
        raise UpgradeError(
            f"the data directory of {last.old} is gone: server/{last.kept}",
            hint="restore the base backup that was made before, from what was set aside",
        )
    return _went_back(here, last, console)


def _went_back(here: Standing, last: Upgrade, console: Console) -> int:
    """Go the way back, or what is left of it where that was killed."""
    from pgstead.cli.upgrading import side, side_of, work_between
    from pgstead.workflows import upgrade as workflow

    old = side(here.before(), here.as_of(last.old.major), console)
    workflow.back(side_of(old), work_between(old, old), last)
    if console.json:
        console.data({"from": last.new.version, "to": last.old.version})
        return ExitStatus.DONE
    console.line(f"PostgreSQL {last.old} serves again, with what it had at {last.begun}")
    console.hint(f"set server.major = {last.old.major} in the manifest")
    return ExitStatus.DONE
