"""A damaged table is brought back beside the live one, and told how the two differ."""

from __future__ import annotations

import pytest

from tests.fix_stead import stead_in
from tests.live.care import planting

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

MAKE = """
    CREATE TABLE care_lost (id int PRIMARY KEY, word text NOT NULL);
    INSERT INTO care_lost SELECT n, md5(n::text) FROM generate_series(1, 3000) AS n;
"""


def test_a_table_with_a_damaged_page_is_salvaged_with_the_rows_that_only_the_backup_has() -> None:
    with stead_in(backup="true") as stead:
        stead.run("up")
        with stead.connect("jeex_migrator", direct=True) as owner:
            owner.execute(MAKE)
        stead.run("backup", "now")
        stead.run("drill")
        with stead.superuser("jeex_idea") as connection:
            connection.execute("SELECT pg_switch_wal()")
            on_page = connection.execute(
                "SELECT count(*) AS n FROM care_lost WHERE (ctid::text::point)[0] = 2"
            ).fetchone()["n"]
        heap = planting.path_of(stead, "care_lost")
        page = planting.read(heap, 2)
        planting.rotten(page)
        with planting.down(stead):
            planting.write(heap, 2, page)
        with stead.superuser("jeex_idea") as connection:
            connection.execute("SET enable_seqscan = off")
            connection.execute("DELETE FROM care_lost WHERE id = 1")
            connection.execute("INSERT INTO care_lost VALUES (9999, 'new')")
        told = stead.json("integrity", "salvage", "jeex_idea", "public.care_lost", status=3)
        assert told["unreadable"] == [2]
        # the WAL is replayed to the last moment: what was deleted since is deleted there too
        assert (told["lost_count"], told["different_count"]) == (on_page, 0)
        assert len(told["lost"]) == 20
        with stead.superuser("jeex_idea") as connection:
            row = connection.execute(f"SELECT count(*) AS n FROM {told['beside']}").fetchone()
            assert row["n"] == told["rows"]
            open_to = connection.execute(
                "SELECT has_schema_privilege('jeex_user', 'pgstead_salvage', 'USAGE') AS it"
            ).fetchone()
        assert open_to["it"] is False
