"""What an upgrade in a container asks of who started it, over pipes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import pytest

from pgstead.errors import NotRunningError
from pgstead.host import engine_line
from pgstead.host.engine_line import EngineLine


@dataclass
class Outside:
    """The other end."""

    listener: IO[str]

    def say(self, word: str) -> None:
        self.listener.write(f"{word}\n")
        self.listener.flush()


@pytest.fixture(name="outside")
def _outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    into, out = os.pipe()
    reader, before = os.fdopen(into), set(threading.enumerate())
    monkeypatch.setattr(sys, "stdin", reader)
    listener = os.fdopen(out, "w")
    yield Outside(listener)
    listener.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)  # it reads to the end
    reader.close()


def test_what_was_done_is_waited_for(outside: Outside, capsys: pytest.CaptureFixture[str]) -> None:
    line = EngineLine()
    outside.say("wait")
    outside.say("done")
    line.ask("stop", "postgres", 17, timeout=10)
    assert capsys.readouterr().out == "@engine stop postgres 17\n"


def test_what_the_engine_takes_is_asked_where_there_is_one(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine_line.pace() == 0
    line = EngineLine()
    monkeypatch.setattr(engine_line, "_line", lambda: line)
    monkeypatch.setenv(engine_line.ASKED, "1")
    outside.say("done 5.125")
    assert engine_line.pace() == 5.125
    assert capsys.readouterr().out == "@engine try postgres 0\n"


def test_what_the_engine_could_not_is_said_with_its_words(outside: Outside) -> None:
    line = EngineLine()
    outside.say("failed no such image")
    with pytest.raises(NotRunningError, match="did not start postgres: no such image"):
        line.ask("start", "postgres", 18, timeout=10)


def test_nobody_is_waited_for_who_is_gone(outside: Outside) -> None:
    line = EngineLine()
    outside.listener.close()
    with pytest.raises(NotRunningError, match="nobody out there"):
        line.ask("start", "postgres", 18, timeout=60)


def test_silence_is_an_end(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_line, "_SILENCE", 0.3)
    line = EngineLine()
    outside.say("wait")
    with pytest.raises(NotRunningError, match="nobody out there"):
        line.ask("start", "postgres", 18, timeout=60)


def test_a_ctrl_c_out_there_is_one_in_here(outside: Outside) -> None:
    EngineLine()
    outside.say("wait")
    with pytest.raises(KeyboardInterrupt):
        _wait_after(outside, "interrupt")


def _wait_after(outside: Outside, word: str) -> None:
    outside.say(word)
    time.sleep(10)
