"""Series stay as few as declared, however many tables, databases and SQLSTATEs there are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pgstead.host.log_counts import ERRORS, LOGINS, MOST, LogCounts
from pgstead.observe import metric_files, telemetry
from tests.fix_stead import LiveStead
from tests.live.test_catalogue import server

TABLES, SEQUENCES = 120, 60


def test_every_metric_of_a_running_stead_has_a_bound_and_keeps_it(sampled: LiveStead) -> None:
    told = sampled.json("metrics", "cardinality")
    assert told["series"] <= told["most"]
    assert all(m["series"] <= m["most"] for m in told["metrics"]), told["metrics"]
    assert all(m["most"] > 1 for m in told["metrics"] if m["attributes"] not in ([], ["datname"]))
    shown = sampled.run("metrics", "cardinality").stdout
    assert "pg_stat_database_xact_commit_total" in shown
    assert f"at most {told['most']}" in shown


def _grown(admin: psycopg.Connection[Any], databases: int) -> None:
    for n in range(TABLES):
        admin.execute(f"CREATE TABLE t{n} ()".encode())
    for n in range(SEQUENCES):
        admin.execute(f"CREATE SEQUENCE s{n}".encode())
        admin.execute("SELECT nextval(%s::regclass)", [f"s{n}"])
    for n in range(databases):
        admin.execute(f"CREATE DATABASE d{n} STRATEGY file_copy".encode())


@pytest.mark.parametrize(
    "databases", [0, pytest.param(120, marks=pytest.mark.soak)], ids=["tables", "databases"]
)
def test_many_objects_make_no_more_series_than_declared(databases: int) -> None:
    with server(18) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
        _grown(admin, databases)
        opens = psycopg.Connection[dict[str, Any]].connect
        address = f"host={admin.info.host} user={admin.info.user} dbname=postgres"
        with opens(address, autocommit=True, row_factory=dict_row) as monitor:
            for query in metric_files.queries(18):
                found = Counter(s.metric for s in telemetry.ask(monitor, query, "postgres"))
                for metric in query.metrics:
                    assert found[metric.name] <= metric.most == query.most
                    if metric.name == "pg_table_size_bytes":
                        assert found[metric.name] == metric.most < TABLES
                    if databases and metric.name == "pg_database_size_bytes":
                        assert found[metric.name] == metric.most < databases


def test_strange_states_and_names_of_databases_in_a_log_are_counted_together(
    sampled: LiveStead, tmp_path: Path
) -> None:
    from dataclasses import replace

    design = sampled.wired.design
    design = replace(design, layout=replace(design.layout, state=tmp_path), pooler=None)
    log = Path(design.layout.server_log) / "postgresql-Sun.json"
    log.parent.mkdir(parents=True)
    log.touch()
    counts = LogCounts(design)
    lines = [
        {"dbname": f"guess{n}", "error_severity": "FATAL", "state_code": "3D000"}
        for n in range(500)
    ]
    lines += [
        {"dbname": "jeex_idea", "error_severity": "ERROR", "state_code": f"X{n:04}"}
        for n in range(500)
    ]
    lines += [{"dbname": "jeex_idea", "error_severity": "FATAL", "state_code": "28P01"}] * 3
    lines += [{"dbname": "jeex_idea", "error_severity": "LOG", "state_code": "00000"}]
    with log.open("w") as file:
        file.writelines(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
        file.write('{"error_severity":"ERROR","state_code":"XX0')  # is still being written
    found = list(counts.look())
    errors = {s.attributes: s.value for s in found if s.metric == ERRORS.name}
    assert len(errors) == MOST + 1 == ERRORS.most
    assert sum(value or 0 for value in errors.values()) == 1003
    assert errors[(("datname", ""), ("sqlstate", "3D000"))] == 500
    assert [s.value for s in found if s.metric == LOGINS.name] == [3]
