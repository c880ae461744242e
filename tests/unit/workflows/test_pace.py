"""How far long work has come, in words; and that only who watches is told over and over."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from pgstead.workflows import pace

MB = 2**20


@dataclass
class Listener:
    """Somebody who is told of steps."""

    watched: bool
    heard: list[str] = field(default_factory=list[str])

    def step(self, text: str) -> None:
        """Remember it."""
        self.heard.append(text)


@pytest.mark.parametrize(
    ("done", "expected", "left", "words"),
    [
        (0, 0, None, "copying"),
        (3 * MB, 0, None, "copying: 3 MB"),
        (3 * MB, 12 * MB, None, "copying: 3 of about 12 MB (25%)"),
        (13 * MB, 12 * MB, 4.2, "copying: 12 of about 12 MB (100%), about 4 s left"),
        (0, 0, -1.0, "copying: longer than usual"),
    ],
)
def test_a_step_is_told_with_what_is_known(
    done: int, expected: int, left: float | None, words: str
) -> None:
    assert pace.told("copying", done, expected, left) == words


def test_who_reads_a_pipe_is_told_once() -> None:
    listener = Listener(watched=False)
    with pace.Pace(listener, 10.0).step("copying", lambda: MB, 2 * MB):
        pass
    assert listener.heard == ["copying"]


def test_who_watches_is_told_how_far_it_is_until_it_ends() -> None:
    listener = Listener(watched=True)
    end = time.monotonic() + 30
    with pace.Pace(listener, 1000.0).step("copying", lambda: MB, 2 * MB):
        while len(listener.heard) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    assert listener.heard[1].startswith("copying: 1 of about 2 MB (50%), about ")
    heard = len(listener.heard)
    time.sleep(0.6)
    assert len(listener.heard) == heard
