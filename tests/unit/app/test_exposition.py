"""The text that Prometheus reads: valid in both formats, and silent about what is not known."""

from __future__ import annotations

import time

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.openmetrics import parser as formal_parser
from prometheus_client.parser import text_string_to_metric_families

from pgstead.app.telemetry.exposition import Exposition, name_of, of_instruments, of_samples
from pgstead.app.telemetry.samples import Current

OPEN = "application/openmetrics-text; version=1.0.0"


def current(
    metric: str, value: float | None, kind: str = "gauge", age: float = 0, **attributes: str
) -> Current:
    told = tuple(attributes.items())
    return Current(
        metric, kind, "1", "A \\ text\nof two lines", told, time.time() - age, value, "", 10
    )


def values(exposed: Exposition) -> dict[tuple[str, str], float]:
    text, media_type = exposed.encoded("text/plain")
    assert media_type.startswith("text/plain; version=0.0.4")
    plain = text_string_to_metric_families(text.decode())
    found = {(s.name, str(s.labels)): s.value for f in plain for s in f.samples}
    text, media_type = exposed.encoded(OPEN)
    assert media_type.startswith("application/openmetrics-text")
    formal = formal_parser.text_string_to_metric_families(text.decode())
    same = {(s.name, str(s.labels)): s.value for f in formal for s in f.samples}
    assert {k: v for k, v in same.items() if not k[0].endswith("_created")} == found
    return found


def test_a_label_may_hold_anything() -> None:
    odd = 'a "quoted" \\ name\nof two lines, größer'
    found = values(Exposition([*of_samples([current("size", 1.5, datname=odd)], [])]))
    assert found[("size", str({"datname": odd}))] == 1.5


def test_what_is_unknown_or_old_is_absent_and_the_age_of_all_is_told() -> None:
    samples = [current("a", None), current("b", 1.0, age=11), current("c", 0.0, age=9)]
    found = values(Exposition([*of_samples(samples, [])]))
    assert {name for name, _ in found} == {"c", "pgstead_sample_age_seconds"}
    assert 0 <= found[("pgstead_sample_age_seconds", "{}")] < 5


def test_nothing_sampled_is_an_empty_text_and_no_age_of_zero() -> None:
    assert values(Exposition([*of_samples([], [])])) == {}


def test_a_counter_has_one_name_in_both_formats() -> None:
    found = values(Exposition([*of_samples([current("x_commits_total", 3, "counter")], [])]))
    assert found[("x_commits_total", "{}")] == 3


def test_instruments_become_series_with_their_unit_in_the_name() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
    meter.create_histogram(
        "db.client.operation.duration", "s", explicit_bucket_boundaries_advisory=[0.1, 0.5]
    ).record(0.2, {"db.system.name": "postgresql"})
    meter.create_counter("db.client.connection.timeouts", "{timeout}").add(2)
    found = values(Exposition([*of_instruments(reader)]))
    told = {"db_system_name": "postgresql"}
    name = "db_client_operation_duration_seconds"
    assert found[(f"{name}_bucket", str({**told, "le": "0.1"}))] == 0
    assert found[(f"{name}_bucket", str({**told, "le": "0.5"}))] == 1
    assert found[(f"{name}_count", str(told))] == 1
    assert found[("db_client_connection_timeouts_total", "{}")] == 2


def test_names_follow_opentelemetrys_rules_for_prometheus() -> None:
    assert name_of("a.b", "By", counts=False) == "a_b_bytes"
    assert name_of("a.used", "1", counts=False) == "a_used_ratio"
    assert name_of("a.uses", "{use}", counts=True) == "a_uses"
    assert name_of("a.time_seconds", "s", counts=False) == "a_time_seconds"
