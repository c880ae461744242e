"""The ledger by which a restore is judged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pgstead.workflows import heartbeat
from tests.fix_stead import LiveStead


def test_the_agent_a_backup_and_a_drill_may_write_at_once(stead: LiveStead) -> None:
    """Also the first rows, when nobody has made the table yet."""
    sql = stead.wired.ports.sql
    try:
        with ThreadPoolExecutor(4) as pool:
            beats = list(pool.map(lambda _: heartbeat.beat(sql), range(40)))
        ledger = heartbeat.look(sql)
        assert sorted(b.number for b in beats) == list(range(1, 41))
        assert ledger.whole
        assert (ledger.rows, ledger.last) == (40, 40)
        with stead.superuser() as connection:
            connection.execute("UPDATE pgstead_heartbeat.ledger SET at = now() WHERE number = 7")
        assert not heartbeat.look(sql).whole
    finally:
        with stead.superuser() as connection:
            connection.execute("DROP SCHEMA pgstead_heartbeat CASCADE")
