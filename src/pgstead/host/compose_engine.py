"""Docker Compose as a program: found, asked for its version, and run on one directory."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pgstead.errors import MissingEngineError, NotRunningError

_FLOOR = (2, 0)  # DEP-9: what waits for health is of Compose 2
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_CANDIDATES = (("docker", "compose"), ("docker-compose",))
_HINT = "https://docs.docker.com/compose/install/ says how it is installed"


@dataclass(frozen=True, slots=True)
class Found:
    """A container of the project, as the engine tells of it."""

    service: str
    state: str  # running, exited, created ...
    health: str  # healthy, unhealthy, starting; empty where it has no check
    exit_code: int


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

    def containers(self) -> tuple[Found, ...]:
        """Return the containers of the project, those that have ended too."""
        told = _output(self._words(["ps", "--all", "--format", "json"]))
        return tuple(_found(row) for row in _rows(told))

    def last_words(self, service: str, lines: int = 20) -> str:
        """Return what a container said last."""
        options = ["logs", "--no-color", "--no-log-prefix", "--tail", str(lines), service]
        return _output(self._words(options)).strip()


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


def _found(row: Mapping[str, Any]) -> Found:
    return Found(
        service=str(row["Service"]),
        state=str(row["State"]),
        health=str(row.get("Health", "")),
        exit_code=int(row.get("ExitCode", 0)),
    )
