"""An agent beside a job of hours goes on, and begins anew when that has ended."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgstead.agent import run as agent_run
from pgstead.agent.long_work import LongWork
from pgstead.model.design import Design
from pgstead.model.layout import Layout
from tests.unit.design.world import composed
from tests.waiting import until


def nothing() -> None:
    """Do nothing."""


def held(work: LongWork, *, beside: bool = False) -> tuple[threading.Thread, threading.Event]:
    """Have a job at work in a thread, until its event is set."""
    began, end = threading.Event(), threading.Event()

    def job() -> None:
        began.set()
        end.wait(120)

    thread = threading.Thread(target=work.do, args=(job, "a drill"), kwargs={"beside": beside})
    thread.start()
    assert began.wait(120)
    return thread, end


def test_who_has_nothing_at_work_leaves_at_once() -> None:
    left = threading.Event()
    work = LongWork(left.set)
    work.do(nothing, "a backup")
    assert not left.is_set()
    assert work.leave() == ()
    assert left.is_set()


def test_a_job_that_is_at_work_is_waited_for_and_no_other_begins() -> None:
    left, done = threading.Event(), list[str]()
    work = LongWork(left.set)
    thread, end = held(work)
    assert work.leave() == ("a drill",)
    work.do(lambda: done.append("backup"), "a backup")
    assert not left.is_set()
    end.set()
    thread.join()
    assert left.is_set()
    work.do(lambda: done.append("copy"), "a copy", beside=True)
    assert done == []


def test_what_is_copied_goes_on_while_another_is_waited_for() -> None:
    left, done = threading.Event(), list[str]()
    work = LongWork(left.set)
    thread, end = held(work)
    work.leave()
    work.do(lambda: done.append("copy"), "a copy", beside=True)
    assert done == ["copy"]
    assert not left.is_set()
    copying, copied = held(work, beside=True)
    end.set()
    thread.join()
    assert not left.is_set()
    copied.set()
    copying.join()
    assert left.is_set()


def test_a_job_that_fails_keeps_nobody() -> None:
    left = threading.Event()
    work = LongWork(left.set)

    def fails() -> None:
        work.leave()
        raise LookupError

    with pytest.raises(LookupError):
        work.do(fails, "a backup")
    assert left.is_set()


class HeldBackups(agent_run._Backups):
    """Backups of which one is at work until the test says so, beside a job that looks."""

    began, end, ended = threading.Event(), threading.Event(), threading.Event()
    looks = 0
    scheduler: Any = None
    left = frozenset({"upkeep", "passwords", "mend credentials"})

    def schedule(self, scheduler: Any) -> None:
        often = agent_run.IntervalTrigger(seconds=cast("int", 0.02))
        scheduler.add_job(self._make, None, id="backup")
        scheduler.add_job(self._look, often, id="sample")
        scheduler.add_job(nothing, agent_run._cron("0 0 1 1 *"), id="upkeep")
        HeldBackups.scheduler = scheduler

    def _look(self) -> None:
        HeldBackups.looks += 1

    def _made(self, cause: str) -> None:
        assert cause == "schedule"
        self.began.set()
        self.end.wait(120)
        self.ended.set()


def jobs() -> set[str]:
    """Return what the agent may still begin."""
    return {job.id for job in HeldBackups.scheduler.get_jobs()}


@pytest.fixture
def design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Design]:
    """Give a design in a directory of its own, whose manifest is looked at often."""
    layout = Layout(PurePosixPath(tmp_path), PurePosixPath(tmp_path))
    Path(layout.applied).parent.mkdir(parents=True, exist_ok=True)
    Path(layout.applied).write_text("before")
    monkeypatch.setattr(agent_run, "_Backups", HeldBackups)
    monkeypatch.setattr(agent_run, "_RELOAD", timedelta(seconds=0.02).total_seconds())
    kept = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGINT)}
    plan = cast("Any", object())  # what is held asks nothing of it
    yield replace(composed(), layout=layout, backup=plan, telemetry=None, audit=None, upkeep=None)
    for sign, handler in kept.items():
        signal.signal(sign, handler)


def test_an_agent_with_a_new_manifest_goes_on_until_the_backup_at_work_has_ended(
    design: Design, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def changing() -> None:
        try:
            assert HeldBackups.began.wait(120)
            Path(design.layout.applied).write_text("after")
            until(lambda: "begins anew" in caplog.text, "the manifest was not looked at")
            before = HeldBackups.looks
            until(lambda: HeldBackups.looks > before + 2, "nobody looks any more")
            # what would change the stead by the old manifest is left to the next agent
            until(lambda: not HeldBackups.left & jobs(), "it may begin")
            seen.append("went on")
        finally:
            HeldBackups.end.set()

    caplog.set_level(logging.INFO, logger="pgstead.agent")
    other = threading.Thread(target=changing)
    other.start()
    agent_run.run(design, cast("Any", SimpleNamespace(backup=object())))
    waited = HeldBackups.ended.is_set()
    other.join()
    assert waited, "the agent left beside a backup"
    assert seen == ["went on"]
    assert "begins anew when a backup has ended" in caplog.text
