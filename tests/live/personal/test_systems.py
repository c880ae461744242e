"""Persons of jeex_idea and specgen: exported, masked and erased, every one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.program import inside
from tests.fix_stead import SPECGEN, LiveStead, stead_in
from tests.live.personal.conftest import add_person, held

pytestmark = [pytest.mark.live, pytest.mark.soak]

SYSTEMS = f"""
[databases.history]
values = true

[audit]
enabled = true
{SPECGEN}sample = "systems.specgen.sample"

[databases.history]
values = true

[[databases]]
name = "ai_agents"
owner = "ai_agents_owner"
app = "aiagents"
migrations = "systems/ai_agents"
models = "systems.ai_agents.models:Base"
sample = "systems.ai_agents.sample"
prefix = "AI_AGENTS_"

[databases.history]
values = true
"""


@pytest.fixture(scope="module")
def filled() -> Iterator[LiveStead]:
    """Give a stead with the sample data of all three systems."""
    with stead_in(extra=SYSTEMS) as made:
        made.run("up")
        made.wired.ports.supervisor.stop("agent")
        for system in ("jeex_idea", "specgen", "ai_agents"):
            made.run("demo", "load", system)
        yield made


def pii(stead: LiveStead, *arguments: str, status: int = 0) -> Any:
    """Run `pgstead pii ... --json` and read its answer."""
    said = inside("pii", *arguments, "--json", directory=stead.directory)
    assert said.status == status, said
    return json.loads(said.out)


@pytest.mark.parametrize(
    ("database", "table", "key", "known"),
    [
        ("jeex_idea", "users", "email", "name"),
        ("specgen", "users", "email", "full_name"),
    ],
)
def test_all_persons_of_a_system_are_exported_masked_and_erased(
    filled: LiveStead, database: str, table: str, key: str, known: str
) -> None:
    told = pii(filled, "report", "--database", database)["databases"][0]
    assert "unclassified" not in told["counts"]
    assert told["unreached"] == []
    with filled.superuser(database) as session:
        people = session.execute(f"SELECT {key} AS key, {known} AS name FROM {table}").fetchall()
        counts = session.execute(COUNTS).fetchall()
    assert people
    masked = pii(filled, "mask", "--database", database, "--to", f"{database}_masked")
    assert masked["found"] == []
    with filled.superuser(f"{database}_masked") as session:
        assert session.execute(COUNTS).fetchall() == counts
    for person in people:
        exported = pii(filled, "export", "--database", database, "--subject", person["key"])
        assert exported["rows"][table][0][key] == person["key"]
        where = ("--database", database, "--subject", person["key"])
        done = pii(filled, "erase", *where, "--yes")
        assert done["clean"], done
        # a short word is in others: "Ada" in "metadata"
        values = [v for v in (person["key"], person["name"]) if len(v) > 5]
        assert held(filled, *values, database=database) == []
    assert inside("audit", "verify", directory=filled.directory).status == 0


def test_a_restore_in_place_brings_no_erased_person_back() -> None:
    with stead_in(backup="true") as stead:
        stead.run("up")
        ann = add_person(stead, "Ann")
        stead.run("backup", "now")
        with stead.superuser() as session:
            moment = session.execute("SELECT now()::text AS t").fetchone()["t"].replace(" ", "T")
            session.execute("SELECT pg_sleep(1)")
        done = pii(stead, "erase", "--subject", ann.email, "--yes")
        assert "backups" in {r["where"] for r in done["remains"]}
        stead.run("restore", "--in-place", "--yes", "--to-time", moment)
        assert held(stead, ann.email, ann.name) == []
        with stead.superuser("jeex_idea") as session:
            asked = "SELECT FROM projects WHERE created_by = %s"
            assert session.execute(asked, [ann.id]).rowcount == 0
        stead.run("prove", "PII-003")


# of the applications' tables; the change history stays behind
COUNTS = """
    SELECT c.relname::text AS name,
           (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I', c.relname),
                                                false, true, '')))[1]::text AS rows
    FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    ORDER BY 1
"""
