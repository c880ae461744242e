"""Spans of statements: named by the conventions, without anybody's data, harmless when failing."""

from __future__ import annotations

import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from pgstead.app import correlation
from pgstead.app.telemetry import exporting
from pgstead.app.telemetry.sanitizing import LONGEST, sanitized
from pgstead.app.telemetry.tracing import Tracing
from pgstead.model.telemetry import Exporter

IDENTITY = "0193a0e0-7f3a-7c00-8000-000000000001"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def engine(spans: InMemorySpanExporter) -> Engine:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    made = create_engine("sqlite://")  # what is tried are SQLAlchemy's events
    Tracing(provider.get_tracer("t"), "shop").install(made)
    return made


def test_a_statement_is_a_span_whose_trace_is_the_request(
    engine: Engine, spans: InMemorySpanExporter
) -> None:
    turn = correlation._current.set(IDENTITY)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT :name, 'secret', 42"), {"name": "hidden"})
    finally:
        correlation._current.reset(turn)
    (span,) = spans.get_finished_spans()
    told = dict(span.attributes or {})
    assert span.name == "SELECT shop"
    assert told == {
        "db.system.name": "postgresql",
        "db.namespace": "shop",
        "db.operation.name": "SELECT",
        "db.query.text": "SELECT ?, ?, ?",
        "pgstead.correlation_id": IDENTITY,
    }
    assert span.context is not None
    assert span.context.trace_id == correlation.as_uuid(IDENTITY).int


def test_a_failure_is_told_by_its_kind_and_not_by_its_message(
    engine: Engine, spans: InMemorySpanExporter
) -> None:
    with engine.connect() as connection, pytest.raises(OperationalError):
        connection.execute(text("SELECT * FROM secret_place"))
    (span,) = spans.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "OperationalError"
    assert not span.status.is_ok
    assert span.events == ()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT 'it''s', E'a\\'b', 1.5e3, -7", "SELECT ?, ?, ?, ?"),
        ("SELECT $1, %(a)s, :b2, t1.c2 FROM t1", "SELECT $1, %(a)s, :b2, t1.c2 FROM t1"),
        ('SELECT "a \'1\' b" FROM "t"', 'SELECT "a \'1\' b" FROM "t"'),
        ("SELECT $$x$$, $q$it's $$ $q$", "SELECT ?, ?"),
        ("SELECT 1 -- Ann's\n, 2 /* it's */", "SELECT ? , ?"),
        ("SELECT U&'\\0061', X'1F', DATE '2026-11-22'", "SELECT ?, ?, DATE ?"),
        ("SELECT 'never closed", ""),
        ("SELECT $a$never closed", ""),
    ],
)
def test_literals_are_left_out_and_what_cannot_be_read_is_not_told(
    statement: str, told: str
) -> None:
    assert sanitized(statement) == told


def test_a_long_statement_is_cut() -> None:
    assert len(sanitized("SELECT a" + ", a" * 9999)) == LONGEST


def test_a_collector_that_is_gone_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    provider = TracerProvider(shutdown_on_exit=False)
    nobody = Exporter("http://127.0.0.1:9", "http", "", 60.0, traces=True)
    provider.add_span_processor(exporting.span_processor(nobody))
    made = create_engine("sqlite://")
    Tracing(provider.get_tracer("t"), "shop").install(made)
    with made.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    provider.shutdown()


def test_spans_go_to_the_path_of_traces_beside_that_of_metrics() -> None:
    for endpoint in ("http://c:4318", "http://c:4318/", "http://c:4318/v1/metrics"):
        told = Exporter(endpoint, "http", "", 60.0)
        assert exporting._address(told, "/v1/traces") == "http://c:4318/v1/traces"
