"""Each question of `inspect` and `top` on each version, as the monitoring role and nobody else."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pgstead.observe import inspection, sql_files, statements
from tests.fix_stead import MAJORS
from tests.live.test_catalogue import server


@pytest.mark.parametrize("major", MAJORS)
def test_every_question_runs_as_the_monitor_on_every_version_that_has_it(major: int) -> None:
    with server(major) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
        admin.execute("CREATE EXTENSION pgstattuple")
        admin.execute("CREATE TABLE planted (id serial PRIMARY KEY, other int REFERENCES planted)")
        admin.execute("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        address = f"host={admin.info.host} user=monitor dbname=postgres"
        opens = psycopg.Connection[dict[str, Any]].connect
        asked = {q.what for own in inspection.QUESTIONS.values() for q in own}
        asked |= {q.what for q in inspection.LIVE}
        with opens(address, autocommit=True, row_factory=dict_row) as monitor:
            monitor.execute("SET default_transaction_read_only = on")
            for what in sorted(asked):
                name = f"inspect/{what}"
                if sql_files.floor(name) <= major:
                    monitor.execute(sql_files.query(name, major)).fetchall()
            watch = statements.StatementWatch("postgres", major)
            assert watch.look(monitor) == ()
            monitor.execute("SELECT count(*) FROM pg_class")
            assert any("pg_class" in window.query for window in watch.look(monitor))
