"""Names, units, kinds and attributes against the conventions, as their package publishes them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    InMemoryMetricReader,
    Metric,
    Sum,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from pgstead.app import correlation
from pgstead.app.engine import Database
from pgstead.app.telemetry.instruments import Instruments
from pgstead.app.telemetry.tracing import Tracing
from pgstead.host import vitals
from pgstead.model.telemetry import Metric as Sampled
from pgstead.model.telemetry import MetricKind
from pgstead.observe import metric_files, pooler_metrics, telemetry

OWN = "pgstead."
# UCUM: base units, dimensionless 1, and annotations in braces (unitsofmeasure.org, section 3)
UCUM = re.compile(r"^(s|By|1|\{[a-z_]+\})$")
NAMESPACES = ("pg_", "pgbouncer_", "pgstead_")
KINDS = {Sum: ("counter", "updowncounter"), Histogram: ("histogram",), Gauge: ("gauge",)}


@dataclass(frozen=True)
class Convention:
    """A metric as it is published."""

    instrument: str
    unit: str


def conventions() -> dict[str, Convention]:
    """Read every published metric: its constant, and the text below that tells the rest."""
    found: dict[str, Convention] = {}
    for module in _modules("metrics"):
        assert module.__file__ is not None
        body = ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
        for constant, told in pairwise(body):
            if (
                isinstance(constant, ast.AnnAssign)
                and constant.value
                and isinstance(told, ast.Expr)
            ):
                name, words = ast.literal_eval(constant.value), ast.literal_eval(told.value)
                kind = re.search(r"^Instrument: (\S+)", words, re.MULTILINE)
                unit = re.search(r"^Unit: (\S+)", words, re.MULTILINE)
                if kind and unit:
                    found[name] = Convention(kind[1], unit[1])
    return found


def attribute_names() -> set[str]:
    """Return every published attribute, stable or not."""
    return {
        value
        for module in _modules("attributes")
        for value in vars(module).values()
        if isinstance(value, str) and re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)+", value)
    }


def _modules(what: str) -> Iterator[Any]:
    for place in ("opentelemetry.semconv._incubating", "opentelemetry.semconv"):
        package = importlib.import_module(f"{place}.{what}")
        for told in pkgutil.iter_modules(package.__path__):
            yield importlib.import_module(f"{package.__name__}.{told.name}")


@pytest.fixture(scope="module")
def measured() -> list[Metric]:
    """Use every instrument of a service once; what is tried are SQLAlchemy's events."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t")
    database = Database("postgresql://u@127.0.0.1:9/shop", meter=meter)
    instruments = Instruments(meter, "shop")
    made = create_engine("sqlite://")
    instruments.install(made)
    instruments.created(0.1)
    with instruments.acquiring(made.connect) as connection:
        connection.execute(text("SELECT 1"))
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT * FROM nowhere"))
    data = reader.get_metrics_data()
    assert data is not None
    assert database.pool().in_use == 0
    return [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]


@pytest.fixture(scope="module")
def spans() -> tuple[ReadableSpan, ...]:
    """Make a span of each kind."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = create_engine("sqlite://")
    Tracing(provider.get_tracer("t"), "shop").install(made)
    turn = correlation._current.set("0193a0e0-7f3a-7c00-8000-000000000001")
    try:
        with made.connect() as connection:
            connection.execute(text("CREATE TABLE t (n int PRIMARY KEY)"))
            connection.execute(text("INSERT INTO t VALUES (:n)"), [{"n": 1}, {"n": 2}])
            with pytest.raises(IntegrityError):
                connection.execute(text("INSERT INTO t VALUES (1)"))
    finally:
        correlation._current.reset(turn)
    return exporter.get_finished_spans()


def test_the_conventions_are_read_from_their_package() -> None:
    known = conventions()
    assert known["db.client.operation.duration"] == Convention("histogram", "s")
    assert len(known) > 100
    assert {"db.namespace", "error.type", "service.instance.id"} <= attribute_names()


def test_every_instrument_is_published_with_its_unit_and_kind_or_is_ours(
    measured: list[Metric],
) -> None:
    known = conventions()
    for metric in measured:
        kinds = next(k for form, k in KINDS.items() if isinstance(metric.data, form))
        if isinstance(metric.data, Sum):
            kinds = kinds[:1] if metric.data.is_monotonic else kinds[1:]
        if metric.name.startswith(OWN):
            assert UCUM.match(metric.unit or ""), metric.name
            assert metric.description
            continue
        told = known[metric.name]
        assert metric.unit == told.unit, metric.name
        assert told.instrument in kinds, metric.name
    names = {m.name for m in measured}
    assert {n for n in known if n.startswith("db.client.connection.")} - names == {
        "db.client.connection.idle.min"  # this pool has none
    }


def test_every_attribute_of_an_instrument_is_published_or_ours(measured: list[Metric]) -> None:
    known = attribute_names()
    for metric in measured:
        for point in metric.data.data_points:
            for name in point.attributes or {}:
                assert name in known or name.startswith(OWN), f"{metric.name}: {name}"


def test_every_attribute_of_a_span_is_published_or_ours(spans: tuple[ReadableSpan, ...]) -> None:
    known = attribute_names()
    assert len(spans) == 3
    assert any("db.operation.batch.size" in (s.attributes or {}) for s in spans)
    assert any("error.type" in (s.attributes or {}) for s in spans)
    for span in spans:
        for name in span.attributes or {}:
            assert name in known or name.startswith(OWN), name


def sampled() -> list[Sampled]:
    """Return every metric of a sample."""
    from pgstead.agent import sampling

    files = [m for q in metric_files.everything() for m in q.metrics]
    return [*files, *telemetry.OWN, *sampling.OWN, *vitals.METRICS, *pooler_metrics.METRICS]


def test_what_is_sampled_has_a_namespace_and_a_unit_that_its_name_says() -> None:
    for metric in sampled():
        assert metric.name.startswith(NAMESPACES), metric.name
        assert UCUM.match(metric.unit), f"{metric.name}: {metric.unit}"
        assert (metric.kind is MetricKind.COUNTER) == metric.name.endswith("_total"), metric.name
        bare = metric.name.removesuffix("_total")
        assert (metric.unit == "s") == bare.endswith("_seconds"), metric.name
        if metric.unit == "By":
            assert bare.endswith("_bytes"), metric.name
        if bare.endswith("_ratio"):
            assert metric.unit == "1", metric.name
        assert metric.description.endswith((".", "forgotten; then the sums fall.")), metric.name
