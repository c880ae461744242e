"""Targets that hang or fail, silences, the command, and a Prometheus beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from pgstead.model.alerts import AlertPlan, Phase
from pgstead.plan import conditions
from pgstead.render.prometheus_rules import WATCHDOG
from pgstead.render.prometheus_tests import RULE_FILE
from tests.live.alerts.conftest import Alerted
from tests.live.alerts.faults import idle
from tests.live.telemetry.seen import newest
from tests.prometheus import Prometheus, prometheus, promtool
from tests.waiting import until

NAME = "IdleInTransaction"


@contextmanager
def targets(alerted: Alerted, lines: str) -> Iterator[None]:
    """Have other targets for a while; they are read anew each time."""
    path = alerted.stead.directory / "targets"
    before = path.read_text()
    path.write_text(lines)
    try:
        yield
    finally:
        path.write_text(before)


def error_of(alerted: Alerted, target: str) -> str:
    found = alerted.stead.json("alerts", status=None)["targets"]
    return next((t["error"] for t in found if t["name"] == target), "")


def test_a_target_that_hangs_or_fails_keeps_nothing_from_the_others(alerted: Alerted) -> None:
    place = f"json://127.0.0.1:{alerted.receiver.port}"
    lines = f"hook = {place}/alerts\nslow = {place}/hang\nlost = json://user:Sesam9@127.0.0.1:1/x\n"
    with targets(alerted, lines):
        with idle(alerted.stead):
            until(lambda: alerted.receiver.heard(f" {NAME}"), "the alert")
            until(lambda: error_of(alerted, "lost") or None, "an error of what cannot be reached")
        until(lambda: alerted.receiver.heard("RESOLVED", NAME), "its end")
        shown = alerted.stead.run("alerts", status=None).stdout
        assert "target lost:" in shown
        assert "Sesam9" not in shown + alerted.stead.log_tail()


def test_a_silence_keeps_an_alert_from_being_told_and_not_from_firing(alerted: Alerted) -> None:
    until(lambda: alerted.phase(NAME) == "inactive" or None, "nothing fires")
    made = alerted.stead.json("alerts", "silence", "Idle*", "--for", "1h", "--reason", "a test")
    other = alerted.stead.json("alerts", "silence", "Trans*", "--for", "1h", "--reason", "a test")
    before = alerted.receiver.count(NAME)
    with idle(alerted.stead):
        until(lambda: alerted.phase(NAME) == "firing" or None, "it fires")
        assert NAME in alerted.stead.run("alerts", status=1).stdout
        assert alerted.receiver.count(NAME) == before
        alerted.stead.run("alerts", "unsilence", str(made["number"]))
        until(lambda: alerted.receiver.count(NAME) > before or None, "it is told after all")
    alerted.stead.run("alerts", "unsilence", str(other["number"]))


def test_what_fires_is_on_the_dashboard_and_in_the_metrics_until_it_is_over(
    alerted: Alerted,
) -> None:
    alerted.stead.wait_for_service()
    service = f"http://127.0.0.1:{alerted.stead.api_port}"
    line = f'pgstead_alert_firing{{alert="{NAME}"'

    def shown() -> bool:
        return line in httpx.get(f"{service}/metrics", timeout=30).text

    until(
        lambda: "pgstead_alerts_firing" in httpx.get(f"{service}/metrics", timeout=60).text,
        "any alerts",
    )
    until(lambda: not shown(), "the end of an earlier one")
    with idle(alerted.stead):
        until(shown, "it fires")
        page = httpx.get(f"{service}/dashboard", timeout=30).text
        assert f">{NAME}" in page
        assert ">firing<" in page
    until(lambda: not shown(), "its end")


def test_who_silences_what_does_not_exist_is_told_what_does(alerted: Alerted) -> None:
    done = alerted.stead.run("alerts", "silence", "Nope", "--for", "1h", "--reason", "x", status=2)
    assert 'no rule is called "Nope"' in done.stderr
    alerted.stead.run("alerts", "silence", NAME, "--for", "long", "--reason", "x", status=2)


def test_the_command_sends_a_word_to_every_target(alerted: Alerted) -> None:
    found = alerted.stead.json("alerts", "test")["targets"]
    assert {t["target"]: t["error"] for t in found} == {"hook": "", "heartbeat": ""}


def test_the_rules_are_printed_beside_the_configuration_that_names_their_file(
    alerted: Alerted,
) -> None:
    scraped = alerted.stead.run("metrics", "prometheus").stdout
    assert "rule_files: [pgstead.rules.yml]" in scraped
    rules = alerted.stead.run("metrics", "rules").stdout
    assert f"alert: {NAME}" in rules
    assert alerted.stead.json("metrics", "rules") == {"rules": rules}
    assert "rule_files:" in alerted.stead.run("metrics", "rules", "--tests").stdout


def noted(alerted: Alerted) -> bool:
    """Say whether it is written down that the target knows: its end is told to who does."""
    ports = alerted.stead.wired.ports.alerts
    assert ports is not None
    return any(t.name == NAME and t.phase is Phase.FIRING for t in ports.store.told("hook"))


def test_the_dead_mans_switch_is_held_while_the_agent_lives_and_one_that_is_killed_forgets_nothing(
    alerted: Alerted,
) -> None:
    supervisor = alerted.stead.wired.ports.supervisor
    receiver = alerted.receiver
    until(lambda: alerted.phase(NAME) == "inactive" or None, "nothing fires")
    heard = receiver.count(f" {NAME}:")
    with idle(alerted.stead):
        until(lambda: alerted.phase(NAME) == "firing" or None, "it fires")
        until(lambda: receiver.count(f" {NAME}:") > heard or None, "it is told")
        until(lambda: noted(alerted), "the agent knows that it was told")
        before = receiver.beats
        until(lambda: receiver.beats > before or None, "a heartbeat")
        supervisor.stop("agent")
        last, told = receiver.beats, receiver.count(NAME)
        over = receiver.count("RESOLVED", f"{NAME},")  # noted before it can be told
        with pytest.raises(AssertionError):
            until(lambda: receiver.beats > last or None, "a heartbeat of nobody", seconds=3)
        supervisor.start("agent")
        until(lambda: receiver.beats > last or None, "a heartbeat of the next")
        assert alerted.phase(NAME) == "firing"
    until(lambda: receiver.count("RESOLVED", f"{NAME},") > over or None, "its end")
    assert receiver.count(f"{NAME}:") + receiver.count("RESOLVED", f"{NAME},") - over <= told + 1
    history = [c for c in alerted.stead.json("alerts", "history")["history"] if c["name"] == NAME]
    assert [(c["was"], c["became"]) for c in history[:2]] == [
        ("firing", "inactive"), ("inactive", "firing"),
    ]  # fmt: skip
    assert history[0]["at"] > history[1]["at"]


@pytest.mark.soak
def test_a_target_that_hangs_is_given_up_and_one_that_failed_is_told_later(
    alerted: Alerted,
) -> None:
    until(lambda: alerted.phase(NAME) == "inactive" or None, "nothing fires")
    place = f"json://127.0.0.1:{alerted.receiver.port}"
    with targets(alerted, f"hook = {place}/alerts\nslow = {place}/hang\n"):
        before = alerted.receiver.count(NAME)
        alerted.receiver.status = 500
        with idle(alerted.stead):
            until(lambda: error_of(alerted, "hook") or None, "it was refused")
            alerted.receiver.status = 200
            until(lambda: alerted.receiver.count(NAME) > before or None, "told after all")
            until(lambda: "30 s" in error_of(alerted, "slow") or None, "it is given up", 90)
        assert error_of(alerted, "hook") == ""


def test_a_prometheus_takes_the_configuration_and_the_rules_scrapes_the_service_and_alerts(
    alerted: Alerted, tmp_path: Path
) -> None:
    alerted.stead.wait_for_service()
    for name in ("prometheus", "rules"):
        text = alerted.stead.run("metrics", name).stdout
        (tmp_path / ("prometheus.yml" if name == "prometheus" else RULE_FILE)).write_text(text)
    assert "SUCCESS" in promtool(tmp_path, "check", "config", "prometheus.yml")
    plan = alerted.stead.wired.design.alerts
    assert plan is not None
    with prometheus(tmp_path, "prometheus.yml") as running:
        until(lambda: running.value("pg_up") == 1 or None, "a scrape that shows the server")
        (target,) = running.ask("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        assert target["labels"]["stead"] == "test"
        until(lambda: running.value('ALERTS{alertname="Watchdog"}'), "the rules are evaluated")
        (group,) = running.ask("rules")["groups"]
        wanted = {a.rule.name for a in plan.rules} | {WATCHDOG}
        assert {r["name"] for r in group["rules"]} == wanted
        assert {r["name"]: r["lastError"] for r in group["rules"] if r.get("lastError")} == {}
        wait_for_all(running, alerted, asked(plan))
        firing = f'ALERTS{{alertname="{NAME}",alertstate="firing"}}'
        assert running.value(firing) is None
        with idle(alerted.stead):
            until(lambda: running.value(firing), "it fires in Prometheus")
        until(lambda: running.value(firing) is None or None, "its end in Prometheus")


def asked(plan: AlertPlan) -> set[str]:
    """Return the metrics that the rules ask for."""
    return {metric for a in plan.rules for metric in conditions.metrics(a.condition)}


def wait_for_all(running: Prometheus, alerted: Alerted, wanted: set[str]) -> None:
    """Wait until Prometheus has every metric that there is a value of now."""

    def missing() -> set[str]:
        since = datetime.now(UTC) - timedelta(seconds=15)
        known = {
            s.metric for s in newest(alerted.stead).values() if s.value is not None and s.at > since
        }
        return (wanted & known) - {*running.ask("label/__name__/values")}

    try:
        until(lambda: not missing() or None, "every metric")
    except AssertionError:
        pytest.fail(f"Prometheus does not have {sorted(missing())}")
