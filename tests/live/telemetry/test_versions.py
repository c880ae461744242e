"""Each query of metrics on each version, as the monitoring role and nobody else."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pgstead.observe import metric_files, telemetry
from tests.fix_stead import MAJORS
from tests.live.inspect.looking import ask_everything
from tests.live.test_catalogue import server


@pytest.mark.parametrize("major", MAJORS)
def test_every_query_of_metrics_runs_as_the_monitor(major: int) -> None:
    with server(major) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
        admin.execute("CREATE EXTENSION pgstattuple")
        admin.execute("CREATE TABLE orders (id serial PRIMARY KEY)")
        admin.execute("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        admin.execute("SELECT pg_create_physical_replication_slot('held', true)")
        address = f"host={admin.info.host} user=monitor dbname=postgres"
        opens = psycopg.Connection[dict[str, Any]].connect
        with opens(address, autocommit=True, row_factory=dict_row) as monitor:
            for query in metric_files.queries(major):
                monitor.execute(query.text)  # an error of the server is told whole
                found = telemetry.ask(monitor, query, "postgres")
                assert all(s.reason for s in found if s.value is None), query.what
                declared = {metric.name for metric in query.metrics}
                assert {s.metric for s in found} <= declared
                names = {m.name: m.attributes for m in query.metrics}
                assert all(tuple(n for n, _ in s.attributes) == names[s.metric] for s in found)
            ask_everything(monitor, major)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                monitor.execute("SELECT FROM orders")


def test_what_a_version_does_not_have_is_unknown_with_its_reason() -> None:
    missing = {query.what for query in metric_files.too_new(15)}
    assert missing == {"io"}
    assert metric_files.too_new(18) == ()
