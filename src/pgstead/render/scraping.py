"""Who fetches the metrics: configurations of Prometheus and of an OpenTelemetry collector.

A service answers `/metrics`; the server's own port speaks PostgreSQL's protocol and nothing that a
scraper could read. The samples of the stead are asked of one service, of the others only what
they measure themselves, else every series of the stead would be there as often as services.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from pgstead.model.design import Design, Service

_PORTS = {"http": 4318, "grpc": 4317}


def prometheus(design: Design) -> str:
    """Return a scrape configuration (prometheus.yml)."""
    seconds = _interval(design)
    lines = [
        f"# Scrapes the services of the stead {json.dumps(design.name)}.",
        "# Made by `pgstead metrics prometheus`.",
        "global:",
        f"  scrape_interval: {seconds}s",
        f"  scrape_timeout: {min(10, seconds)}s",
        f"  evaluation_interval: {seconds}s",
        *_rule_files(design),
        "scrape_configs:",
        *(f"  {line}" for line in _jobs(design)),
    ]
    return "\n".join(lines) + "\n"


def _rule_files(design: Design) -> Iterator[str]:
    if design.alerts is not None:
        yield "rule_files: [pgstead.rules.yml]  # `pgstead metrics rules > pgstead.rules.yml`"


def collector(design: Design, *, listen: str = "") -> str:
    """Return the configuration of an OpenTelemetry collector: OTLP in, scraping, Prometheus out.

    `listen` is the address it takes all of that on; else loopback, or where the manifest sends.
    https://opentelemetry.io/docs/collector/configuration/
    """
    lines = [
        f"# Receives what the services of the stead {json.dumps(design.name)} send, scrapes the",
        "# samples of the stead, and shows both to Prometheus.",
        "# Made by `pgstead metrics collector`.",
        "receivers:",
        "  otlp:",
        "    protocols:",
        *(line for name in ("grpc", "http") for line in _receiver(design, name, listen)),
        "  prometheus:",
        "    config:",
        "      scrape_configs:",
        *(f"        {line}" for line in _jobs(design, only="stead")),
        "processors:",
        "  memory_limiter:",
        "    check_interval: 1s",
        "    limit_percentage: 75",
        "    spike_limit_percentage: 15",
        "  batch: {}",
        "exporters:",
        "  prometheus:",
        f"    endpoint: {listen or '127.0.0.1'}:8889",
        "    resource_to_telemetry_conversion:",
        "      enabled: true",
        "  debug: {}",
        "service:",
        "  pipelines:",
        "    metrics:",
        "      receivers: [otlp, prometheus]",
        "      processors: [memory_limiter, batch]",
        "      exporters: [prometheus]",
        "    traces:",
        "      receivers: [otlp]",
        "      processors: [memory_limiter, batch]",
        "      exporters: [debug]  # name the tracing backend here",
    ]
    return "\n".join(lines) + "\n"


def _interval(design: Design) -> int:
    return max(1, round(design.telemetry.interval)) if design.telemetry is not None else 30


def _jobs(design: Design, *, only: str = "") -> Iterator[str]:
    """Yield the lines of the jobs: the first service tells the stead, the others themselves."""
    first, *others = design.services
    yield from _job(design, f"pgstead-{design.name}", (first,), only or "all")
    if others and only != "stead":
        yield from _job(design, f"pgstead-{design.name}-services", others, "process")


def _job(design: Design, name: str, services: Sequence[Service], only: str) -> Iterator[str]:
    seconds = _interval(design)
    yield f"- job_name: {json.dumps(name)}"
    yield "  metrics_path: /metrics"
    yield f"  scrape_interval: {seconds}s"
    yield f"  scrape_timeout: {min(10, seconds)}s"
    yield "  params:"
    yield f"    only: [{only}]"
    yield "  static_configs:"
    for service in services:
        yield f"    - targets: [{json.dumps(_address(service))}]"
        yield "      labels:"
        yield f"        stead: {json.dumps(design.name)}"
        yield f"        environment: {json.dumps(design.environment.value)}"
        yield f"        service: {json.dumps(service.name)}"


def _address(service: Service) -> str:
    host = service.here
    return f"[{host}]:{service.port}" if ":" in host else f"{host}:{service.port}"


def _receiver(design: Design, protocol: str, listen: str) -> Iterator[str]:
    """Yield where OTLP is taken: where the manifest sends it, if that is this machine."""
    host, port = "127.0.0.1", _PORTS[protocol]
    told = design.telemetry.exporter if design.telemetry is not None else None
    if told is not None and told.protocol == protocol:
        address = urlsplit(told.endpoint)
        port = address.port or port
        if _is_address(address.hostname or ""):
            host = address.hostname or host
    host = listen or host
    yield f"      {protocol}:"
    yield f"        endpoint: {json.dumps(f'[{host}]:{port}' if ':' in host else f'{host}:{port}')}"


def _is_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
