"""`pgstead up --target compose`: refused before anything is touched, or brought about.

The server's container is made anew while the pooler's clients wait: they see a stall, no error.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pgstead.cli.console import Console
from pgstead.cli.container import PASSED
from pgstead.errors import (
    BudgetError,
    BusyError,
    InitializationError,
    NotAllowedError,
    NotRunningError,
    PortTakenError,
    SteadError,
    UsageError,
)
from pgstead.model.operation import Impact

if TYPE_CHECKING:
    from pgstead.cli.elsewhere import Line
    from pgstead.cli.wiring import Source
    from pgstead.host.compose_engine import ComposeEngine
    from pgstead.model.containers import Composition

INSIDE = ("/opt/pgstead/bin/python", "-m", "pgstead.cli.container")
_PATIENCE = 300.0  # seconds until all are healthy
_DOORS = frozenset({"postgres", "pgbouncer"})  # whose end a client feels
_PAUSE = "10"  # seconds for open transactions to end


@dataclass
class Stall:
    """How long the pooler's clients waited, once that is known."""

    seconds: float | None = None


def up(line: Line, directory: Path) -> int:
    """Write the directory, have the engine bring it about, and wait until all are healthy."""
    from pgstead.cli.composing import BEFORE_UPGRADE, rendered
    from pgstead.cli.wiring import read_manifest
    from pgstead.host.compose_engine import ComposeEngine

    console = Console(line.invocation)
    began, allow = time.monotonic(), _allowed(line)
    source = read_manifest(line.manifest)
    engine = ComposeEngine.at(directory)
    engine.must_answer()
    made = rendered(source)
    refuse(engine, made.composition)
    with console.working():
        console.step("writing compose.yml and what the images are built of")
        made.write(directory)
    engine.build()
    bring(engine, source)
    with console.working():
        console.step("looking at what runs")
        renewed = _judged(engine, allow)
    stall = replace_server(engine) if "postgres" in renewed else Stall()
    start(engine, console, allow)
    # Left where an upgrade was killed before it had begun: what runs is described by the other one.
    (directory / BEFORE_UPGRADE).unlink(missing_ok=True)
    if source.manifest.backup.enabled:
        with console.working():
            console.step("making the first base backup")
            engine.run("exec", "-T", "agent", *INSIDE, "first-backup")
    took = time.monotonic() - began
    _tell(console, source.manifest.name, made.composition, engine, stall, took)
    return 0


def bring(engine: ComposeEngine, source: Source) -> None:
    """Carry the files that the manifest names into the volume of the state. Raises HostError."""
    from pgstead.design import brought as named
    from pgstead.host import brought

    if not (texts := brought.texts(named.files(source.manifest), source.directory)):
        return
    told = engine.ask_once("provision", "bring", given=json.dumps(texts).encode())
    if told.status:
        raise _refusal(told.status, told.err)


def _judged(engine: ComposeEngine, allow: Impact) -> frozenset[str]:
    """Return which doors are made anew. Raises where a change must not be, nothing touched."""
    if engine.containers():
        _must_pass("prepare", engine, allow)
    renewed = engine.outdated() & _DOORS
    must_be_allowed(renewed, allow)
    return renewed


def start(engine: ComposeEngine, console: Console, allow: Impact) -> None:
    """Have the engine start what does not run or is outdated, until all are healthy."""
    told = {"PGSTEAD_ALLOW": allow.word}
    engine.remove_unasked()
    # Who runs as wanted goes on: Compose makes all anew whose network it takes for another one, and
    # with podman it takes every one for that. The rest goes before, so that it is made by the whole
    # file: the digest of a container says what it depends on, as far as that was named.
    if kept := _kept(engine):
        engine.ask("rm", "--stop", "--force", *sorted(engine.services() - kept))
    if status := engine.run(
        "up", "--detach", "--remove-orphans", "--no-recreate", environment=told
    ):
        raise failure(engine, status)
    await_health(engine, console)


def _kept(engine: ComposeEngine) -> frozenset[str]:
    """Return the services that run as they are wanted."""
    return frozenset(name for name, as_wanted in engine.running().items() if as_wanted)


def _tell(
    console: Console,
    name: str,
    composition: Composition,
    engine: ComposeEngine,
    stall: Stall,
    seconds: float,
) -> None:
    told = {found.service: found.health or found.state for found in engine.containers()}
    where = {c.name: [p.where for p in c.published] for c in composition.started if c.published}
    if console.json:
        waited, rounded = stall.seconds, round(seconds, 3)
        data = {"directory": engine.directory, "containers": told, "seconds": rounded}
        console.data({**data, "published": where, "stall": waited})
        return
    console.line(f'stead "{name}" is up in containers ({seconds:.1f} s)')
    if stall.seconds is not None:
        console.line(f"a client of the pooler waited {stall.seconds:.2f} s at most")
    rows = [(each, state, ", ".join(where.get(each, ()))) for each, state in told.items()]
    console.table(rows, ("container", "state", "where"), indent="  ")
    console.hint("`pgstead prove --target compose` tries every promise")


def _allowed(line: Line) -> Impact:
    word = option(line, "--allow") or Impact.RELOAD.word
    try:
        return Impact[word.upper()]
    except KeyError as error:
        known = ", ".join(impact.word for impact in Impact)
        raise UsageError(f"there is no impact {word!r}", hint=f"one of {known}") from error


def option(line: Line, name: str) -> str:
    """Return the value of an option; empty where it is not given."""
    words = iter(line.words)
    for word in words:
        told, equals, value = word.partition("=")
        if told == name:
            return value if equals else next(words, "")
    return ""


# -- what is refused --------------------------------------------------------------------------


def refuse(engine: ComposeEngine, composition: Composition) -> None:
    """Raise where the engine's machine cannot have it: too small, or a port is taken."""
    always = composition.started
    machine = engine.machine()
    if machine is not None:
        most = max(always, key=lambda container: container.limits.memory)
        if most.limits.memory > machine.memory:
            raise BudgetError(
                f"the design gives {most.name} {_gb(most.limits.memory)}, and the container"
                f" engine's machine has {_gb(machine.memory)}",
                hint="server.memory says what it may take; or give that machine more",
                key="server.memory",
            )
        cpus = max(container.limits.cpus for container in always)
        if cpus > machine.cpus:
            raise BudgetError(
                f"the design reckons with {cpus:g} processors, and the container engine's machine"
                f" has {machine.cpus}",
                hint="server.cpus says how many it may use",
                key="server.cpus",
            )
    _ports_must_be_free(engine, composition)


def _gb(size: int) -> str:
    return f"{size / 2**30:.1f} GB"


def _ports_must_be_free(engine: ComposeEngine, composition: Composition) -> None:
    from pgstead.cli.doors import is_taken
    from pgstead.host import listening

    if not engine.local:
        return  # the ports are another machine's
    # podman tells the ports of what has ended, too
    running = (found for found in engine.containers() if found.state == "running")
    ours = {port for found in running for port in found.ports}
    for container in composition.started:
        for published in container.published:
            port = published.port
            if port not in ours and is_taken(published.address, port):
                raise PortTakenError(
                    f"port {port} of {container.name} is taken by {listening.holder(port)}",
                    hint="end that process, or choose another port in the manifest",
                )


def _must_pass(service: str, engine: ComposeEngine, allow: Impact) -> None:
    """Have the new code look at the state first: what it refuses leaves all running as it is."""
    told = engine.ask_once(service, "check", told=f"PGSTEAD_ALLOW={allow.word}")
    if told.status or PASSED not in told.out.split():
        raise _refusal(told.status, told.err)


def _refusal(status: int, said: str) -> SteadError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    words = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    message = " ".join(words or lines[-3:]) or f"the look at what runs ended with {status}"
    hint = " ".join(hints) or "nothing that runs was touched"
    kinds = {2: UsageError, 3: NotAllowedError, 5: InitializationError}
    return kinds.get(status, SteadError)(message, hint=hint)


def must_be_allowed(renewed: frozenset[str], allow: Impact) -> None:
    """Raise NotAllowedError where a door would be made anew without consent."""
    if renewed and allow < Impact.RESTART:
        raise NotAllowedError(
            f"another image or configuration restarts {' and '.join(sorted(renewed))}",
            hint="clients of the pooler wait while the server does, and are cut off where the"
            " pooler does: `pgstead up --target compose --allow restart`",
        )


# -- what is brought about --------------------------------------------------------------------


def replace_server(engine: ComposeEngine) -> Stall:
    """Make the server's container anew while the pooler's clients wait."""
    running = {found.service for found in engine.containers() if found.state == "running"}
    served = {"agent", "pgbouncer"} <= running
    with clients_waiting(engine) if served else _nobody_waits() as stall:
        make_server_anew(engine)
    return stall


def make_server_anew(engine: ComposeEngine) -> None:
    """Have the server's container be the one that compose.yml describes. Raises SteadError."""
    # Made with what it depends on, or its digest would be another one than that of the file;
    # started alone, for who waits holds the stead, and `prepare` would be refused.
    named = sorted(engine.closure("postgres"))
    status = engine.run("up", "--no-start", "--no-deps", *named) or engine.run(
        "up", "--detach", "--no-deps", "--no-recreate", "postgres"
    )
    if status:
        raise failure(engine, status)


@contextmanager
def _nobody_waits() -> Generator[Stall]:
    yield Stall()


@contextmanager
def clients_waiting(engine: ComposeEngine) -> Generator[Stall]:
    """Have the pooler's clients wait while the block lasts, and until the server answers.

    The agent's container holds them; where this process is killed it hears no more, and they go on.
    Raises BusyError where transactions do not end.
    """
    stall = Stall()
    with engine.converse("exec", "-T", "agent", *INSIDE, "hold", _PAUSE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline().strip() != b"held":
            refused = _refusal(1, holder.stderr.read().decode("utf-8", "replace"))
            raise BusyError(refused.message, hint=refused.hint)
        try:
            with speaking(holder.stdin):
                yield stall
        finally:
            said = holder.stdout.readline().strip()
    if said == b"unheard":
        raise BusyError(
            "the agent heard nothing from here for a minute, and let the pooler's clients go on:"
            " some may have been cut off",
            hint="the machine is too busy, or this command was stopped; `pgstead up` again",
        )
    with suppress(ValueError):
        stall.seconds = float(said)


@contextmanager
def speaking(listener: IO[bytes]) -> Generator[None]:
    """Say each second that we are there, and in the end that we are done."""
    ended = threading.Event()

    def speak() -> None:
        while not ended.wait(1):
            with suppress(OSError):
                listener.write(b"wait\n")
                listener.flush()

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        ended.set()
        speaker.join()
        with suppress(OSError):
            listener.write(b"done\n")
            listener.close()


def failure(engine: ComposeEngine, status: int) -> SteadError:
    """Tell what failed: Compose says only that something it waited for did."""
    for name in ("prepare", "provision"):
        found = next((f for f in engine.containers() if f.service == name), None)
        if found is not None and found.state == "exited" and found.exit_code:
            said = engine.last_words(name)
            kind = InitializationError if found.exit_code == 5 else SteadError
            error = kind(f"{name} ended with {found.exit_code}: {said}", hint="mend it, `up` again")
            if found.exit_code in (2, 3):
                return NotAllowedError(error.message, hint="`--allow restart` lets it happen")
            return error
    return SteadError(
        f"docker compose up ended with {status}",
        hint=f"`docker compose --project-directory {engine.directory} ps --all` shows what runs",
    )


def await_health(engine: ComposeEngine, console: Console) -> None:
    """Wait until every container that has a check passes it. Raises NotRunningError."""
    deadline = time.monotonic() + _PATIENCE
    with console.working():
        while True:
            found = engine.containers()
            waiting = [f.service for f in found if f.health == "starting"]
            ill = [f.service for f in found if f.health == "unhealthy"]
            if not waiting and not ill:
                return
            if time.monotonic() > deadline:
                raise NotRunningError(
                    f"not healthy after {_PATIENCE:g} s: {', '.join([*ill, *waiting])}",
                    hint="`docker compose logs NAME` shows what it says",
                )
            console.step(f"waiting for {', '.join([*ill, *waiting])}")
            time.sleep(1)
