"""What containers run of the toolbox: `python -m pgstead.cli.container COMMAND`.

`prepare` makes what the server needs to start with, and does nothing where it runs; `provision`,
with server and pooler running, does all that `pgstead up` does; `run NAME` becomes a program of
the design (agent, wal-receiver); `hand-out` gives other containers what they see of the state.
`check` says whether this code can carry on with what the volumes hold; `hold` has the pooler's
clients wait while the server's container is made anew; `first-backup` waits for it; `bring` takes
what the manifest names outside of itself from its standard input; `conduct upgrade` upgrades, and
asks who started it for the engine.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgstead.cli.wiring import Wired

PASSED = "passed"  # what `check` says in the end: its status may be lost on the way
_SILENCE = 60.0  # seconds; whoever speaks each second may be starved for many of them
_READY = 90.0  # seconds for a server to answer again


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
    _must_be_brought()
    wired = wire(Path.cwd(), console)
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

    _must_be_brought()
    status = main(["-C", ".", "up", "--allow", _allowed()])
    return status or hand_out()


def bring(keys: Sequence[str]) -> int:
    """Take the files that the manifest names: the one whose key is given, or all as one JSON."""
    from pgstead.host import brought

    text = sys.stdin.read()
    if keys:
        brought.take({keys[0]: text})
        return 0
    brought.take(json.loads(text), only=True)
    return 0


def _must_be_brought() -> None:
    from pgstead.cli.wiring import read_manifest
    from pgstead.design import brought as named
    from pgstead.host import brought

    brought.must_be_there(named.files(read_manifest(Path.cwd()).manifest))


def hand_out() -> int:
    """Give other containers what they see of the state."""
    from pgstead.host.handing import hand_out as hand

    hand(_wired().design)
    return 0


def check() -> int:
    """Refuse what `provision` would, before a container is made anew for it.

    The state of another stead or another major version, half of an upgrade, and changes that were
    not allowed.
    """
    from pgstead.cli.wiring import refuse_half_upgraded
    from pgstead.model.operation import Impact
    from pgstead.workflows.planning import plan
    from pgstead.workflows.up import refuse_impact

    wired = _wired()
    refuse_half_upgraded(wired.design.layout)
    if wired.ports.sql.answers():
        refuse_impact(plan(wired.design, wired.ports), Impact[_allowed().upper()])
    sys.stdout.write(f"{PASSED}\n")
    return 0


def upgrade(words: Sequence[str]) -> int:
    """Do what `pgstead upgrade` does, and say how it ended to who started this.

    Not every engine tells the status of a container that it removes at once (podman does not).
    """
    from pgstead.cli.main import main
    from pgstead.host.engine_line import MARK

    status = main(["-C", ".", *words])
    sys.stdout.write(f"{MARK}ended {status} 0\n")
    sys.stdout.flush()
    return status


def _allowed() -> str:
    return os.environ.get("PGSTEAD_ALLOW", "reload")  # noqa: TID251 - set by compose.yml alone


def hold(patience: float) -> int:
    """Have the pooler's clients wait from the word `held` until the word `done`.

    Whoever is killed out there says nothing more, and the clients go on.
    """
    from pgstead.apply import restarting
    from pgstead.cli.wiring import locked
    from pgstead.host.engine_supervisor import EngineSupervisor

    wired = _wired()
    ports = wired.ports
    with locked(wired):
        restarting.checkpoint(ports)
        ports.hold.release()  # what a killed one left
        restarting.give_time(ports)  # a container is made by others, who may be slow
        began = time.monotonic()
        try:
            with ports.hold.waiting(patience=patience):
                sys.stdout.write("held\n")
                sys.stdout.flush()
                heard = _listen()
                end = time.monotonic() + _READY
                while not ports.sql.answers() and time.monotonic() < end:
                    time.sleep(0.02)
                EngineSupervisor(wired.design, ports.sql, ports.console).speak_first()
        finally:
            restarting.usual_times(ports)
        sys.stdout.write(f"{time.monotonic() - began:.3f}\n" if heard else "unheard\n")
    return 0


def _listen() -> bool:
    """Return at the word `done`, at the end of input, or when nobody has spoken for a while.

    Say whether it was the word.

    Not every engine ends the input of a process whose client is gone (podman does not).
    """
    heard = b""
    while select.select([0], [], [], _SILENCE)[0]:
        said = os.read(0, 4096)
        heard = (heard + said)[-8:]
        if not said or heard.endswith(b"done\n"):
            return bool(said)
    return False


def first_backup() -> int:
    """Wait until a base backup was made and verified, unless one was long ago."""
    from pgstead.model.backup import Ending, Task
    from pgstead.workflows.first_backup import await_first

    ports = _wired().ports
    if ports.backup is None:
        return 0
    if any(run.ending is Ending.DONE for run in ports.backup.catalog.runs(Task.VERIFY)):
        return 0
    if told := await_first(ports):
        sys.stderr.write(f"warning: {told}: `pgstead logs agent --target compose`\n")
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

    return wire(Path.cwd())


def main(arguments: Sequence[str]) -> int:
    """Do one of them."""
    match arguments:
        case ["prepare"]:
            return prepare()
        case ["provision"]:
            return provision()
        case ["hand-out"]:
            return hand_out()
        case ["bring", *keys]:
            return bring(keys)
        case ["check"]:
            return check()
        case ["hold", patience]:
            return hold(float(patience))
        case ["first-backup"]:
            return first_backup()
        case ["conduct", *words]:
            return upgrade(words)
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
