"""A newcomer adds a metric by adding a file, and is told what is wrong with it."""

from __future__ import annotations

import pytest

from pgstead.model.telemetry import Cadence, Metric, MetricKind
from pgstead.observe import metric_files
from pgstead.observe.metric_files import MetricQuery, parse

GOOD = """\
-- A sentence about it.
-- scope: database
-- cadence: slow
-- attributes: relname
-- most: 30
-- gauge pg_thing_size_bytes By: Size of a thing.
-- counter pg_thing_uses_total {use}: Uses of it.
-- unknown pg_thing_size_bytes: it has none
-- absent pg_thing_uses_total
SELECT 1
-- gauge not_a_header s: this is the query's own comment
"""


def test_a_header_declares_metrics_with_kind_unit_and_attributes() -> None:
    found = parse("thing", 15, GOOD)
    attributes = ("datname", "relname")
    assert found.metrics == (
        Metric("pg_thing_size_bytes", MetricKind.GAUGE, "By", "Size of a thing.", attributes,
               Cadence.SLOW, 30, each=True),
        Metric("pg_thing_uses_total", MetricKind.COUNTER, "{use}", "Uses of it.", attributes,
               Cadence.SLOW, 30, each=True),
    )  # fmt: skip
    assert found.per_database
    assert found.unknown == {"pg_thing_size_bytes": "it has none"}
    assert found.absent == {"pg_thing_uses_total"}


@pytest.mark.parametrize(
    ("was", "is_", "says"),
    [
        ("-- scope: database\n", "", "scope: cluster | database"),
        ("-- most: 30\n", "", "-- most: N"),
        ("cadence: slow", "cadence: often", "cadence: fast | slow"),
        ("pg_thing_uses_total {use}", "pg_thing_uses {use}", "ends in _total"),
        ("gauge pg_thing_size_bytes By", "gauge pg_thing_size By", "its name does not say so"),
        ("-- unknown pg_thing_size_bytes", "-- unknown pg_other", "does not declare"),
    ],
)
def test_a_header_that_is_wrong_is_refused_with_the_file_and_the_reason(
    was: str, is_: str, says: str
) -> None:
    with pytest.raises(ValueError, match=r"thing_15\.sql") as refused:
        parse("thing", 15, GOOD.replace(was, is_))
    assert says in str(refused.value)


def test_a_file_without_metrics_is_refused() -> None:
    with pytest.raises(ValueError, match="declares no metric"):
        parse("thing", 15, "-- scope: cluster\n-- cadence: fast\nSELECT 1")


@pytest.mark.parametrize("query", [*metric_files.everything()], ids=lambda q: f"{q.what}_{q.floor}")
def test_each_query_names_each_of_its_columns(query: MetricQuery) -> None:
    body = query.text[query.text.index("SELECT") :]
    for name in (*query.attributes, *(m.name for m in query.metrics)):
        assert name in body


@pytest.mark.parametrize("major", range(15, 19))
def test_no_two_files_of_a_version_declare_the_same_metric(major: int) -> None:
    names = [m.name for q in metric_files.queries(major) for m in q.metrics]
    assert len(names) == len(set(names))


def test_variants_of_a_query_declare_the_same_kinds_and_units() -> None:
    known: dict[str, tuple[MetricKind, str]] = {}
    for query in metric_files.everything():
        for metric in query.metrics:
            assert known.setdefault(metric.name, (metric.kind, metric.unit)) == (
                metric.kind,
                metric.unit,
            )
