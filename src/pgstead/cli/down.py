"""`pgstead down`."""

from __future__ import annotations

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of


@new_command("down", ("pgstead down", "stop everything"), ("pgstead up", "and start it again"))
def command() -> None:
    """Stop everything; data stays.

    The services first, then the pooler, then the server (a fast shutdown). No process, port or
    temporary file is left.
    """
    from pgstead.cli.wiring import locked, wire_to_stop
    from pgstead.workflows.down import down

    invocation = invocation_of()
    console = Console(invocation)
    wired = wire_to_stop(invocation.manifest, console)
    was_running = False
    if wired.exists:
        with console.working(), locked(wired):
            was_running = down(wired.ports)
    if invocation.json:
        console.data({"stead": wired.design.name, "was_running": was_running})
        return
    name = wired.design.name
    console.line(f'stead "{name}" is down' if was_running else f'stead "{name}" was not running')
