"""The agent's jobs: each a process of its own, at its time, written down as the schedule's."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from pgstead.agent.caring import Caring
from pgstead.model.care import CarePlan
from tests.fix_stead import LiveStead


def job(stead: LiveStead, name: str) -> dict[str, Any]:
    """Do a job as the agent does; return what is written of it."""
    layout = stead.wired.design.layout
    command = [sys.executable, "-m", "pgstead.cli.care_job"]
    command += [str(layout.applied), str(layout.manifest_directory), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    care = stead.wired.ports.care
    assert care is not None
    (run,) = care.runs.runs(limit=1)
    return {"task": run.task, "cause": run.cause, "ending": run.ending}


@pytest.mark.parametrize(
    "name",
    [
        "retention",
        pytest.param("partitions", marks=pytest.mark.soak),
        pytest.param("integrity", marks=pytest.mark.soak),
    ],
)
def test_a_job_of_the_agent_is_written_down_as_the_schedule_s(stead: LiveStead, name: str) -> None:
    assert job(stead, name) == {"task": name, "cause": "schedule", "ending": "done"}


def test_each_job_comes_at_its_time_all_year_and_one_without_a_time_never(
    stead: LiveStead,
) -> None:
    design = replace(stead.wired.design, care=CarePlan(integrity=""))
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={})
    Caring(design).schedule(scheduler)
    jobs: list[Any] = scheduler.get_jobs()
    found = {each.id: each.trigger for each in jobs}
    assert sorted(found) == ["partitions", "retention"]
    now, times = datetime(2027, 1, 1, tzinfo=UTC), 0
    while (due := found["retention"].get_next_fire_time(None, now)) < datetime(
        2028, 1, 1, tzinfo=UTC
    ):
        assert (due.hour, due.minute) == (1, 20)
        now, times = due + timedelta(minutes=1), times + 1
    assert times == 365
