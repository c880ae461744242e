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


def span(_ctx: click.Context, _parameter: click.Parameter, value: str) -> float:
    """Read a duration as the manifest has it."""
    from pgstead.manifest.quantities import duration

    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


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
def _passwords(roles: tuple[str, ...], watch: float, insist: bool) -> None:
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


def _must_know(wired: Wired, roles: tuple[str, ...]) -> None:
    from pgstead.workflows.rotate_passwords import lent, own

    known = (*lent(wired.design), *own(wired.design))
    unknown = [role for role in roles if role not in known]
    if unknown:
        raise UsageError(
            f"no password of the role {unknown[0]!r} is kept here",
            hint=f"there is: {', '.join(known)}",
        )


command = CommandGroup(
    "rotate",
    help="Change passwords, certificates, the CA and keys while applications work.",
    examples=(("pgstead rotate passwords", "of every role; the old ones are refused afterwards"),),
)
for each in (_passwords,):
    command.add_command(each)
