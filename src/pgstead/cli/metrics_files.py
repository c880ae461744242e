"""`pgstead metrics grafana|prometheus|rules|collector`: what others need of the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgstead.cli.command import command as new_command
from pgstead.cli.console import Console
from pgstead.cli.invocation import invocation_of
from pgstead.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgstead.model.design import Design


@new_command(
    "grafana",
    ("pgstead metrics grafana > stead.json", "Dashboards, New, Import in Grafana"),
    exit_0="printed",
)
def grafana() -> None:
    """Print a dashboard for Grafana (JSON) of the metrics of this stead."""
    from pgstead.render.grafana import dashboard

    _print(dashboard, "dashboard")


@new_command(
    "prometheus",
    ("pgstead metrics prometheus > prometheus.yml", "what Prometheus scrapes here, and how often"),
    exit_0="printed",
)
def prometheus() -> None:
    """Print a scrape configuration for Prometheus: the services of this stead."""
    from pgstead.render.scraping import prometheus as text

    _print(text, "prometheus")


@new_command(
    "rules",
    ("pgstead metrics rules > pgstead.rules.yml", "the alerts, as rules for Prometheus"),
    ("pgstead metrics rules --tests > test.yml", "and `promtool test rules test.yml`"),
    exit_0="printed",
)
@click.option("--tests", is_flag=True, help="Print unit tests for them instead.")
def rules(tests: bool) -> None:
    """Print the alerts as rules for Prometheus, with the thresholds of this manifest."""
    from pgstead.cli.wiring import wire
    from pgstead.render import prometheus_rules, prometheus_tests

    invocation = invocation_of()
    console = Console(invocation)
    plan = wire(invocation.manifest, console, tolerant=True).design.alerts
    if plan is None:
        raise UsageError(
            "this stead evaluates no alerts",
            hint="set alerts.enabled and telemetry.enabled to true, then `pgstead up`",
        )
    made = prometheus_tests.render(plan) if tests else prometheus_rules.render(plan)
    _tell(console, made, "tests" if tests else "rules")


@new_command(
    "collector",
    ("pgstead metrics collector > collector.yml", "otelcol --config collector.yml"),
    exit_0="printed",
)
def collector() -> None:
    """Print a configuration for an OpenTelemetry collector: OTLP in, scraping, Prometheus out."""
    from pgstead.render.scraping import collector as text

    _print(text, "collector")


def _print(make: Callable[[Design], str], name: str) -> None:
    """Print a text as it is, so that it can be sent to a file; with --json inside of an object."""
    from pgstead.cli.wiring import wire

    invocation = invocation_of()
    console = Console(invocation)
    design = wire(invocation.manifest, console, tolerant=True).design
    if not design.services:
        raise UsageError(
            "no database of this stead has a service, so nobody answers /metrics",
            hint="`[databases.service]` in the manifest mounts one",
        )
    _tell(console, make(design), name)


def _tell(console: Console, text: str, name: str) -> None:
    if invocation_of().json:
        console.data({name: text})
        return
    for line in text.splitlines():
        console.line(line)
