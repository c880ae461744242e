"""What containers run of the toolbox: `python -m pgstead.cli.container COMMAND`.

`prepare` makes what the server needs to start with, and does nothing where it runs; `provision`,
with server and pooler running, does all that `pgstead up` does; `run NAME` becomes a program of
the design (agent, wal-receiver); `hand-out` gives other containers what they see of the state.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from pgstead.model.containers import STEAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgstead.cli.wiring import Wired


def prepare() -> int:
    """Make what the server needs before it starts, unless it runs."""
    from pgstead.apply.run import execute
    from pgstead.cli.console import Console
    from pgstead.cli.invocation import Invocation
    from pgstead.cli.wiring import prepared, wire
    from pgstead.host.handing import hand_out
    from pgstead.model.address import Kind
    from pgstead.model.operation import Plan
    from pgstead.workflows.planning import plan

    console = Console(Invocation())
    wired = wire(STEAD, console)
    with prepared(wired):
        if wired.ports.sql.answers():
            console.line("the server runs: nothing to prepare")
            return 0
        wanted = plan(wired.design, wired.ports)
        local = {Kind.CLUSTER, Kind.SECRET, Kind.KEY_RING, Kind.BACKUP_KEY, Kind.CERTIFICATE}
        local.add(Kind.FILE)
        chosen = tuple(o for o in wanted.operations if o.address.kind in local)
        execute(Plan(chosen, unknown=wanted.unknown), wired.design, wired.ports)
        hand_out(wired.design)
    console.line(f"prepared: {len(chosen)} changes")
    return 0


def provision() -> int:
    """Bring about what the manifest says, as `pgstead up` does."""
    from pgstead.cli.main import main

    allowed = os.environ.get("PGSTEAD_ALLOW", "reload")  # noqa: TID251 - set by compose.yml alone
    status = main(["-C", STEAD, "up", "--allow", allowed])
    return status or hand_out()


def hand_out() -> int:
    """Give other containers what they see of the state."""
    from pgstead.host.handing import hand_out as hand

    hand(_wired().design)
    return 0


def run(name: str) -> NoReturn:
    """Become a program of the design."""
    from pgstead.host.foreground import become

    program = next(p for p in _wired().design.programs if p.name == name)
    os.umask(0o077)
    os.chdir(program.directory)
    become(program.command, environment=program.environment)


def _wired() -> Wired:
    from pgstead.cli.wiring import wire

    return wire(STEAD)


def main(arguments: Sequence[str]) -> int:
    """Do one of them."""
    match arguments:
        case ["prepare"]:
            return prepare()
        case ["provision"]:
            return provision()
        case ["hand-out"]:
            return hand_out()
        case ["run", name]:
            run(name)
        case _:
            sys.stderr.write(__doc__ or "")
            return 2


def start(arguments: Sequence[str]) -> int:
    """Do it, and tell what a user may meet as a command does."""
    from pgstead.cli.failure import report
    from pgstead.cli.invocation import Invocation
    from pgstead.errors import SteadError

    try:
        return main(arguments)
    except SteadError as error:
        return report(error, Invocation())


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
