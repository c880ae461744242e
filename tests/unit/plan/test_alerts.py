"""Alerts: when one fires and is over, whatever the clock does, and what targets are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.model.alerts import (
    ActiveRule,
    AlertRule,
    AlertState,
    Beyond,
    Every,
    Increase,
    Missing,
    Newest,
    Phase,
    Runbook,
    Seen,
    Severity,
    Share,
    Silence,
    Told,
)
from pgstead.model.telemetry import Fold, Sample
from pgstead.plan import alerts
from pgstead.plan.conditions import evaluate, growth

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HIGH = Beyond(Newest("load"), 10.0)


def rule(name: str = "Loaded", **given: object) -> AlertRule:
    told = AlertRule(name, HIGH, 60.0, Severity.WARNING, ("TEL-3",), "it is loaded",
                     Runbook("", "", ""), "load it")  # fmt: skip
    return replace(told, **given)


ACTIVE = ActiveRule(rule(), HIGH, 60.0)


def seen(value: float | None, at: datetime = NOW, *, fresh: bool = True) -> Seen:
    sample = Sample("load", value, at, reason="" if value is not None else "nobody knows")
    return Seen(at, {"load": (sample,)} if fresh else {}, fresh=fresh)


def state(phase: Phase, name: str = "Loaded", at: datetime = NOW) -> AlertState:
    return AlertState(name, phase, at, 0.0, at)


def test_it_is_pending_until_it_has_lasted_and_is_over_at_once() -> None:
    first = alerts.advance(ACTIVE, seen(11), None, 30)
    second = alerts.advance(ACTIVE, seen(11), first, 30)
    third = alerts.advance(ACTIVE, seen(11), second, 30)
    assert [s.phase.value for s in (first, second, third)] == ["pending", "pending", "firing"]
    assert alerts.advance(ACTIVE, seen(9), third, 30).phase is Phase.INACTIVE
    assert alerts.advance(ACTIVE, seen(9), second, 30).held == 0


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), min_size=1, max_size=30))
def test_it_fires_exactly_when_it_was_true_for_as_long_as_its_rule_says(
    looks: list[tuple[bool, float]],
) -> None:
    before, held = None, 0.0
    for true, elapsed in looks:
        was_true = before is not None and before.phase is not Phase.INACTIVE
        held = held + elapsed if true and was_true else 0.0
        before = alerts.advance(ACTIVE, seen(11 if true else 9), before, elapsed)
        expected = Phase.FIRING if held >= 60 else Phase.PENDING
        assert before.phase is (expected if true else Phase.INACTIVE)


@given(st.sampled_from(Phase), st.floats(0, 1e6))
def test_no_data_neither_fires_nor_ends_an_alert(phase: Phase, elapsed: float) -> None:
    after = alerts.advance(ACTIVE, seen(None), state(phase), elapsed)
    assert (after.phase, after.held, after.value) == (phase, 0.0, None)
    assert after.reason == "nobody knows"


@given(st.integers(-(10**7), 10**7))
def test_a_clock_that_jumps_makes_nothing_fire(jump: int) -> None:
    first = alerts.advance(ACTIVE, seen(11), None, 0)
    after = alerts.advance(ACTIVE, seen(11, NOW + timedelta(seconds=jump)), first, 1)
    assert after.phase is Phase.PENDING


def test_a_series_that_is_gone_is_nothing_bad_unless_nothing_was_sampled() -> None:
    assert evaluate(HIGH, Seen(NOW, {})).holds is False
    assert evaluate(HIGH, Seen(NOW, {}, fresh=False)).holds is None


def test_what_is_unknown_as_a_whole_is_unknown_for_each_of_its_series() -> None:
    condition = Beyond(Newest("ssl", (("ssl", "off"),), Fold.SUM), 1.0)
    unknown = Sample("ssl", None, NOW, (), "the server does not answer")
    on = Sample("ssl", 3, NOW, (("ssl", "on"),))
    assert evaluate(condition, Seen(NOW, {"ssl": (unknown,)})).holds is None
    assert evaluate(condition, Seen(NOW, {"ssl": (on,)})).holds is False


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20), st.integers(1, 18))
def test_growth_is_the_sum_of_what_was_counted_whatever_was_reset(
    steps: list[int], reset: int
) -> None:
    values, total = [0.0], 0.0
    for number, step in enumerate(steps):
        total = step if number == reset else total + step
        values.append(total)
    lost = 0 if reset >= len(steps) or steps[reset] < values[reset] else values[reset]
    assert growth(values) == sum(steps) - lost


def counted(*values: tuple[float, float]) -> Seen:
    past = tuple(Sample("jobs", v, NOW + timedelta(seconds=at)) for at, v in values)
    return Seen(NOW, {}, past={"jobs": past})


def test_a_counter_counts_within_its_span_and_nothing_of_the_future() -> None:
    condition = Beyond(Increase("jobs", 60), 5)
    told = evaluate(condition, counted((-90, 0), (-50, 100), (-10, 104), (3600, 900)))
    assert (told.holds, told.value) == (False, 4)


def test_a_counter_that_was_sampled_once_is_unknown() -> None:
    told = evaluate(Beyond(Increase("jobs", 60), 5), counted((-10, 1e6)))
    assert told.holds is None
    assert "twice" in told.reason


def test_a_share_of_nothing_is_nothing_bad() -> None:
    jobs = Increase("jobs", 60)
    told = evaluate(Beyond(Share(jobs, jobs), 0.1), counted((-20, 7), (-10, 7)))
    assert (told.holds, told.value) == (False, 0.0)


def test_of_several_conditions_one_that_is_false_is_enough_and_unknown_is_not_true() -> None:
    every = Every((HIGH, Missing("pulse")))
    assert evaluate(every, seen(11)).holds is True
    assert evaluate(every, seen(9)).holds is False
    assert evaluate(every, seen(None)).holds is None


def told_to(*states: AlertState, told: tuple[Told, ...] = (), repeat: float = 100.0,
            silences: tuple[Silence, ...] = (), now: datetime = NOW) -> alerts.Notice:  # fmt: skip
    rules = {
        "Loaded": rule(family="load"),
        "LoadedCritical": rule("LoadedCritical", severity=Severity.CRITICAL, family="load"),
    }
    return alerts.notice(rules, states, silences, told, now, repeat)


class TestTelling:
    """What a target is told."""

    def test_what_fires_is_told_once_and_again_after_a_while(self) -> None:
        told = (Told("ops", "Loaded", Phase.FIRING, NOW),)
        firing = state(Phase.FIRING)
        assert [s.name for s in told_to(firing).firing] == ["Loaded"]
        assert not told_to(firing, told=told)
        later = told_to(firing, told=told, now=NOW + timedelta(seconds=100))
        assert later.again == ("Loaded",)

    def test_the_end_is_told_to_who_heard_of_the_begin_and_to_nobody_else(self) -> None:
        told = (Told("ops", "Loaded", Phase.FIRING, NOW),)
        assert told_to(state(Phase.INACTIVE), told=told).resolved
        assert not told_to(state(Phase.INACTIVE))

    def test_a_silence_keeps_a_begin_back_and_no_end(self) -> None:
        silence = (Silence(1, "Load*", NOW + timedelta(hours=1), "", "", NOW),)
        told = (Told("ops", "Loaded", Phase.FIRING, NOW),)
        assert not told_to(state(Phase.FIRING), silences=silence)
        assert told_to(state(Phase.INACTIVE), silences=silence, told=told).resolved
        ended = NOW + timedelta(hours=2)
        assert told_to(state(Phase.FIRING), silences=silence, now=ended).firing

    def test_a_warning_is_not_told_beside_its_critical_alert(self) -> None:
        both = told_to(state(Phase.FIRING), state(Phase.FIRING, "LoadedCritical"))
        assert [s.name for s in both.firing] == ["LoadedCritical"]

    @pytest.mark.parametrize("jump", [-(10**6), 10**6])
    def test_a_clock_that_was_set_delays_no_reminder(self, jump: int) -> None:
        told = (Told("ops", "Loaded", Phase.FIRING, NOW),)
        assert told_to(state(Phase.FIRING), told=told, now=NOW + timedelta(seconds=jump)).firing

    def test_a_message_has_all_that_changed_in_one(self) -> None:
        told = (Told("ops", "Loaded", Phase.FIRING, NOW),)
        due = told_to(state(Phase.INACTIVE), state(Phase.FIRING, "LoadedCritical"), told=told)
        title, body = alerts.message("shop", due, {"LoadedCritical": rule("LoadedCritical")})
        assert title == "[shop] 1 firing, 1 resolved"
        assert len(body.splitlines()) == 2
