"""Docker Compose as a program: found, asked for its version, and run on one directory."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from pgstead.errors import HostError, MissingEngineError, NoNetworkError, NotRunningError
from pgstead.model.containers import PROFILES

Done = TypeVar("Done")
_FLOOR = (2, 0)  # DEP-9: what waits for health is of Compose 2
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_CANDIDATES = (("docker", "compose"), ("docker-compose",))
_HINT = "https://docs.docker.com/compose/install/ says how it is installed"
_SLEEP = "trap exit TERM INT; sleep 600 & wait"  # a first process ends by what it traps alone
_ONCE = ("run", "--no-deps")
_ALL = {"COMPOSE_PROFILES": ",".join(PROFILES)}  # else the one of .env holds
_CONFIGURED, _IMAGE = "com.docker.compose.config-hash", "com.docker.compose.image"
_AWAY = re.compile(
    r"dial tcp|no such host|i/o timeout|TLS handshake|Temporary failure|connection refused"
    r"|Could not resolve|network is unreachable|pinging container registry",
    re.IGNORECASE,
)
_NOT_THERE = re.compile(
    r"manifest unknown|not found|does not exist|access denied|digest|unauthorized", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Found:
    """A container of the project, as the engine tells of it."""

    service: str
    state: str  # running, exited, created ...
    health: str  # healthy, unhealthy, starting; empty where it has no check
    exit_code: int
    configured: str = ""  # Compose's digest of what it was made by
    image: str = ""  # the image's own name at that time
    ports: frozenset[int] = frozenset()  # published


@dataclass(frozen=True, slots=True)
class Told:
    """What a program said, and how it ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What the engine's machine has; it may be a virtual one."""

    memory: int  # bytes
    cpus: int


@dataclass(frozen=True, slots=True)
class Pace:
    """What the engine takes for a container, in seconds, whatever runs in it."""

    made: float  # and started
    stopped: float
    removed: float
    said: float  # for anything at all: of each command, this is Compose's own


@dataclass(frozen=True, slots=True)
class ComposeEngine:
    """Compose, for the project in one directory."""

    command: tuple[str, ...]
    directory: Path

    @classmethod
    def find(cls, directory: Path) -> ComposeEngine:
        """Find a Compose that is new enough. Raises MissingEngineError or NotRunningError."""
        if not (directory / "compose.yml").is_file():
            raise NotRunningError(
                f"there is no compose.yml in {directory}",
                hint="`pgstead up --target compose` writes and starts it",
            )
        return cls.at(directory)

    @classmethod
    def at(cls, directory: Path) -> ComposeEngine:
        """Find it for a directory that need not be written yet. Raises MissingEngineError."""
        old = ""
        for words in _CANDIDATES:
            path = shutil.which(words[0])
            if path is None:
                continue
            told = _output([path, *words[1:], "version", "--short"])
            match = _VERSION.search(told)
            if match is None:
                continue
            if (int(match[1]), int(match[2])) >= _FLOOR:
                return cls((path, *words[1:]), directory)
            old = f"{' '.join(words)} is {match[0]}"
        if old:
            raise MissingEngineError(f"{old}, and 2.0 is the oldest that will do", hint=_HINT)
        raise MissingEngineError("there is no Docker Compose on this machine", hint=_HINT)

    def _words(self, arguments: Sequence[str]) -> list[str]:
        return [*self.command, "--project-directory", str(self.directory), *arguments]

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> int:
        """Run it with this process's terminal, and return its exit status."""
        # Ctrl-C reaches it too: it ends as it means to, and this process learns how.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            done = subprocess.run(
                self._words(arguments),
                check=False,
                env={**os.environ, **(environment or {})},
                preexec_fn=_heed_interrupts,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        return done.returncode

    def once(self, service: str, *arguments: str, options: Sequence[str] = ()) -> int:
        """Run one more container of a service to its end; return its exit status."""
        with self._one_more(service) as name:
            return self.run(*_ONCE, *options, "--name", name, service, *arguments)

    @contextmanager
    def _one_more(self, service: str) -> Generator[str]:
        """Give a name to one that is removed afterwards.

        By `--rm` the engine does that at its end, and podman 4.3 says 0 then, however it ended.
        """
        name = f"{service}-{secrets.token_hex(6)}"
        try:
            yield name
        finally:
            self.end(name)

    def down(self, *options: str) -> int:
        """Remove the containers, of all profiles and of killed commands; return the exit status."""
        return self.run("down", "--remove-orphans", *options, environment=_ALL)

    @property
    def _docker(self) -> str:
        return self.command[0] if len(self.command) > 1 else "docker"

    def end(self, name: str) -> None:
        """Kill and remove one container by its own name, where it is there."""
        _output([self._docker, "rm", "--force", name])

    def pace(self, service: str, name: str) -> Pace:
        """Try it on one more container like a service's, which sleeps; none is left.

        Raises HostError where the engine does not make one.
        """
        words = ("run", "--detach", "--no-deps", "--name", name, "--entrypoint", "sh", service)
        self.end(name)  # one that a killed trial left has the name
        try:
            made, told = _timed(lambda: self.ask(*words, "-c", _SLEEP))
            if told.status:
                raise HostError(
                    f"a container like that of {service} cannot be made: {told.err.strip()}",
                    hint=f"`docker compose --project-directory {self.directory} config` shows it",
                )
            said, _ = _timed(self.services)
            stopped, _ = _timed(lambda: _output([self._docker, "stop", name]))
        finally:
            removed, _ = _timed(lambda: self.end(name))
        return Pace(made, stopped, removed, said)

    def remove_unasked(self) -> None:
        """Remove the containers of profiles that are no longer asked for."""
        known = frozenset(self.ask("config", "--services", environment=_ALL).out.split())
        running = {found.service for found in self.containers()}
        if gone := running & known - self.services():
            self.ask("rm", "--stop", "--force", *sorted(gone), environment=_ALL)

    def ask(
        self, *arguments: str, environment: Mapping[str, str] | None = None, given: bytes = b""
    ) -> Told:
        """Run it with what it is given to read, and return what it says."""
        done = subprocess.run(
            self._words(arguments),
            input=given,
            capture_output=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )
        out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        return Told(done.returncode, out, err)

    def ask_once(self, service: str, *words: str, told: str = "", given: bytes = b"") -> Told:
        """Run one more container of a service, told a variable, to its end; return what it says."""
        options = ("-e", told) if told else ()
        with self._one_more(service) as name:
            return self.ask(*_ONCE, "-T", *options, "--name", name, service, *words, given=given)

    def converse(self, *arguments: str, heard: bool = True) -> subprocess.Popen[bytes]:
        """Begin it, with pipes to talk through; what is not `heard` goes to the terminal."""
        return subprocess.Popen(
            self._words(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if heard else None,
            start_new_session=True,  # a Ctrl-C is for us: the end of its input is for it
        )

    @property
    def local(self) -> bool:
        """Whether containers run on this machine, as far as the environment says."""
        return os.environ.get("DOCKER_HOST", "unix:").startswith("unix:")

    def must_answer(self) -> None:
        """Raise MissingEngineError where Compose is there, and no engine."""
        told = self.ask("ls", "--quiet")
        if told.status:
            raise MissingEngineError(
                f"the container engine does not answer: {' '.join(told.err.split())}",
                hint="start it (`systemctl start docker`), or name another one: DOCKER_HOST",
            )

    def machine(self) -> Machine | None:
        """Return the figures of the engine's machine; None where only `docker` could tell."""
        if len(self.command) < 2:
            return None
        told = _output([self.command[0], "info", "--format", "{{.MemTotal}} {{.NCPU}}"]).split()
        if len(told) != 2 or not all(word.isdigit() for word in told):
            return None
        return Machine(int(told[0]), int(told[1]))

    def build(self, *profiles: str) -> None:
        """Build the images that are not there yet. Raises NoNetworkError or HostError.

        `profiles` are those whose images are built as well.
        """
        built = self._built(*profiles)
        wanted = [name for name, image in built.items() if not self._image(image)]
        if not wanted:
            return
        status, said = self._watched(["build", *wanted])
        if not status:
            return
        last = next((line for line in reversed(said) if line.strip()), "")
        text = "\n".join(said)
        if _AWAY.search(text):
            raise NoNetworkError(
                f"an image could not be fetched or built: {last.strip()}",
                hint="nothing that runs was touched; check network, proxy and registry",
            )
        hint = "nothing that runs was touched; what was said above shows which step failed"
        if _NOT_THERE.search(text):
            hint = "nothing that runs was touched; `containers.image` names what is built on"
        raise HostError(f"building the images ended with {status}: {last.strip()}", hint=hint)

    def _watched(self, arguments: Sequence[str]) -> tuple[int, list[str]]:
        """Run it, pass on what it says, and return the last of that too."""
        said: deque[str] = deque(maxlen=40)
        with subprocess.Popen(
            self._words(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                said.append(line.decode("utf-8", "replace").rstrip())
                sys.stderr.write(f"{said[-1]}\n")
        return running.returncode, list(said)

    def _built(self, *profiles: str) -> dict[str, str]:
        """Return the images that are built here, by the service that builds them."""
        asked = (word for name in profiles for word in ("--profile", name))
        told = self.ask(*asked, "config", "--format", "json")
        if told.status:
            raise HostError(
                f"compose.yml is refused: {' '.join(told.err.split())}",
                hint=f"`docker compose --project-directory {self.directory} config` shows it",
            )
        services: dict[str, dict[str, Any]] = json.loads(told.out)["services"]
        return {name: s["image"] for name, s in services.items() if "build" in s}

    def _image(self, name: str) -> str:
        """Return an image's own name, empty where it is not there or nobody can tell."""
        if len(self.command) < 2:
            return ""
        inspect = [self.command[0], "image", "inspect", "--format", "{{.Id}}", name]
        return _output(inspect).strip()

    def outdated(self) -> frozenset[str]:
        """Return the services that run by another configuration or image than is wanted."""
        return frozenset(name for name, as_wanted in self.running().items() if not as_wanted)

    def running(self) -> Mapping[str, bool]:
        """Return the services that run, and whether as is wanted.

        It is one look: who begins anew each second may run for one, and not for the next.
        """
        told = self.ask("config", "--hash", "*")
        wanted = dict(line.split()[:2] for line in told.out.splitlines() if line.strip())
        config = json.loads(self.ask("config", "--format", "json").out)["services"]
        seen: dict[str, bool] = {}
        for found in (each for each in self.containers() if each.state == "running"):
            if found.service not in wanted or not found.configured:
                seen[found.service] = True
                continue
            image = self._image(str(config[found.service].get("image", "")))
            same = not (image and found.image) or _same(image, found.image)
            seen[found.service] = same and found.configured == wanted[found.service]
        return seen

    def closure(self, service: str) -> frozenset[str]:
        """Return a service and all that it depends on."""
        services = json.loads(self.ask("config", "--format", "json").out)["services"]
        found: set[str] = set()
        looking = [service]
        while looking:
            name = looking.pop()
            if name not in found:
                found.add(name)
                looking += services[name].get("depends_on", {})
        return frozenset(found)

    def services(self) -> frozenset[str]:
        """Return the names of all services."""
        return frozenset(self.ask("config", "--services").out.split())

    def containers(self) -> tuple[Found, ...]:
        """Return the containers of the project, those that have ended too."""
        told = _output(self._words(["ps", "--all", "--format", "json"]))
        return tuple(_found(row) for row in _rows(told))

    def last_words(self, service: str, lines: int = 20) -> str:
        """Return what a container said last."""
        options = ["logs", "--no-color", "--no-log-prefix", "--tail", str(lines), service]
        return _output(self._words(options)).strip()


def _timed(work: Callable[[], Done]) -> tuple[float, Done]:
    began = time.monotonic()
    done = work()
    return time.monotonic() - began, done


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _rows(told: str) -> list[dict[str, Any]]:
    """Read what `ps` prints: one array before 2.21, one object a line since."""
    text = told.strip()
    if not text:
        return []
    if text.startswith("["):
        return cast("list[dict[str, Any]]", json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def _same(one: str, other: str) -> bool:
    """Compare names of images: with the algorithm or without it."""
    return one.rpartition(":")[2] == other.rpartition(":")[2]


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    """Read `a=b,c=d`, as `ps` prints labels since 2.23; a value may hold a comma."""
    pairs = (pair.partition("=") for pair in str(row.get("Labels", "")).split(","))
    return {name: value for name, _, value in pairs}


def _found(row: Mapping[str, Any]) -> Found:
    labels = _labels(row)
    return Found(
        service=str(row["Service"]),
        state=str(row["State"]),
        health=str(row.get("Health", "")),
        exit_code=int(row.get("ExitCode", 0)),
        configured=labels.get(_CONFIGURED, ""),
        image=labels.get(_IMAGE, ""),
        ports=frozenset(int(port.get("PublishedPort", 0)) for port in row.get("Publishers") or ()),
    )
