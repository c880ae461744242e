"""What Prometheus, Alertmanager, Grafana and a collector are given in containers, as files."""

from __future__ import annotations

from pgstead.model.design import Design
from pgstead.render import prometheus_rules, scraping, yaml_text
from pgstead.render.grafana import dashboard
from pgstead.render.yaml_text import Value

_SOURCE = "pgstead-prometheus"


def files(design: Design) -> dict[str, str]:
    """Return the files by name; none where no service tells metrics."""
    if not design.services:
        return {}
    told = {
        "collector.yml": scraping.collector(design, listen="0.0.0.0"),  # noqa: S104 - its container's
        "prometheus/prometheus.yml": scraping.prometheus(design) + yaml_text.text(_alerting()),
        "alertmanager/alertmanager.yml": _receivers(),
        "grafana/datasources/pgstead.yml": yaml_text.text(_datasource()),
        "grafana/dashboards/pgstead.yml": yaml_text.text(_provider()),
        "grafana/dashboards/stead.json": dashboard(design),
    }
    if design.alerts is not None:
        told["prometheus/pgstead.rules.yml"] = prometheus_rules.render(design.alerts)
    return {f"monitoring/{name}": text for name, text in told.items()}


def _alerting() -> dict[str, Value]:
    targets: Value = {"targets": ["alertmanager.internal:9093"]}
    return {"alerting": {"alertmanagers": [{"static_configs": [targets]}]}}


def _receivers() -> str:
    """Return a configuration that groups alerts; whom to tell, the agent knows (`[alerts]`)."""
    told: dict[str, Value] = {
        "route": {"receiver": "nobody", "group_by": ["alertname", "stead"]},
        "receivers": [{"name": "nobody"}],
    }
    head = (
        "# Tells nobody: mount a file of yours here, by compose.override.yml.\n"
        "# https://prometheus.io/docs/alerting/latest/configuration/\n"
    )
    return head + yaml_text.text(told)


def _datasource() -> dict[str, Value]:
    source: Value = {
        "name": "Prometheus",
        "uid": _SOURCE,
        "type": "prometheus",
        "access": "proxy",
        "url": "http://prometheus.internal:9090",
        "isDefault": True,
    }
    return {"apiVersion": 1, "datasources": [source]}


def _provider() -> dict[str, Value]:
    place: Value = {"path": "/etc/grafana/provisioning/dashboards"}
    provider: Value = {"name": "pgstead", "type": "file", "options": place}
    return {"apiVersion": 1, "providers": [provider]}
