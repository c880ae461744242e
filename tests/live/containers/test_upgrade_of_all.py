"""A major upgrade in containers with the data of all systems: equal, proven, and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pgstead.model.containers import PACKAGES
from tests.live.containers.contained import Contained, contained_stead
from tests.live.containers.older import NEW, OLD, ON_BOTH, ask_for, build_base, version
from tests.live.test_matrix import MORE, SYSTEMS

# Where the stead's own roles log in: rows are made as those of a promise are, and stay.
_FILL = """\
from pgstead.cli.wiring import wire
from pgstead.prove.access import Access
from pgstead.prove.sample_rows import RowMaker
from pgstead.prove.tables import Catalog
from pgstead.prove.witness import Witness

wired = wire()
witness = Witness(wired.design, Access.found(wired.design, wired.ports))
for plan in wired.design.databases:
    catalog = Catalog.of(witness, plan)
    with witness.backstage(plan.name, write=True) as session:
        with session.connection.transaction():
            maker = RowMaker(catalog, session)
            for oid in catalog.tables:
                maker.row(oid)
"""
_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY 1
"""
_ROWS = """
SELECT count(*) || ' ' || coalesce(md5(string_agg(said, '' ORDER BY said)), '')
FROM (SELECT to_jsonb(t)::text AS said FROM public."{}" AS t) AS rows
"""


def test_all_systems_are_taken_to_18_and_back_with_all_that_they_hold(tmp_path: Path) -> None:
    build_base(tmp_path)
    with contained_stead("test-all", part=61, images=ON_BOTH, extra=MORE, major=OLD) as found:
        found.run("up")
        found.wait_until_healthy()
        found.compose("exec", "-T", "agent", f"{PACKAGES}/bin/python", "-", told=_FILL.encode())
        # rows that are made up are sealed by the ring alone: now persons get secrets of their own
        for name in ("ai_agents", "specgen"):
            found.run("keys", "rotate", name)
        before = _rows(found)
        assert not [table for table, rows in before.items() if rows.startswith("0 ")]
        ask_for(found, NEW)
        assert found.json("upgrade", "--rehearse")["rehearsed"]["differences"] == []
        told = found.json("upgrade")
        print(told["seconds"], told["downtime"], told["predicted"])
        _holds(found, NEW, before)
        found.run("retention", "run")  # a row of every table is one of some that are too old, too
        assert found.broken() == []
        ask_for(found, OLD)
        found.run("upgrade", "--back")
        _holds(found, OLD, before)


def _rows(contained: Contained) -> Mapping[str, str]:
    """Return how many rows each table of each system has, and their digest."""
    return {
        f"{name}.{table}": contained.ask(name, _ROWS.format(table)).strip()
        for name in SYSTEMS
        for table in contained.ask(name, _TABLES).split()
    }


def _holds(contained: Contained, major: int, before: Mapping[str, str]) -> None:
    contained.wait_until_healthy()
    assert version(contained) == major
    assert _rows(contained) == before
    assert "nothing to change" in contained.run("plan").stdout
    assert "0 rows lost" in contained.run("drill").stdout
