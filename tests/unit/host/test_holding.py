"""Who makes the pooler's clients wait: a thread that has nothing to do with users."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from pgstead.errors import NotRunningError
from pgstead.host.holding import PoolerHold
from pgstead.ports import Row


class Console:
    """A console that keeps which thread connected; one that is not there refuses."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.connected: list[threading.Thread] = []
        self.ran: list[str] = []

    def rows(self, command: str) -> Sequence[Row]:
        del command
        return []

    def run(self, command: str) -> None:
        self.prepared(command)()

    def prepared(self, command: str) -> Callable[[], None]:
        self.connected.append(threading.current_thread())
        if not self.there:
            raise NotRunningError("gone", hint="start it")
        return lambda: self.ran.append(command)

    def at_rest(self, command: str) -> None:
        self.run(command)

    def answers(self) -> bool:
        return self.there


def test_nobody_connects_to_the_console_beside_the_work() -> None:
    """The user's id is another one while somebody connects, and that is so in every thread."""
    console = Console()
    with PoolerHold(console, lambda: ["true"]).waiting(patience=0, anyway=True) as pooled:
        assert pooled
    assert set(console.connected) == {threading.main_thread()}
    assert "RESUME" in console.ran


def test_a_pooler_that_is_gone_keeps_nobody_from_what_is_done_anyway() -> None:
    hold = PoolerHold(Console(there=False), lambda: ["true"])
    with hold.waiting(patience=0, anyway=True) as pooled:
        assert pooled
    with pytest.raises(NotRunningError), hold.waiting(patience=1):
        pass
