"""`pgstead rotate passwords|certificates|ca|keys|status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.workflows.rotate_certificates import CaStep


def span(_ctx: click.Context, _parameter: click.Parameter, value: str) -> float:
    """Read a duration as the manifest has it."""
    from pgstead.manifest.quantities import duration

    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _span_or_none(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    return None if value is None else span(ctx, parameter, value)


_DRY = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")


# -- passwords ----------------------------------------------------------------------------------


@new_command(
    "passwords",
    ("pgstead rotate passwords", "all of them; applications go on"),
    ("pgstead rotate passwords --role shop_app", "one role's"),
    ("pgstead rotate passwords --watch 1h", "look longer who cannot follow, before it is done"),
    exits=(0, 1, 2, 3),
    exit_3="somebody still logs in with an old password; nothing was changed",
)
@click.option("--role", "roles", multiple=True, metavar="NAME", help="Whose; repeatable.")
@click.option(
    "--watch",
    default="5s",
    show_default=True,
    metavar="DURATION",
    callback=span,
    help="How long it is looked who still comes with the old ones.",
)
@click.option("--insist", is_flag=True, help="Refuse the old ones, whoever still comes with them.")
@_DRY
def _passwords(roles: tuple[str, ...], watch: float, insist: bool, dry_run: bool) -> None:
    """Change passwords without an outage.

    Each role gets a stand-in, a second login with a password of its own, and the passfile names
    it: applications on pgstead.app come as it with their next connection. Then the role's own
    password is changed, the passfile names the role again, and the stand-in goes. Whoever still
    logs in with an old password stops it before anything is refused. A run that was killed is
    finished by the next one.
    """
    from pgstead.cli.wiring import locked, wire
    from pgstead.workflows.rotate_passwords import rotate

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console)
        _must_know(wired, roles)
        if dry_run:
            _foresee(wired, console, roles)
            return
        with locked(wired):
            done = rotate(wired.design, wired.ports, roles, watch=watch, insist=insist)
    if invocation.json:
        console.data({"roles": done.roles, "finished": done.finished, "refused": done.insisted_on})
        return
    if done.finished:
        console.line(f"finished what an earlier run began: {', '.join(done.finished)}")
    for user in done.insisted_on:
        console.warn(f"refused from now on: {user}")
    console.line(f"{len(done.roles)} passwords are changed; the old ones are refused")


def _foresee(wired: Wired, console: Console, roles: tuple[str, ...]) -> None:
    from pgstead.workflows.rotate_passwords import lent, own, unfinished

    begun = unfinished(wired.design, wired.ports)
    known = (*lent(wired.design), *own(wired.design))
    chosen = [role for role in known if not roles or role in roles or role in begun]
    if console.json:
        console.data({"dry_run": True, "roles": chosen, "finished": begun})
        return
    for role in chosen:
        begins = "an earlier run is finished, and" if role in begun else "it would be"
        console.line(f"{role}: {begins} changed")
    console.hint("who could not follow is seen only when it is tried; it changes nothing then")


def _must_know(wired: Wired, roles: tuple[str, ...]) -> None:
    from pgstead.workflows.rotate_passwords import lent, own

    known = (*lent(wired.design), *own(wired.design))
    unknown = [role for role in roles if role not in known]
    if unknown:
        raise UsageError(
            f"no password of the role {unknown[0]!r} is kept here",
            hint=f"there is: {', '.join(known)}",
        )


# -- certificates -------------------------------------------------------------------------------


@new_command(
    "certificates",
    ("pgstead rotate certificates", "of the server, the pooler and clients"),
    ("pgstead rotate certificates --name server", "one of them"),
    exits=(0, 1, 2),
)
@click.option("--name", "names", multiple=True, metavar="NAME", help="Which; repeatable.")
@_DRY
def _certificates(names: tuple[str, ...], dry_run: bool) -> None:
    """Make certificates anew and have the doors show them.

    Server and pooler read them again; sessions that are there go on. It ends when each door shows
    its new one.
    """
    from pgstead.cli.wiring import locked, wire
    from pgstead.model.resources import Certificate
    from pgstead.workflows.rotate_certificates import coming, renew

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console)
        known = [c.name for c in wired.design.stead.all(Certificate) if c.name != "ca"]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UsageError(
                f"there is no certificate {unknown[0]!r}", hint=f"there is: {', '.join(known)}"
            )
        if dry_run:
            done = coming(wired.design, names)
        else:
            with locked(wired):
                done = renew(wired.design, wired.ports, names)
    if invocation.json:
        console.data({"dry_run": dry_run, "certificates": done.names})
        return
    said = "would be renewed" if dry_run else "renewed and shown"
    console.line(f"{said}: {', '.join(done.names)}")


# -- ca -----------------------------------------------------------------------------------------


@new_command(
    "ca",
    ("pgstead rotate ca", "begin: the coming CA is trusted beside the one that signs"),
    ("pgstead rotate ca", "again, when the window has passed: the next step"),
    ("pgstead rotate ca --window 0s", "all steps at once: every client reads the CA's file"),
    exits=(0, 1, 2),
)
@click.option(
    "--window",
    default=None,
    metavar="DURATION",
    callback=_span_or_none,
    help="Time between two steps. [default: rotation.ca_window]",
)
@_DRY
def _ca(window: float | None, dry_run: bool) -> None:
    """Change the CA in three steps: trusted, signing, alone.

    Between the steps both are trusted, so that clients elsewhere can get the new file
    (`tls/ca.crt`) before something is signed by it. What runs on this machine reads it by itself.
    The agent takes the next step when the window has passed; so does this command.
    """
    from pgstead.cli.wiring import locked, wire
    from pgstead.workflows.rotate_certificates import coming_ca, rotate_ca

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console)
        seconds = wired.design.rotation.ca_window if window is None else window
        if dry_run:
            _show_coming(coming_ca(wired.ports, seconds), console)
            return
        with locked(wired):
            step = rotate_ca(wired.design, wired.ports, seconds)
    _tell_of_ca(step, wired, console)


def _show_coming(steps: tuple[str, ...], console: Console) -> None:
    if console.json:
        console.data({"dry_run": True, "done": steps})
        return
    for stage in steps:
        console.line(f"would be done: {_STAGES[stage]}")
    if not steps:
        console.line("nothing would be done before the window has passed")


def _tell_of_ca(step: CaStep, wired: Wired, console: Console) -> None:
    if console.json:
        console.data({"done": step.done, "stage": step.authority.stage, "next_at": step.next_at})
        return
    for stage in step.done:
        console.line(_STAGES[stage])
    if step.next_at is None:
        return
    if not step.done:
        console.line(_STAGES[step.authority.stage.value])
    console.hint(
        f"copy {wired.design.layout.ca} to where clients run; the next step may be taken"
        f" from {step.next_at:%Y-%m-%d %H:%M} UTC on"
    )


_STAGES = {
    "announced": "the coming CA is trusted beside the one that signs",
    "signing": "the new CA signs; the one before is still trusted",
    "settled": "the new CA is trusted alone",
}


# -- keys ---------------------------------------------------------------------------------------


@new_command(
    "keys",
    ("pgstead rotate keys", "of every database with encrypted columns"),
    ("pgstead rotate keys shop --retire", "and take the older versions out of the ring"),
    exits=(0, 1, 2),
)
@click.argument("databases", nargs=-1, metavar="[DATABASE]...")
@click.option(
    "--retire", is_flag=True, help="Take older versions out; backups of before need a copy of them."
)
def _keys(databases: tuple[str, ...], retire: bool) -> None:
    """Encrypt every value anew with a further version of the key.

    What `pgstead keys new`, `keys rotate` and, with --retire, `keys retire` do one by one.
    Applications go on. Stop it and run it again: it is finished, without a further version.
    """
    from pgstead.cli.key_rotation import rotate_keys
    from pgstead.cli.wiring import locked, wire

    invocation = invocation_of()
    console = Console(invocation)
    with console.working():
        wired = wire(invocation.manifest, console, tolerant=True)
        named = [d.name for d in wired.design.databases if d.models]
        with locked(wired):
            found = [
                rotate_keys(name, invocation, console, retire=retire) for name in databases or named
            ]
    done = [each for each in found if each is not None]
    if invocation.json:
        console.data({"databases": done})
        return
    if not done:
        console.line("no database has encrypted columns")
    for each in done:
        console.line(
            f"{each.database}: version {each.version} writes, {each.rows} rows were renewed"
        )
        if each.retired:
            console.line(
                f"{each.database}: taken out of the ring: {', '.join(map(str, each.retired))}"
            )


# -- status -------------------------------------------------------------------------------------


@new_command(
    "status",
    ("pgstead rotate status", "how old each credential is, and what is due"),
    exits=(0, 1, 2, 3),
    exit_3="something is due, or half rotated",
)
def _status() -> int:
    """Show how old passwords are, when certificates end, and what is due or half rotated."""
    from pgstead.cli.wiring import wire
    from pgstead.errors import ExitStatus
    from pgstead.workflows.rotation import look

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire(invocation.manifest, console, tolerant=True)
    found = look(wired.design, wired.ports)
    if invocation.json:
        console.data({"credentials": found})
    else:
        rows = [(c.kind, c.name, _age(c.age), c.ends[:10], c.state) for c in found]
        console.table(rows, ("what", "of", "age", "ends", "is"))
    return ExitStatus.DRIFT if any(c.due for c in found) else ExitStatus.DONE


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 86400:.0f} d" if seconds >= 86400 else f"{seconds / 3600:.1f} h"


command = CommandGroup(
    "rotate",
    help="Change passwords, certificates, the CA and keys in use.\n\nThe agent"
    " does what is due by itself, unless rotation.automatic is false; keys are changed by command.",
    examples=(
        ("pgstead rotate status", "what is due"),
        ("pgstead rotate passwords", "of every role; the old ones are refused afterwards"),
        ("pgstead rotate certificates", "of server, pooler and clients"),
        ("pgstead rotate ca", "the next step of a change of the CA"),
        ("pgstead rotate keys", "a further version of the keys of encrypted columns"),
    ),
)
for each in (_passwords, _certificates, _ca, _keys, _status):
    command.add_command(each)
