"""Who carries messages: a thread for each target, and in it a program that can be killed.

A target that hangs keeps its own thread until the deadline, and nothing else.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import queue
import re
import stat
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pgstead.host import programs
from pgstead.model.alerts import AlertPlan, TargetFile
from pgstead.ports.alerts import Sent

HEARTBEAT = "heartbeat"
_DEADLINE = 30.0  # seconds for a delivery
_NAMED = re.compile(r"^(?P<name>[a-z][a-z0-9_-]{0,31})\s*=\s*(?P<url>\S.*)$")
_COMMAND = (sys.executable, "-m", "pgstead.host.notify_program")
_NOT_INSTALLED = 'Apprise is not installed: pip install "pgstead[notify]"'


@dataclass(frozen=True, slots=True)
class Address:
    """A target; the URL is a secret."""

    name: str
    url: str = field(repr=False)
    problem: str = ""


class TargetCouriers:
    """`ports.alerts.Couriers` by Apprise, and by HTTP for the heartbeat."""

    def __init__(self, plan: AlertPlan) -> None:
        """Keep where addresses stand; they are read each time, so a new one counts at once."""
        self._plan = plan
        self._busy: set[str] = set()
        self._ended: queue.SimpleQueue[Sent] = queue.SimpleQueue()

    def targets(self) -> tuple[tuple[str, str], ...]:
        """Return the names of all targets, each with what is wrong with it, or nothing."""
        return tuple((a.name, a.problem) for a in self._addresses())

    def carry(self, target: str, title: str, body: str) -> bool:
        """Begin to deliver; False where the last delivery is still under way."""
        found = next((a for a in self._addresses() if a.name == target), None)
        if found is None or found.problem:
            problem = found.problem if found is not None else "it is not in the manifest any more"
            return self._begin(target, lambda: problem)
        told = json.dumps({"url": found.url, "title": title, "body": body})
        return self._begin(target, lambda: _told(told))

    def beat(self) -> bool:
        """Begin to send a heartbeat; False where the last is still under way."""
        plan = self._plan.heartbeat
        return plan is not None and self._begin(HEARTBEAT, lambda: _beaten(Path(plan.path)))

    def ended(self) -> tuple[Sent, ...]:
        """Return the deliveries that have ended since this was asked last."""
        found: list[Sent] = []
        while not self._ended.empty():
            found.append(self._ended.get())
            self._busy.discard(found[-1].target)
        return tuple(found)

    def _begin(self, target: str, carried: Callable[[], str]) -> bool:
        if target in self._busy:
            return False
        self._busy.add(target)

        def carrying() -> None:
            error = "it failed"
            try:
                error = carried()
            finally:
                self._ended.put(Sent(target, error))

        # a daemon: the agent ends without waiting for a target that does not answer
        threading.Thread(target=carrying, name=f"alerts to {target}", daemon=True).start()
        return True

    def _addresses(self) -> Iterator[Address]:
        seen: set[str] = set()
        for file in self._plan.targets:
            for address in _read(file):
                if address.name not in seen:  # the first of a name counts
                    yield address
                seen.add(address.name)


def _read(file: TargetFile) -> Iterator[Address]:
    path = Path(file.path)
    fallback = file.name or path.name
    try:
        told = _closed(path)
    except OSError as error:
        yield Address(fallback, "", f"{path.name} cannot be read: {error.strerror}")
        return
    except ValueError as error:
        yield Address(fallback, "", str(error))
        return
    missing = "" if importlib.util.find_spec("apprise") else _NOT_INSTALLED
    lines = [line.strip() for line in told.splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    if file.name:
        yield Address(file.name, wanted[0] if wanted else "", missing or _one(wanted, path))
        return
    for number, line in enumerate(wanted, 1):
        if found := _NAMED.match(line):
            yield Address(found["name"], found["url"], missing)
        else:
            name = f"{path.name}:{number}"
            yield Address(name, "", "a line is `name = url`, the name in lower case")


def _one(wanted: list[str], path: Path) -> str:
    return "" if len(wanted) == 1 else f"{path.name} has to hold one address, in one line"


def _closed(path: Path) -> str:
    """Read a file with secrets. Raises ValueError where others may read it too."""
    if stat.S_IMODE(path.stat().st_mode) & 0o007:
        raise ValueError(f"{path.name} holds a secret, and everybody may read it: chmod o-rwx")
    return path.read_text(encoding="utf-8")


def _told(told: str) -> str:
    """Deliver in a process of its own; return what went wrong."""
    done = programs.run(_COMMAND, timeout=_DEADLINE, told=told)
    if done.ok:
        return ""
    if done.status == 124:
        return f"it did not answer within {_DEADLINE:g} s"
    return done.err.strip().splitlines()[-1] if done.err.strip() else "it was refused"


def _beaten(path: Path) -> str:
    """Ask the URL of the dead-man's switch; return what went wrong, without the URL."""
    try:
        url = _closed(path).strip()
        if not url.startswith(("http://", "https://")):
            return f"{path.name} holds no http or https URL"
        # the scheme was looked at
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            answer.read(1024)
    except urllib.error.HTTPError as error:
        return f"it answered {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"it cannot be reached: {type(error).__name__}"
    return ""
