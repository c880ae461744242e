"""One person is erased: found nowhere afterwards, and nobody else is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgstead.app.encryption import ErasedError, PersonFiles
from pgstead.app.encryption.place import Owner
from pgstead.cli.pii import personal_ports
from pgstead.cli.wiring import access_to
from pgstead.errors import PersonalDataError
from pgstead.prove.finding import Verdict
from pgstead.workflows import erasure
from tests.cli.program import inside
from tests.fix_stead import LiveStead
from tests.live.personal.conftest import Person, add_person, held, pii
from tests.sabotage.damage import Sabotage
from tests.sabotage.on_personal import SABOTAGES
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import related, sabotaged

pytestmark = pytest.mark.live


def counts(stead: LiveStead) -> dict[str, int]:
    """Return how many rows each table has."""
    names = ("users", "projects", "document_versions", "agent_executions")
    with stead.superuser("jeex_idea") as session:
        return {n: session.execute(f"SELECT FROM {n}").rowcount for n in names}


def answer(stead: LiveStead, *arguments: str, status: int = 0) -> Any:
    """Run it for a program that reads the answer."""
    return json.loads(pii(stead, *arguments, "--json", status=status).out)


def flaws(stead: LiveStead) -> list[Any]:
    """Return what `pgstead audit verify` finds."""
    said = inside("audit", "verify", "--json", directory=stead.directory)
    found = json.loads(said.out)["flaws"]
    assert said.status == bool(found)
    return found


def logs(stead: LiveStead) -> list[Path]:
    """Return every file of the state but the server's own: logs, the journal, the trail."""
    data = stead.state / "server" / "data"
    found = (p for p in stead.state.resolve().rglob("*") if data.resolve() not in p.parents)
    return [p for p in found if p.is_file() and "toolchain" not in p.parts]


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
    (told,) = answer(kept, "report")["databases"]
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
    rehearsed = answer(kept, "erase", "--subject", ada.email, "--dry-run")
    assert rehearsed["rehearsed"]
    assert counts(kept) == before
    assert held(kept, ada.email, ada.name)

    told = answer(kept, "erase", "--subject", ada.email, "--yes")
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
    assert [
        str(path) for path in logs(kept) if ada.email in path.read_text("utf-8", "replace")
    ] == []
    # what the seals say accounts for it, and for nothing else
    assert flaws(kept) == []
    with kept.superuser("jeex_idea") as session:
        session.execute(
            "UPDATE pgstead_audit.change SET role = 'other' WHERE table_name = 'users'"
            " AND key ->> 'id' = %s AND operation = 'insert'",
            [bob.id],
        )
    assert flaws(kept)
    with kept.superuser("jeex_idea") as session:
        session.execute("UPDATE pgstead_audit.change SET role = 'postgres' WHERE role = 'other'")


def test_a_person_that_a_restore_brings_back_is_erased_again(kept: LiveStead) -> None:
    eve = add_person(kept, "Eve")
    with kept.superuser("jeex_idea") as session:
        row = session.execute(
            "SELECT email, name, profile_data::text AS p FROM users WHERE id = %s", [eve.id]
        ).fetchone()
    pii(kept, "erase", "--subject", eve.id, "--yes")
    assert answer(kept, "replay") == []
    with kept.superuser("jeex_idea") as session:
        session.execute(
            "UPDATE users SET email = %s, name = %s, profile_data = %s WHERE id = %s",
            [row["email"], row["name"], row["p"], eve.id],
        )
    assert held(kept, eve.email)
    (again,) = answer(kept, "replay")
    assert again["clean"]
    assert held(kept, eve.email, eve.name) == []


def test_an_unknown_person_is_a_usage_error_that_names_the_ways(kept: LiveStead) -> None:
    before = counts(kept)
    done = pii(kept, "erase", "--subject", "nobody@example.com", "--yes", status=2)
    assert "nobody is called" in done.err
    assert "users by id or email" in done.err
    pii(kept, "erase", "--subject", "nobody@example.com", status=2)
    assert counts(kept) == before


def test_a_value_in_a_row_of_somebody_else_is_reported_with_its_place(kept: LiveStead) -> None:
    ivy, joe = add_person(kept, "Ivy"), add_person(kept, "Joe")
    with kept.superuser("jeex_idea") as session:
        session.execute(
            "UPDATE document_versions SET content = %s WHERE project_id = %s",
            [f"as {ivy.email.upper()} said", joe.project],
        )
    told = answer(kept, "erase", "--subject", ivy.id, "--yes", status=1)
    places = {(s["table"], s["column"]) for s in told["found"]}
    assert ("document_versions", "content") in places
    assert not told["clean"]


def test_an_erasure_that_is_held_up_changes_nothing_and_is_finished_by_the_next(
    kept: LiveStead, monkeypatch: pytest.MonkeyPatch
) -> None:

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
    assert kim.id not in {e.key["id"] for e in personal.erasures.all()}
    assert erasure.erase(wired.design, wired.ports, personal, "jeex_idea", kim.email).clean
    assert all(e.finished for e in personal.erasures.all())


@pytest.mark.parametrize(
    ("moment", "by"), [("before", "email"), ("after", "email"), ("after", "id")]
)
def test_an_erasure_that_is_killed_is_finished_by_the_next(
    kept: LiveStead, monkeypatch: pytest.MonkeyPatch, moment: str, by: str
) -> None:
    """Before its transaction is committed all is there still; after it only the proof is due."""
    lea = add_person(kept, "Lea")
    who = str(getattr(lea, by))
    wired = kept.wired
    personal = personal_ports(wired)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    place = (erasure._Work, "_tell") if moment == "before" else (erasure, "_tidy")
    with monkeypatch.context() as patched:
        patched.setattr(*place, killed)
        with pytest.raises(KeyboardInterrupt):
            erasure.erase(wired.design, wired.ports, personal, "jeex_idea", who)
    assert bool(held(kept, lea.email)) == (moment == "before")
    assert len(answer(kept, "report")["unfinished_erasures"]) == 1
    done = answer(kept, "erase", "--subject", who, "--yes")
    assert done["clean"]
    # without their address nobody is found any more: what is due is done by the list
    assert done["resumed"] == (moment == "after" and by == "email")
    assert held(kept, lea.email, lea.name) == []
    assert answer(kept, "report")["unfinished_erasures"] == []


def test_the_application_reads_neither_the_list_nor_other_persons(kept: LiveStead) -> None:
    path = kept.state / "personal" / "erasures.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for line in path.read_text().splitlines():
        assert "@example.com" not in json.dumps(json.loads(line))
    with kept.connect() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT * FROM pgstead_audit.change")


# -- export -------------------------------------------------------------------------------------


def test_an_export_has_all_of_one_person_and_nothing_of_another(
    kept: LiveStead, tmp_path: Path
) -> None:
    mia, ned = add_person(kept, "Mia"), add_person(kept, "Ned")
    target = tmp_path / "mia.json"
    pii(kept, "export", "--subject", mia.email, "--out", str(target))
    assert target.stat().st_mode & 0o777 == 0o600
    told = json.loads(target.read_text())
    assert {name: len(rows) for name, rows in told["rows"].items()} == {
        "users": 1, "projects": 1, "document_versions": 1, "agent_executions": 1,
    }  # fmt: skip
    assert told["rows"]["users"][0]["email"] == mia.email
    assert told["rows"]["users"][0]["profile_data"]["city"] == "Århus"
    assert any(h["after"] and h["after"].get("email") == mia.email for h in told["history"])
    assert ned.email not in target.read_text()
    assert ned.id not in target.read_text()
    pii(kept, "export", "--subject", mia.email, "--out", str(target), status=2)
    with kept.superuser("jeex_idea") as session:
        assert session.execute("SELECT FROM users WHERE id = %s", [mia.id]).rowcount == 1


# -- masked copies ------------------------------------------------------------------------------

SHAPE = """
    SELECT (SELECT count(*) FROM users) AS users,
           (SELECT count(DISTINCT email) FROM users) AS mails,
           (SELECT array_agg(n ORDER BY n) FROM (
               SELECT count(*) AS n FROM users GROUP BY split_part(email, '@', 2)) AS d) AS domains,
           (SELECT array_agg(id ORDER BY id) FROM projects) AS projects,
           (SELECT count(*) FROM projects AS p JOIN users AS u ON u.id = p.created_by) AS owned,
           (SELECT sum(length(content)) FROM document_versions) AS letters,
           (SELECT array_agg(k ORDER BY k) FROM users, jsonb_object_keys(profile_data) AS k) AS keys
"""


def shape(stead: LiveStead, database: str) -> dict[str, Any]:
    """Return what a masked copy has of its original."""
    with stead.superuser(database) as session:
        return session.execute(SHAPE).fetchone()


def test_a_masked_copy_keeps_everything_but_who_they_are(kept: LiveStead) -> None:
    people = [add_person(kept, name) for name in ("Olga", "Paul", "Quin")]
    told = answer(kept, "mask", "--to", "masked")
    try:
        assert told["found"] == []
        assert shape(kept, "masked") == shape(kept, "jeex_idea")
        with kept.superuser("masked") as session:
            text = str(session.execute("SELECT to_jsonb(u)::text AS u FROM users AS u").fetchall())
            text += str(session.execute("SELECT to_jsonb(d) FROM document_versions d").fetchall())
            schemas = session.execute("SELECT to_regnamespace('pgstead_audit') AS n").fetchone()
        assert schemas == {"n": None}
        for person in people:
            assert person.email not in text
            assert person.name.split("-")[1] not in text
        # nobody enters it until the manifest names it
        for role in ("jeex_user", "jeex_admin"):
            with pytest.raises(psycopg.OperationalError):
                kept.connect(role, direct=True, dbname="masked")
        pii(kept, "mask", "--to", "masked", status=2)
    finally:
        with kept.superuser() as session:
            session.execute("DROP DATABASE masked")
    key = kept.state / "personal" / "mask.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text() not in json.dumps(told)


def test_a_mask_that_is_cut_off_leaves_nothing_that_anybody_may_enter(
    kept: LiveStead, tmp_path: Path
) -> None:
    add_person(kept, "Rosa")
    begun = "pgstead_masking_0badcafe"
    with kept.superuser() as session:  # as a run leaves it that is killed
        session.execute(f"CREATE DATABASE {begun} CONNECTION LIMIT 0")
    target = tmp_path / "copy.dump"
    pii(kept, "mask", "--to", str(target))
    with kept.superuser() as session:
        left = session.execute("SELECT FROM pg_database WHERE datname ~ '^pgstead_masking'")
        assert left.rowcount == 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes()[:5] == b"PGDMP"
    pii(kept, "mask", "--to", str(target), status=2)
    done = pii(kept, "mask", "--to", "/proc/no/copy.dump", status=1)
    assert "writing" in done.err


def destroyed(secrets: PersonFiles, owner: Owner) -> bool:
    """Say whether a person's secret was destroyed; fail where there never was one."""
    try:
        assert secrets.secret(owner) is not None
    except ErasedError:
        return True
    return False


# -- promises -----------------------------------------------------------------------------------


def test_rows_go_stay_or_are_cut_as_tables_and_comments_say(kept: LiveStead, club: str) -> None:
    """Rows of a club that goes, answers to them elsewhere, notes, and who checked them."""
    wired = kept.wired
    personal = personal_ports(wired)

    def erase() -> erasure.Outcome:
        return erasure.erase(wired.design, wired.ports, personal, club, "one@example.com")

    secrets = PersonFiles(Path(wired.design.layout.person_keys(club)))
    one, ours, others = (
        Owner(f"public.{table}", key)
        for table, key in (("persons", "1"), ("clubs", "10"), ("clubs", "20"))
    )
    for owner in (one, ours, others):
        secrets.make(owner)
    with pytest.raises(PersonalDataError, match="1 rows of bills point at what would go") as error:
        erase()
    assert "person" in error.value.hint
    assert secrets.secret(one)  # what was refused has destroyed nothing
    with kept.superuser(club) as session:
        assert session.execute("SELECT FROM persons").rowcount == 2
        session.execute("DELETE FROM bills")
    done = erase()
    assert done.clean
    # a club is a person too, by its comment, and goes with its owner
    assert done.secrets == 2
    assert [destroyed(secrets, owner) for owner in (one, ours, others)] == [True, True, False]
    does = {(s.table, s.does): s.rows for s in done.steps}
    assert does["posts", "deleted"] == 3  # with the answer that lies in a club of somebody else
    assert does["clubs", "deleted"] == does["persons", "deleted"] == 1
    assert does["notes", "anonymised"] == does["notes", "unlinked by checker"] == 1
    with kept.superuser(club) as session:
        posts = session.execute("SELECT array_agg(id ORDER BY id) AS i FROM posts").fetchone()
        one, two = session.execute("SELECT to_jsonb(n) AS n FROM notes AS n ORDER BY id").fetchall()
    assert posts == {"i": [3, 5]}
    assert one["n"].pop("code").startswith("erased-")
    assert one["n"] == {
        "id": 1, "author": None, "body": "erased", "site": "https://erased.invalid/",
        "born": "1970-01-01", "tags": ["a"], "checker": 2,
    }  # fmt: skip
    assert two["n"] == {
        "id": 2, "author": 2, "body": "by two", "site": "https://two.example",
        "born": "1991-01-02", "tags": ["x", "y"], "code": "c2", "checker": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def erased_scene(kept: LiveStead) -> Scene:
    """Give the stead, in which somebody was erased, to a saboteur."""
    person = add_person(kept, "Zoe")
    pii(kept, "erase", "--subject", person.id, "--yes")
    wired = kept.wired
    scene = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
    scene.baseline = scene.prove("ENC-5", "ENC-6").verdicts()
    return scene


def test_an_undamaged_stead_keeps_what_it_promises_to_persons(erased_scene: Scene) -> None:
    mine = {code: v for code, v in erased_scene.baseline.items() if code.startswith("PII")}
    assert set(mine) == {f"PII-00{n}" for n in range(1, 8)}
    assert mine.pop("PII-005") is Verdict.UNPROVEN  # jeex_idea encrypts nothing
    assert set(mine.values()) == {Verdict.KEPT}


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda s: s.name)
def test_a_sabotage_of_what_protects_persons_breaks_its_promise(
    erased_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(erased_scene, sabotage, *related(sabotage))
