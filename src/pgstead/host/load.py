"""An open load: arrivals at their time by some users in threads, and what each took.

A closed loop asks only after it was answered, so a server that stands still is hardly asked
while it does, and looks well (docs/adr/0028). Here the next arrival is due whatever became of
the one before; who is not free in time is late, and that is told.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from pgstead.model.bench import ENOUGH, Kind, Measured, Round
from pgstead.model.bench import Load as Plan

_CALIBRATIONS = 25  # in each round
_WORK = 30_000


class Client(Protocol):
    """Who says something to one door, again and again."""

    def say(self, said: Any, /) -> str:
        """Say it; return why it failed, nothing where it went well."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is asked for, and where."""

    what: str
    kind: Kind
    door: str  # targets with the same one share a user's client
    opens: Callable[[], Client]
    said: object
    plan: str = ""


@dataclass
class _Seen:
    seconds: list[list[float]] = field(default_factory=list[list[float]])  # a list for each round
    reasons: Counter[str] = field(default_factory=Counter[str])


class Crowd:
    """Some users and what they ask for; `stop` or the end of a round ends them."""

    def __init__(self, targets: Sequence[Target], plan: Plan) -> None:
        """Open nothing yet."""
        self._targets = targets
        self._plan = plan
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._clients: list[dict[str, Client]] = [{} for _ in range(plan.users)]
        self._seen: Mapping[str, _Seen] = {target.what: _Seen() for target in targets}
        self._floor = _Seen()
        self._late: list[float] = []
        self._order = random.Random(1)  # noqa: S311 - the same order in every run

    def round(self, seconds: float, *, kept: bool = True) -> None:
        """Let all users work for some seconds; `kept` is false for what only warms up."""
        self._floor.seconds.append(_calibrated() if kept else [])
        for seen in self._seen.values():
            seen.seconds.append([])
        began = time.monotonic() + 0.05
        arrivals = iter(self._arrivals(seconds))
        users = [
            threading.Thread(target=self._work, args=(clients, arrivals, began, kept), daemon=True)
            for clients in self._clients
        ]
        for user in users:
            user.start()
        try:
            for user in users:
                user.join()
        except BaseException:
            self._ended.set()
            raise
        if not kept:
            self._forget()

    def close(self) -> None:
        """End all users and let go of their connections."""
        self._ended.set()
        for clients in self._clients:
            for client in clients.values():
                with suppress(Exception):  # it may be in the middle of something
                    client.close()

    def measured(self, floor: str) -> tuple[Measured, ...]:
        """Return what was seen; the machine itself by the name `floor`."""
        found = [_measured(t.what, t.kind, self._seen[t.what], t.plan) for t in self._targets]
        return (_measured(floor, Kind.FLOOR, self._floor), *found)

    @property
    def late(self) -> float | None:
        """p95 of the seconds that arrivals waited for a free user."""
        return percentile(self._late, 0.95)

    def _forget(self) -> None:
        for seen in (*self._seen.values(), self._floor):
            seen.seconds.clear()
            seen.reasons.clear()
        self._late.clear()

    def _arrivals(self, seconds: float) -> Iterable[tuple[float, Target]]:
        """Yield when each is due, and what for: all targets equally often, in random order."""
        at, order = 0, list(self._targets)
        while at / self._plan.rate < seconds:
            if at % len(order) == 0:
                self._order.shuffle(order)
            yield at / self._plan.rate, order[at % len(order)]
            at += 1

    def _work(
        self,
        clients: dict[str, Client],
        arrivals: Any,
        began: float,
        kept: bool,  # noqa: FBT001 - threads take positions
    ) -> None:
        while not self._ended.is_set():
            with self._turn:
                due, target = next(arrivals, (0.0, None))
            if target is None or self._ended.wait(max(0.0, began + due - time.monotonic())):
                return
            self._ask(clients, target, time.monotonic() - began - due, kept=kept)

    def _ask(self, clients: dict[str, Client], target: Target, late: float, *, kept: bool) -> None:
        client = clients.get(target.door)
        if client is None:
            client = clients[target.door] = target.opens()
        sent = time.perf_counter()
        problem = client.say(target.said)
        took = time.perf_counter() - sent
        if not kept:
            return
        with self._turn:
            seen = self._seen[target.what]
            self._late.append(late)
            if problem:
                seen.reasons[problem] += 1
            else:
                seen.seconds[-1].append(took)


def percentile(seconds: Sequence[float], share: float) -> float | None:
    """Return a percentile (nearest rank), None of too few."""
    if len(seconds) < ENOUGH[share]:
        return None
    return sorted(seconds)[math.ceil(share * len(seconds)) - 1]


def _measured(what: str, kind: Kind, seen: _Seen, plan: str = "") -> Measured:
    every = [value for each in seen.seconds for value in each]
    return Measured(
        what=what,
        kind=kind,
        rounds=tuple(
            Round(len(each), percentile(each, 0.5), percentile(each, 0.9)) for each in seen.seconds
        ),
        samples=len(every),
        failed=seen.reasons.total(),
        reasons=dict(seen.reasons),
        p95=percentile(every, 0.95),
        p99=percentile(every, 0.99),
        mean=sum(every) / len(every) if every else None,
        plan=plan,
    )


def _calibrated() -> list[float]:
    """Do the same work some times, with nothing else of ours beside it."""
    found: list[float] = []
    for _ in range(_CALIBRATIONS):
        began = time.perf_counter()
        sum(range(_WORK))
        found.append(time.perf_counter() - began)
    return found
