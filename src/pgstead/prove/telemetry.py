"""Telemetry: sampled lately, told truly, and by somebody who can read no table."""

from __future__ import annotations

import http.client
import json
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import parser
from prometheus_client.openmetrics import parser as formal_parser
from psycopg import sql

from pgstead.errors import SteadError
from pgstead.model.address import Capability
from pgstead.model.design import Service
from pgstead.model.telemetry import STALE_AFTER, TelemetryPlan
from pgstead.ports.telemetry import TelemetryPorts
from pgstead.prove.finding import Answer, CannotTryError, Finding, answer, timed
from pgstead.prove.promise import promise
from pgstead.prove.session import DENIED
from pgstead.prove.witness import Witness

TELEMETRY = Capability.TELEMETRY
_NEEDS = ("telemetry",)
_OPEN = "application/openmetrics-text; version=1.0.0"
_TABLES = """
    SELECT n.nspname::text, c.relname::text
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a service answered."""

    status: int
    body: str
    media_type: str


def plan_of(w: Witness) -> TelemetryPlan:
    """Return how the stead is watched; the need `telemetry` has looked for it."""
    assert w.design.telemetry is not None
    return w.design.telemetry


def ports_of(w: Witness) -> TelemetryPorts:
    """Return what watching works with."""
    found = w.access.ports.telemetry
    if found is None:
        raise CannotTryError("what has been sampled is not at hand here")
    return found


def get(service: Service, path: str, accept: str = "*/*") -> Answer[Told]:
    """Ask a service; where nobody answers nothing is proven."""
    host = service.here
    tried = f"GET http://{host}:{service.port}{path}"
    with timed() as watch:
        asked = http.client.HTTPConnection(host, service.port, timeout=5)
        try:
            asked.request("GET", path, headers={"Accept": accept})
            got = asked.getresponse()
            told = Told(got.status, got.read().decode(), got.headers.get("Content-Type", ""))
        except (OSError, http.client.HTTPException) as error:
            raise CannotTryError(f"{tried}: {error}") from error
        finally:
            asked.close()
    return answer(tried, f"{told.status}, {len(told.body)} characters", told, watch)


@promise(
    "TEL-001",
    "the server was sampled within the last intervals, and each sample without value says why",
    requirement="TEL-1",
    capability=TELEMETRY,
    needs=_NEEDS,
)
def sampled_lately(w: Witness) -> Iterator[Finding]:
    plan = plan_of(w)
    limit = STALE_AFTER * plan.interval + 5
    with timed() as watch:
        try:
            newest = ports_of(w).store.newest()
        except SteadError as error:
            raise CannotTryError(f"the samples cannot be read: {error.message}") from error
    ages = {s.metric: (datetime.now(UTC) - s.at).total_seconds() for s in newest}
    silent = [s.metric for s in newest if s.value is None and not s.reason]
    age = ages.get("pg_up")
    text = f"{len(newest)} series, the server's {'never' if age is None else f'{age:.1f} s ago'}"
    told = answer(plan.samples, text, newest, watch)
    yield told.shows(
        holds=age is not None and age < limit,
        expected=f"a sample of the server younger than {limit:.0f} s",
        hint="`pgstead logs agent` shows why it does not sample",
    )
    yield told.shows(
        holds=not silent,
        expected="a reason beside each value that nobody knows",
        said=f"without one: {', '.join(silent[:5]) or 'none'}",
    )


@promise(
    "TEL-002",
    "what /metrics tells can be read in both formats, and agrees with the server",
    requirement="TEL-2 API-4",
    capability=TELEMETRY,
    needs=("telemetry", "service", "database"),
)
def metrics_are_true(w: Witness) -> Iterator[Finding]:
    for service in w.design.services:
        plain = get(service, "/metrics")
        found = _values(plain, openmetrics=False)
        yield from _agrees(w, plain, found)
        yield _same_in_both(service)


def _same_in_both(service: Service) -> Finding:
    """Compare the two formats; a series that comes or goes meanwhile is no difference."""
    before = _values(get(service, "/metrics"), openmetrics=False)
    formal = get(service, "/metrics", _OPEN)
    after = _values(get(service, "/metrics"), openmetrics=False)
    missing = (before.keys() & after.keys()) - _values(formal, openmetrics=True).keys()
    names = ", ".join(sorted({name for name, _ in missing})[:5]) or "none"
    return formal.shows(
        holds=bool(before) and not missing and "openmetrics" in formal.value.media_type,
        expected="OpenMetrics with the same series",
        said=f"missing: {names}",
    )


def _values(told: Answer[Told], *, openmetrics: bool) -> Mapping[tuple[str, str], float]:
    """Return what is exposed, by name and database; a text that is not valid proves it broken."""
    module: Any = formal_parser if openmetrics else parser
    try:
        return {
            (sample.name, sample.labels.get("datname", "")): sample.value
            for family in module.text_string_to_metric_families(told.value.body)
            for sample in family.samples
        }
    except ValueError:
        return {}


def _agrees(
    w: Witness, told: Answer[Told], found: Mapping[tuple[str, str], float]
) -> Iterator[Finding]:
    name = w.databases[0].name
    facts = w.look(
        "SELECT extract(epoch FROM pg_postmaster_start_time())::float8,"
        " current_setting('server_version_num')::float8,"
        " (SELECT xact_commit FROM pg_catalog.pg_stat_database WHERE datname = %s)",
        [name],
    )
    started, version, commits = facts.value[0]
    for metric, value in (
        ("pg_postmaster_start_time_seconds", started),
        ("pg_server_version_num", version),
        ("pg_up", 1.0),
    ):
        shown = found.get((metric, ""))
        yield told.shows(
            holds=shown is not None and abs(shown - value) < 0.01,
            expected=f"{metric} {value}",
            said=f"{metric} {shown}",
            hint="`pgstead logs agent`",
        )
    counted = found.get(("pg_stat_database_xact_commit_total", name))
    yield told.shows(
        holds=counted is not None and 0 < counted <= commits,
        expected=f"commits of {name} above 0, and not above the {commits} of now",
        said=f"{counted}",
    )


@promise(
    "TEL-003",
    "health answers 503 within seconds when the server is stopped, and 200 when it is back",
    requirement="TEL-6 API-3",
    capability=TELEMETRY,
    needs=("service",),
    disruptive=True,
    limit=120.0,
)
def health_tells_the_truth(w: Witness) -> Iterator[Finding]:
    (service, *_) = w.design.services
    supervisor = w.access.ports.supervisor
    # what is judged by samples follows with the next one
    before = w.wait_until(lambda: _answering(service, 200), 10.0)
    if before is None:
        raise CannotTryError("/health/db does not answer 200 to begin with")
    try:
        supervisor.stop("postgres")
        down = w.wait_until(lambda: _answering(service, 503), 10.0)
        last = down or get(service, "/health/db")
        yield last.shows(holds=down is not None, expected="503 while the server is stopped")
        alive = get(service, "/health/live")
        yield alive.shows(
            holds=alive.value.status == 200, expected="200: a restart of the service mends nothing"
        )
    finally:
        supervisor.start("postgres")
    back = w.wait_until(lambda: _answering(service, 200), 60.0)
    last = back or get(service, "/health/db")
    yield last.shows(holds=back is not None, expected="200 when the server is back")


def _answering(service: Service, status: int) -> Answer[Told] | None:
    try:
        told = get(service, "/health/db")
    except CannotTryError:
        return None
    time.sleep(0.2)
    return told if told.value.status == status else None


@promise(
    "TEL-004",
    "the monitoring role reads no table of an application, and belongs to pg_monitor alone",
    requirement="TEL-1 ROL-1",
    capability=TELEMETRY,
    needs=("direct", "database"),
)
def the_monitor_reads_no_table(w: Witness) -> Iterator[Finding]:
    monitor = w.design.monitor_role
    told = w.look(
        "SELECT g.rolname::text FROM pg_catalog.pg_auth_members AS m"
        " JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid"
        " JOIN pg_catalog.pg_roles AS r ON r.oid = m.member WHERE r.rolname = %s ORDER BY 1",
        [monitor],
    )
    strange = {row[0] for row in told.value} - {"pg_monitor", "pg_use_reserved_connections"}
    yield told.shows(holds=not strange, expected="pg_monitor alone")
    for plan in w.databases:
        tables = w.look(_TABLES, database=plan.name)
        with w.session(monitor, plan.name) as session:
            for schema, table in tables.value[:50]:
                yield session.must_refuse(
                    sql.SQL("SELECT FROM {} LIMIT 0").format(sql.Identifier(schema, table)),
                    states=DENIED,
                    hint=f"REVOKE ALL ON {schema}.{table} FROM {monitor}",
                )


@promise(
    "TEL-005",
    "what was sampled is closed to other users of the machine",
    requirement="TEL-1",
    capability=TELEMETRY,
    needs=_NEEDS,
)
def samples_are_closed(w: Witness) -> Iterator[Finding]:
    path = Path(plan_of(w).samples)
    for place in (path.parent, path):
        with timed() as watch:
            try:
                mode = stat.S_IMODE(place.stat().st_mode)
            except OSError as error:
                raise CannotTryError(f"{place}: {error.strerror}") from error
        told = answer(f"the mode of {place}", f"{mode:o}", mode, watch)
        yield told.shows(
            holds=not mode & 0o027,
            expected="nothing for others, and no writing for the services' group",
            hint=f"chmod o-rwx,g-w {place}",
        )


@promise(
    "TEL-006",
    "health names value, unit, threshold, state and time of each field, or why it is unknown",
    requirement="TEL-1 API-3",
    capability=TELEMETRY,
    needs=("telemetry", "service"),
)
def health_says_what_it_knows(w: Witness) -> Iterator[Finding]:
    for service in w.design.services:
        told = get(service, "/health/db")
        try:
            checks: Mapping[str, Mapping[str, Any]] = json.loads(told.value.body)["checks"]
        except (ValueError, KeyError, TypeError):
            yield told.broken("a body with checks")
            continue
        missing = sorted(plan_of(w).thresholds.keys() - checks.keys())
        mute = [n for n, c in checks.items() if c["value"] is None and not c["reason"]]
        bare = [n for n, c in checks.items() if not {"unit", "threshold", "state", "since"} <= {*c}]
        yield told.shows(
            holds=not missing and not mute and not bare,
            expected="every field, a reason where it has no value",
            said=f"missing: {missing}; without reason: {mute}; not complete: {bare}",
            hint="`pgstead logs agent` shows whether it samples",
        )


PROMISES = (
    sampled_lately,
    metrics_are_true,
    health_tells_the_truth,
    the_monitor_reads_no_table,
    samples_are_closed,
    health_says_what_it_knows,
)
