"""One person is erased: found nowhere afterwards, and nobody else is touched."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.fix_stead import LiveStead
from tests.live.personal.conftest import Person, add_person, held

pytestmark = pytest.mark.live


def counts(stead: LiveStead) -> dict[str, int]:
    """Return how many rows each table has."""
    names = ("users", "projects", "document_versions", "agent_executions")
    with stead.superuser("jeex_idea") as session:
        return {n: session.execute(f"SELECT FROM {n}").rowcount for n in names}


def row_of(stead: LiveStead, person: Person) -> dict[str, Any]:
    """Return the row of a person."""
    with stead.superuser("jeex_idea") as session:
        return session.execute("SELECT * FROM users WHERE id = %s", [person.id]).fetchone()


def seal(stead: LiveStead) -> None:
    """Seal the change history as the agent does."""
    from pgstead.workflows import change_history

    wired = stead.wired
    assert wired.design.audit is not None
    assert wired.ports.audit is not None
    change_history.keep(wired.design.audit, wired.ports.sql, wired.ports.audit)


def test_every_column_of_the_system_is_classified(kept: LiveStead) -> None:
    (told,) = kept.json("pii", "report")["databases"]
    assert "unclassified" not in told["counts"]
    assert told["subjects"] == {"users": ["id", "email"]}
    assert told["unreached"] == []
    personal = {f"{c['table']}.{c['column']}" for c in told["columns"] if c["class"] == "personal"}
    assert {"users.email", "users.name", "document_versions.content"} <= personal


def test_an_erased_person_is_found_nowhere_and_their_neighbour_is_untouched(
    kept: LiveStead,
) -> None:
    ada, bob = add_person(kept, "Ada"), add_person(kept, "Bob")
    seal(kept)
    before, neighbour = counts(kept), row_of(kept, bob)
    assert held(kept, ada.email, ada.name)
    rehearsed = kept.json("pii", "erase", "--subject", ada.email, "--dry-run")
    assert rehearsed["rehearsed"]
    assert counts(kept) == before
    assert held(kept, ada.email, ada.name)

    told = kept.json("pii", "erase", "--subject", ada.email, "--yes")
    assert told["clean"]
    assert told["searched"] == 2
    assert held(kept, ada.email, ada.name, "Ada O") == []
    assert held(kept, bob.email, bob.name)
    assert row_of(kept, bob) == neighbour
    after = counts(kept)
    assert after == {n: c - (n != "users") for n, c in before.items()}
    does = {(s["table"], s["does"]): s["rows"] for s in told["steps"]}
    assert does["projects", "deleted"] == does["document_versions", "deleted"] == 1
    assert does["users", "anonymised"] == 1
    assert does["pgstead_audit.change of users", "scrubbed"] >= 3
    # what the seals say accounts for it, and for nothing else
    assert kept.json("audit", "verify")["flaws"] == []
    with kept.superuser("jeex_idea") as session:
        session.execute(
            "UPDATE pgstead_audit.change SET role = 'other' WHERE table_name = 'users'"
            " AND key ->> 'id' = %s AND operation = 'insert'",
            [bob.id],
        )
    assert kept.json("audit", "verify", status=1)["flaws"]
    with kept.superuser("jeex_idea") as session:
        session.execute("UPDATE pgstead_audit.change SET role = 'postgres' WHERE role = 'other'")


def test_a_person_that_a_restore_brings_back_is_erased_again(kept: LiveStead) -> None:
    eve = add_person(kept, "Eve")
    with kept.superuser("jeex_idea") as session:
        row = session.execute(
            "SELECT email, name, profile_data::text AS p FROM users WHERE id = %s", [eve.id]
        ).fetchone()
    kept.run("pii", "erase", "--subject", eve.id, "--yes")
    assert kept.json("pii", "replay") == []
    with kept.superuser("jeex_idea") as session:
        session.execute(
            "UPDATE users SET email = %s, name = %s, profile_data = %s WHERE id = %s",
            [row["email"], row["name"], row["p"], eve.id],
        )
    assert held(kept, eve.email)
    (again,) = kept.json("pii", "replay")
    assert again["clean"]
    assert held(kept, eve.email, eve.name) == []


def test_an_unknown_person_is_a_usage_error_that_names_the_ways(kept: LiveStead) -> None:
    before = counts(kept)
    done = kept.run("pii", "erase", "--subject", "nobody@example.com", "--yes", status=2)
    assert "nobody is called" in done.stderr
    assert "users by id or email" in done.stderr
    kept.run("pii", "erase", "--subject", "nobody@example.com", status=2)
    assert counts(kept) == before


def test_a_value_in_a_row_of_somebody_else_is_reported_with_its_place(kept: LiveStead) -> None:
    ivy, joe = add_person(kept, "Ivy"), add_person(kept, "Joe")
    with kept.superuser("jeex_idea") as session:
        session.execute(
            "UPDATE document_versions SET content = %s WHERE project_id = %s",
            [f"as {ivy.email.upper()} said", joe.project],
        )
    told = kept.json("pii", "erase", "--subject", ivy.id, "--yes", status=1)
    places = {(s["table"], s["column"]) for s in told["found"]}
    assert ("document_versions", "content") in places
    assert not told["clean"]


def test_an_erasure_that_is_held_up_changes_nothing_and_is_finished_by_the_next(
    kept: LiveStead, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pgstead.errors import PersonalDataError
    from pgstead.cli.pii import personal_ports
    from pgstead.workflows import erasure

    kim = add_person(kept, "Kim")
    monkeypatch.setattr(erasure, "_PATIENCE", "SET LOCAL lock_timeout = '100ms'")
    wired = kept.wired
    personal = personal_ports(wired)
    before = counts(kept)
    with kept.superuser("jeex_idea") as other, other.transaction():
        other.execute("SELECT FROM users WHERE id = %s FOR UPDATE", [kim.id])
        with pytest.raises(PersonalDataError, match="nothing was erased"):
            erasure.erase(wired.design, wired.ports, personal, "jeex_idea", kim.email)
    assert counts(kept) == before
    assert [e.key["id"] for e in personal.erasures.all() if not e.finished] == [kim.id]
    assert erasure.erase(wired.design, wired.ports, personal, "jeex_idea", kim.email).clean
    assert all(e.finished for e in personal.erasures.all())


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_erasure_that_is_killed_is_finished_by_the_next(
    kept: LiveStead, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Before its transaction is committed all is there still; after it only the proof is due."""
    from pgstead.cli.pii import personal_ports
    from pgstead.workflows import erasure

    lea = add_person(kept, "Lea")
    wired = kept.wired
    personal = personal_ports(wired)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    place = (erasure._Work, "_tell") if moment == "before" else (erasure, "_tidy")
    with monkeypatch.context() as patched:
        patched.setattr(*place, killed)
        with pytest.raises(KeyboardInterrupt):
            erasure.erase(wired.design, wired.ports, personal, "jeex_idea", lea.email)
    assert bool(held(kept, lea.email)) == (moment == "before")
    assert len(kept.json("pii", "report")["unfinished_erasures"]) == 1
    done = kept.json("pii", "erase", "--subject", lea.email, "--yes")
    assert done["resumed"] == (moment == "after")
    assert held(kept, lea.email, lea.name) == []
    assert kept.json("pii", "report")["unfinished_erasures"] == []


def test_the_application_reads_neither_the_list_nor_other_persons(kept: LiveStead) -> None:
    path = kept.state / "personal" / "erasures.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for line in path.read_text().splitlines():
        assert "@example.com" not in json.dumps(json.loads(line))
    with kept.connect() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT * FROM pgstead_audit.change")
