"""The steads of tests: no job comes by the clock while one lives, unless its test says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.cron import CronTrigger
from pydantic import BaseModel

from pgstead.manifest import schedules
from pgstead.manifest.load import parse
from tests.far_schedules import undisturbed

PLAIN = """\
version = 1
name = "test"

[backup]
enabled = true

[upkeep]
enabled = true

[[databases]]
name = "one"
"""
NOW = datetime(2026, 11, 22, 16, 40, tzinfo=UTC)


def times(part: BaseModel, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every schedule of a manifest."""
    for name, value in part:
        if isinstance(value, BaseModel):
            yield from times(value, f"{place}{name}.")
        elif isinstance(value, str):
            try:
                yield f"{place}{name}", schedules.checked(value)
            except ValueError:
                continue


def test_no_job_of_the_agent_comes_within_half_a_day() -> None:
    default, far = parse(PLAIN), parse(undisturbed(PLAIN, NOW))
    assert {name for name, _ in times(far)} == {name for name, _ in times(default)}
    for name, when in times(far):
        due = CronTrigger.from_crontab(when, timezone=UTC).get_next_fire_time(None, NOW)
        assert due == NOW + timedelta(hours=12), name


def test_what_a_test_sets_stays() -> None:
    own = PLAIN.replace("enabled = true", 'schedule = "1 2 * * *"', 1)
    more = '\n[rotation]\nautomatic = false\n\n[backup.export]\nschedule = "0 4 * * *"\n'
    far = parse(undisturbed(own + more, NOW))
    assert far.backup.schedule == "1 2 * * *"
    assert far.backup.export.schedule == "0 4 * * *"
    assert not far.rotation.automatic
    assert far.rotation.schedule == "40 4 * * *"


def test_a_manifest_that_is_broken_stays_so() -> None:
    assert undisturbed("version = ") == "version = "
