"""`--target compose`: the same commands, on the stead in containers.

What brings containers about is done here; all else is done by the toolbox in the container of the
agent, which sees the stead as this machine sees one of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation
from pgstead.errors import NotRunningError, UsageError

if TYPE_CHECKING:
    from pgstead.host.compose_engine import ComposeEngine

OPTION = "--target"
_TOOLBOX = "/usr/local/bin/pgstead"
_NAME = "compose"
_VALUED = ("-C", "--manifest")  # shared options that take a value
# Nothing of a stead is needed for these, or they are about this machine.
_HERE = frozenset({"init", "schema", "render", "toolchain", "doctor"})
_CHANGING = frozenset({"keys", "migrate", "restore", "backup", "rotate"})


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
    place = _understood(line)
    from pgstead.cli import composed_up

    match line.command:
        case "up":
            return composed_up.up(line, _directory(line, place))
        case "upgrade":
            from pgstead.cli import composed_upgrade

            return composed_upgrade.upgrade(line, _directory(line, place))
        case "down":
            return _engine(line, place).down()
        case "destroy":
            return _destroy(line, place)
        case "restore" if "--in-place" in line.words and "--rehearse" not in line.words:
            engine = _engine(line, place)
            if not place:  # else the files that the manifest names may be another machine's
                _bring(line, engine)
            return _restore(line, engine)
        case _:
            return _inside(line, _engine(line, place))


def _understood(line: Line) -> str:
    """Return the place that the target names. Raises UsageError for what cannot be done there."""
    name, _, place = line.target.partition(":")
    if name != _NAME:
        raise UsageError(
            f"there is no target {name!r}", hint="--target compose, or compose:DIRECTORY"
        )
    if line.command in _HERE:
        raise UsageError(f"`{line.command}` is about this machine", hint="leave --target out")
    return place


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
    if "agent" not in engine.services():  # nothing is backed up or watched
        options = (*terminal, "--entrypoint", _TOOLBOX)
        return engine.once("provision", *line.words, options=options)
    if "agent" not in running:
        raise NotRunningError(
            "the container `agent` does not run, and commands are carried out in it",
            hint="`pgstead up --target compose` starts it",
        )
    from pgstead.cli.composed_up import INSIDE

    status = engine.run("exec", *terminal, "agent", _TOOLBOX, *line.words)
    if line.command in _CHANGING:
        engine.run("exec", "-T", "agent", *INSIDE, "hand-out")
    return status


def _bring(line: Line, engine: ComposeEngine) -> None:
    """Carry what the manifest names there: the passphrase of the backups, the keys of S3."""
    from pgstead.cli.composed_up import bring
    from pgstead.cli.wiring import read_manifest

    bring(engine, read_manifest(line.manifest))


def _restore(line: Line, engine: ComposeEngine) -> int:
    """Restore with everything stopped, which only the engine can do, and start it again."""
    if "--yes" not in line.words:
        raise UsageError(
            "restoring over what runs needs consent", hint="`pgstead restore --in-place --yes`"
        )
    from pgstead.cli import composed_up
    from pgstead.model.operation import Impact

    console = Console(line.invocation)
    running = {found.service for found in engine.containers() if found.state == "running"}
    backs_up = ("exec", "-T", "agent", _TOOLBOX, "-q", "backup", "now")
    if {"agent", "postgres"} <= running:
        if status := _refused(line, engine):
            return status  # and nothing was stopped
        # of what is about to be replaced
        if status := engine.run(*backs_up):
            return status
    # A store of ours is not what is restored: it may be what is restored from.
    engine.run("stop", *sorted(engine.services() - {"store"}))
    status = engine.once("provision", *line.words, options=("-T", "--entrypoint", _TOOLBOX))
    if status and "postgres" not in running:
        return status  # nothing ran before, and nothing is there that could
    # Roles get the passwords of this stead again, by `provision`.
    composed_up.start(engine, console, Impact.RESTART)
    if status:
        return status
    # earlier ones lead to a history that is over
    return engine.run(*backs_up, "--verify")


def _refused(line: Line, engine: ComposeEngine) -> int:
    """Rehearse it, and say why it cannot be; return the exit status."""
    if any(word.partition("=")[0] == "--from" for word in line.words):
        return 0  # that would fetch the repository
    told = engine.ask("exec", "-T", "agent", _TOOLBOX, *line.words, "--rehearse")
    if told.status:
        sys.stdout.write(told.out)
        sys.stderr.write(told.err)
    return told.status


def _destroy(line: Line, place: str) -> int:
    engine = _engine(line, place)
    if "--yes" not in line.words:
        raise UsageError(
            "destroy removes all containers and volumes, the data too",
            hint="`pgstead destroy --target compose --yes` does it",
        )
    return engine.down("--volumes", "--rmi", "local")
