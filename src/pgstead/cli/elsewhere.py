"""`--target compose`: the same commands, on the stead in containers.

What brings containers about is done here; all else is done by the toolbox in the container of the
agent, which sees the stead as this machine sees one of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation
from pgstead.errors import InitializationError, NotRunningError, SteadError, UsageError

if TYPE_CHECKING:
    from pgstead.host.compose_engine import ComposeEngine

OPTION = "--target"
_NAME = "compose"
_VALUED = ("-C", "--manifest")  # shared options that take a value
# Nothing of a stead is needed for these, or they are about this machine.
_HERE = frozenset({"init", "schema", "render", "toolchain", "doctor"})
_CHANGING = frozenset({"keys", "migrate", "restore", "backup"})
_PATIENCE = 300.0  # seconds until all are healthy


@dataclass(frozen=True, slots=True)
class Line:
    """A command line without what leads elsewhere."""

    target: str
    manifest: str | None
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command's name; empty where there is none."""
        return next((word for word in self.words if not word.startswith("-")), "")

    @property
    def invocation(self) -> Invocation:
        """How it was called."""
        before = self.words[: self.words.index("--")] if "--" in self.words else self.words
        return Invocation(
            manifest=self.manifest,
            json="--json" in before,
            quiet="-q" in before or "--quiet" in before,
            command=self.command,
        )


def parse(arguments: Sequence[str]) -> Line | None:
    """Return the command line for elsewhere; None for one that is for this machine."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    target, manifest = "", None
    words: list[str] = []
    rest = iter(arguments[:end])
    for word in rest:
        name, equals, value = word.partition("=")
        if name == OPTION:
            target = value if equals else next(rest, "")
        elif name in _VALUED:
            manifest = value if equals else next(rest, "")
        else:
            words.append(word)
    if not target:
        return None
    return Line(target, manifest, (*words, *arguments[end:]))


def run(line: Line) -> int:
    """Carry the command out. Raises SteadError."""
    name, _, place = line.target.partition(":")
    if name != _NAME:
        raise UsageError(
            f"there is no target {name!r}", hint="--target compose, or compose:DIRECTORY"
        )
    if line.command in _HERE:
        raise UsageError(f"`{line.command}` is about this machine", hint="leave --target out")
    match line.command:
        case "up":
            return _up(line, place)
        case "down":
            return _engine(line, place).run("down")
        case "destroy":
            return _destroy(line, place)
        case "restore" if "--in-place" in line.words and "--rehearse" not in line.words:
            return _restore(line, _engine(line, place))
        case _:
            return _inside(line, _engine(line, place))


def _directory(line: Line, place: str) -> Path:
    from pgstead.cli.composing import DIRECTORY
    from pgstead.cli.place import find_manifest

    return Path(place).resolve() if place else find_manifest(line.manifest).parent / DIRECTORY


def _engine(line: Line, place: str) -> ComposeEngine:
    from pgstead.host.compose_engine import ComposeEngine

    return ComposeEngine.find(_directory(line, place))


def _inside(line: Line, engine: ComposeEngine) -> int:
    terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["-T"]
    running = {found.service for found in engine.containers() if found.state == "running"}
    if "agent" not in running:
        raise NotRunningError(
            "the container `agent` does not run, and commands are carried out in it",
            hint="`pgstead up --target compose` starts it",
        )
    toolbox = ("/usr/local/bin/pgstead",)
    status = engine.run("exec", *terminal, "agent", *toolbox, *line.words)
    if line.command in _CHANGING:
        engine.run("exec", "-T", "agent", *_HAND_OUT)
    return status


def _restore(line: Line, engine: ComposeEngine) -> int:
    """Restore with everything stopped, which only the engine can do, and start it again."""
    if "--yes" not in line.words:
        raise UsageError(
            "restoring over what runs needs consent", hint="`pgstead restore --in-place --yes`"
        )
    console = Console(line.invocation)
    running = {found.service for found in engine.containers() if found.state == "running"}
    toolbox = "/usr/local/bin/pgstead"
    backs_up = ("exec", "-T", "agent", toolbox, "-q", "backup", "now")
    # of what is about to be replaced
    if {"agent", "postgres"} <= running and (status := engine.run(*backs_up)):
        return status
    engine.run("stop")
    once = ("run", "--rm", "-T", "--no-deps", "--entrypoint", toolbox, "provision")
    status = engine.run(*once, *line.words)
    if status and "postgres" not in running:
        return status  # nothing ran before, and nothing is there that could
    # Roles get the passwords of this stead again, by `provision`.
    if begun := engine.run("up", "--detach", environment={"PGSTEAD_ALLOW": "restart"}):
        raise _failure(engine, begun)
    _await_health(engine, console)
    if status:
        return status
    # earlier ones lead to a history that is over
    return engine.run(*backs_up)


_HAND_OUT = ("/opt/pgstead/bin/python", "-m", "pgstead.cli.container", "hand-out")


def _destroy(line: Line, place: str) -> int:
    engine = _engine(line, place)
    if "--yes" not in line.words:
        raise UsageError(
            "destroy removes all containers and volumes, the data too",
            hint="`pgstead destroy --target compose --yes` does it",
        )
    return engine.run("down", "--volumes", "--rmi", "local")


def _up(line: Line, place: str) -> int:
    """Write the directory, have the engine bring it about, and wait until all are healthy."""
    from pgstead.cli.composing import rendered
    from pgstead.cli.wiring import read_manifest
    from pgstead.host.compose_engine import ComposeEngine

    console = Console(line.invocation)
    began = time.monotonic()
    source = read_manifest(line.manifest)
    directory = _directory(line, place)
    with console.working():
        console.step("writing compose.yml and what the images are built of")
        rendered(source).write(directory)
    engine = ComposeEngine.find(directory)
    allow = _option(line, "--allow") or "reload"
    status = engine.run("up", "--detach", "--remove-orphans", environment={"PGSTEAD_ALLOW": allow})
    if status:
        raise _failure(engine, status)
    _await_health(engine, console)
    told = {found.service: found.health or found.state for found in engine.containers()}
    seconds = time.monotonic() - began
    if line.invocation.json:
        console.data({"directory": directory, "containers": told, "seconds": round(seconds, 3)})
        return 0
    console.line(f'stead "{source.manifest.name}" is up in containers ({seconds:.1f} s)')
    console.table([*told.items()], ("container", "state"), indent="  ")
    console.hint("`pgstead prove --target compose` tries every promise")
    return 0


def _option(line: Line, name: str) -> str:
    words = iter(line.words)
    for word in words:
        told, equals, value = word.partition("=")
        if told == name:
            return value if equals else next(words, "")
    return ""


def _failure(engine: ComposeEngine, status: int) -> SteadError:
    """Tell what failed: Compose says only that something it waited for did."""
    for name in ("prepare", "provision"):
        found = next((f for f in engine.containers() if f.service == name), None)
        if found is not None and found.state == "exited" and found.exit_code:
            said = engine.last_words(name)
            kind = InitializationError if found.exit_code == 5 else SteadError
            error = kind(f"{name} ended with {found.exit_code}: {said}", hint="mend it, `up` again")
            if found.exit_code in (2, 3):
                from pgstead.errors import NotAllowedError

                return NotAllowedError(error.message, hint="`--allow restart` lets it happen")
            return error
    return SteadError(
        f"docker compose up ended with {status}",
        hint=f"`docker compose --project-directory {engine.directory} ps --all` shows what runs",
    )


def _await_health(engine: ComposeEngine, console: Console) -> None:
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
