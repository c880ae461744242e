"""Planted damage is found and named, repaired where nothing can be lost, and nothing else moves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from pgstead.workflows import repair
from pgstead.workflows.integrity import check
from tests.fix_stead import LiveStead, stead_in
from tests.live.care import planting

MAKE = """
    CREATE TABLE care_rows (id int PRIMARY KEY, word text NOT NULL);
    INSERT INTO care_rows SELECT n, md5(n::text) FROM generate_series(1, 3000) AS n;
    CREATE TABLE care_seen (id int PRIMARY KEY, word text NOT NULL);
    INSERT INTO care_seen SELECT n, md5(n::text) FROM generate_series(1, 3000) AS n;
    CREATE INDEX care_seen_word ON care_seen (word);
    CREATE TABLE care_parts (id int PRIMARY KEY, seen int REFERENCES care_seen (id));
    INSERT INTO care_parts SELECT n, n FROM generate_series(1, 100) AS n;
    ALTER TABLE care_parts ADD CONSTRAINT care_small CHECK (seen < 1000000) NOT VALID;
"""
PEOPLE = """
    WITH u AS (INSERT INTO users (email, name) VALUES ('care@example.com', 'Care') RETURNING id),
    p AS (INSERT INTO projects (name, created_by) SELECT 'care', id FROM u RETURNING id, created_by)
    INSERT INTO document_versions (project_id, document_type, version, content, created_by)
    SELECT p.id, 'plan', n, 'text', p.created_by FROM p, generate_series(1, 5) AS n
    RETURNING project_id
"""


@pytest.fixture(scope="module")
def stead() -> Iterator[LiveStead]:
    """Give a stead whose data may be damaged."""
    with stead_in() as made:
        made.run("up")
        with made.connect("jeex_migrator", direct=True) as owner:
            owner.execute(MAKE)
        yield made


@pytest.fixture(scope="module")
def planted(stead: LiveStead) -> dict[str, Any]:
    """Plant one damage of each kind; return what the check says of them."""
    with stead.superuser(planting.DATABASE) as connection:
        project = connection.execute(PEOPLE).fetchone()["project_id"]
        connection.execute("DELETE FROM document_versions WHERE version = 3")
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO care_parts VALUES (777, 123456)")
    heap, seen = planting.path_of(stead, "care_rows"), planting.path_of(stead, "care_seen_word")
    torn, index = planting.read(heap, 2), planting.read(seen, 2)
    planting.rotten(torn)
    planting.gone(index)
    planting.sealed(stead, index, 2)
    before = contents(stead)
    with planting.down(stead):
        planting.write(heap, 2, torn)
        planting.write(seen, 2, index)
    told = stead.json("integrity", "check", "jeex_idea", status=1)
    return {"told": told, "project": project, "before": before}


def contents(stead: LiveStead) -> str:
    """Return a sum over what nobody damaged."""
    with stead.superuser(planting.DATABASE) as connection:
        connection.execute("SET enable_indexscan = off")
        rows = connection.execute(
            "SELECT string_agg(s::text, ',' ORDER BY id) AS all FROM care_seen AS s"
        ).fetchone()
    return hashlib.sha256(rows["all"].encode()).hexdigest()


def of(told: dict[str, Any], relation: str) -> list[dict[str, Any]]:
    return [d for d in told["damages"] if d["relation"] == relation]


def test_a_page_that_the_disk_changed_is_named_with_its_block(planted: dict[str, Any]) -> None:
    found = of(planted["told"], "public.care_rows")
    assert {(d["block"], d["remedy"]) for d in found} == {(2, "salvage")}
    assert "pages" in {d["check"] for d in found}


def test_an_index_that_disagrees_with_its_table_is_named_though_its_checksum_holds(
    planted: dict[str, Any],
) -> None:
    (found,) = of(planted["told"], "public.care_seen_word")
    assert (found["check"], found["remedy"]) == ("indexes", "reindex")


def test_an_orphan_is_named_by_its_key_and_its_constraint(planted: dict[str, Any]) -> None:
    found = of(planted["told"], "public.care_parts")
    assert {(d["constraint"], d["key"], d["remedy"]) for d in found} == {
        ("care_parts_seen_fkey", "[777]", "by hand"),
        ("care_small", "", "validate"),
    }


def test_a_gap_in_versions_is_named_with_the_number_that_is_missing(
    planted: dict[str, Any],
) -> None:
    (found,) = of(planted["told"], "public.document_versions")
    assert found["key"] == f'["{planted["project"]}", "plan"]'
    assert "missing: 3" in found["what"]


def test_nothing_else_is_called_damaged_and_nothing_went_unseen(planted: dict[str, Any]) -> None:
    assert {d["relation"] for d in planted["told"]["damages"]} == {
        "public.care_rows",
        "public.care_seen_word",
        "public.care_parts",
        "public.document_versions",
    }
    assert planted["told"]["unseen"] == []


def test_what_was_found_is_in_the_journal_by_name(
    stead: LiveStead, planted: dict[str, Any]
) -> None:
    text = (stead.state / "journal.jsonl").read_text()
    assert '"relation": "public.care_seen_word"' in text


def test_nothing_is_repaired_in_silence(stead: LiveStead, planted: dict[str, Any]) -> None:
    assert "silence" in stead.run("integrity", "repair", status=2).stderr
    shown = repair.plan(repair.found_last(stead.wired.ports))
    assert [step.done for step in shown] == [False] * 5
    with stead.superuser(planting.DATABASE) as connection:
        valid = connection.execute(
            "SELECT convalidated AS is FROM pg_constraint WHERE conname = 'care_small'"
        ).fetchone()
    assert valid["is"] is False


def test_repair_rebuilds_the_index_validates_the_constraint_and_leaves_the_rest(
    stead: LiveStead, planted: dict[str, Any]
) -> None:
    done = stead.json("integrity", "repair", "--yes", status=3)
    outcomes = {s["action"].split()[0]: s["done"] for s in done["steps"]}
    assert outcomes == {"REINDEX": True, "ALTER": True, "pgstead": False, "by": False}
    assert contents(stead) == planted["before"]
    wired = stead.wired
    again = check(wired.design, wired.ports, "command", databases=("jeex_idea",))
    assert {(d.relation, d.constraint) for d in again.damages} == {
        ("public.care_rows", ""),
        ("public.care_parts", "care_parts_seen_fkey"),
    }
    assert wired.ports.care is not None
    history = [run.task for run in wired.ports.care.runs.runs(limit=3)]
    assert history == ["integrity", "repair", "integrity"]
