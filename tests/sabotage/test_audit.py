"""A day of an audited stead: every action is in its trail once, and each promise is seen broken."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from pgstead.cli.wiring import access_to, wire
from pgstead.prove.finding import Verdict
from pgstead.workflows import audit as workflow
from pgstead.workflows import change_history
from pgstead.workflows.audit_query import Question, ask
from pgstead.workflows.planning import plan
from tests.fix_stead import LiveStead, stead_in
from tests.sabotage.damage import Sabotage
from tests.sabotage.on_audit import LENGTHY, WHERE, held_trail
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.scripted_day import Told, lived
from tests.sabotage.test_sabotage import related, sabotaged
from tests.waiting import until

OURS = [s for s in sabotages() if s.where == WHERE]
LONG = [s for s in sabotages() if s.where == LENGTHY]
AUDITED = """
[[databases.audit]]
name = "personal"
tables = ["users"]

[audit]
enabled = true
interval = "1s"
people = "writes"
"""


@pytest.fixture(scope="module")
def audited() -> Iterator[LiveStead]:
    """Give a stead of its own: the shared ones are not audited, which costs."""
    with stead_in(extra=AUDITED) as made:
        made.run("up")
        yield made


@pytest.fixture(scope="module")
def audited_scene(audited: LiveStead) -> Scene:
    """Give it to a saboteur."""
    wired = audited.wired
    scene = Scene(wired.design, wired.ports, access_to(wired.design, wired.ports))
    aimed = {code for s in OURS for code in s.breaks}
    scene.baseline = scene.prove("audit", *sorted(aimed)).verdicts()
    return scene


def query(stead: LiveStead, **asked: Any) -> list[Told]:
    """Ask for the events of the last hour."""
    audit, ports, now = stead.wired.design.audit, stead.wired.ports.audit, datetime.now(UTC)
    assert audit is not None
    assert ports is not None
    workflow.collect(audit, ports)
    question = Question(now - timedelta(hours=1), now + timedelta(hours=1), **asked)
    return [dict(told) for told in ask(question, audit, ports, stead.wired.ports.sql)]


@pytest.mark.parametrize(
    "days", [2, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
def test_a_day_is_in_the_trail_with_each_action_exactly_once(audited: LiveStead, days: int) -> None:
    """Who, what, when, from where, for whom; literals are nowhere."""
    lived(audited, days)


def test_failed_logins_are_told_once_for_each_door(audited: LiveStead) -> None:
    refused = {"kinds": ("login",), "outcome": "denied"}
    before = query(audited, **refused)
    for direct in (True, False):
        with pytest.raises(psycopg.OperationalError):
            audited.connect("jeex_admin" if direct else "jeex_user", direct=direct, password="no")
    until(lambda: len(query(audited, **refused)) >= len(before) + 2, "both logins are told")
    new = query(audited, **refused)[len(before) :]
    assert {(e["role"], e["database"]) for e in new} == {
        ("jeex_admin", "jeex_idea"),
        ("jeex_user", "jeex_idea"),
    }
    assert len(new) == 2


def test_a_changed_row_is_told_with_its_columns_and_for_whom(audited: LiveStead) -> None:
    """By the library that applications use, through the pooler."""
    from pgstead.app import SyncDatabase

    database = SyncDatabase.from_manifest(audited.manifest)
    person = uuid.uuid4()
    add = "INSERT INTO users (id, email, name) VALUES (:id, :email, 'N')"
    try:
        with database.session(user=person, correlation_id="change-1") as session:
            session.execute(text(add), {"id": person, "email": f"{person}@example.com"})
            session.execute(text("UPDATE users SET name = 'M' WHERE id = :id"), {"id": person})
    finally:
        database.close()
    asked = {"correlation_id": "change-1", "object": "users"}
    until(lambda: len(query(audited, **asked)) >= 4, "two writes, and what they changed")
    events = query(audited, **asked)
    assert [e["kind"] for e in events].count("write") == 2
    changes = [e for e in events if e["kind"] == "change"]
    assert [c["what"] for c in changes] == ["insert", "update"]
    for change in changes:
        assert change["role"] == "jeex_user"
        assert change["user"] == str(person)
        assert change["detail"]["key"] == {"id": str(person)}
        assert "before" not in change["detail"]  # values are kept where the manifest says so
    assert {"name", "updated_at"} <= set(changes[1]["detail"]["columns"])


@pytest.mark.parametrize("by_row", [True, False])
def test_every_way_of_writing_is_told_row_by_row_and_secrets_are_masked(
    audited: LiveStead, by_row: bool
) -> None:
    """Upserts, COPY, keys that change, TRUNCATE; with values, as a manifest may ask for."""
    arguments = "'values', '{\"id\"}', '{\"token\"}'"
    events = {
        "i": "INSERT ON d REFERENCING NEW TABLE AS new_rows",
        "u": "UPDATE ON d REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "d": "DELETE ON d REFERENCING OLD TABLE AS old_rows",
    }
    made = [
        f"CREATE TRIGGER {n} AFTER {e} FOR EACH STATEMENT"
        f" EXECUTE FUNCTION pgstead_audit.record_changes({arguments})"
        for n, e in events.items()
    ]
    if by_row:
        made = [
            (
                "CREATE TRIGGER r AFTER INSERT OR UPDATE OR DELETE ON d FOR EACH ROW"
                f" EXECUTE FUNCTION pgstead_audit.record_change({arguments})"
            )
        ]
    with audited.superuser("jeex_idea") as session, session.transaction(force_rollback=True):
        session.execute("CREATE TABLE d (id int PRIMARY KEY, a text, token text)")
        for statement in (
            *made,
            (
                "CREATE TRIGGER t AFTER TRUNCATE ON d FOR EACH STATEMENT"
                f" EXECUTE FUNCTION pgstead_audit.record_change({arguments})"
            ),
            "INSERT INTO d SELECT g, 'a' || g, 's3cret' FROM generate_series(1, 3) AS g",
            (
                "INSERT INTO d VALUES (3, 'b', 't'), (4, 'c', 'u')"
                " ON CONFLICT (id) DO UPDATE SET a = 'z', token = 'other'"
            ),
            "UPDATE d SET a = a WHERE id = 1",
            "UPDATE d SET a = 'nobody' WHERE false",
            "DELETE FROM d WHERE id = 2",
            "TRUNCATE d",
        ):
            session.execute(statement)
        rows = session.execute(
            "SELECT operation, key ->> 'id' AS id, columns, before, after FROM pgstead_audit.change"
            " WHERE transaction = pg_current_xact_id()"
        ).fetchall()
    told = sorted((r["operation"], r["id"] or "") for r in rows)
    assert told == [
        ("delete", "2"), ("insert", "1"), ("insert", "2"), ("insert", "3"), ("insert", "4"),
        ("truncate", ""), ("update", "1"), ("update", "3"),
    ]  # fmt: skip
    upsert = next(r for r in rows if (r["operation"], r["id"]) == ("update", "3"))
    assert sorted(upsert["columns"]) == ["a", "token"]
    assert upsert["before"] == {"a": "a3", "token": "***"}
    assert upsert["after"] == {"a": "z", "token": "***"}
    assert "s3cret" not in str(rows)


def test_parts_of_a_history_come_and_go_and_nobody_who_writes_waits_long(
    audited: LiveStead,
) -> None:
    """A month is made beside an open transaction, and let go of when nobody is in the way."""
    wired, month = audited.wired, "pgstead_audit.change_2020_01"
    plan, ports = wired.design.audit, wired.ports.audit
    assert plan is not None
    assert ports is not None

    def kept() -> set[str]:
        change_history.keep(plan, wired.ports.sql, ports)
        rows = admin.execute(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
            " WHERE inhparent = 'pgstead_audit.change'::regclass"
        )
        return {row["name"] for row in rows}

    add = "INSERT INTO users (email, name) VALUES (gen_random_uuid() || '@example.com', 'N')"
    with (
        audited.superuser("jeex_idea") as admin,
        audited.superuser("jeex_idea") as writer,
        ThreadPoolExecutor() as pool,
    ):
        newest = max(kept() - {"pgstead_audit.change_else"})
        admin.execute(f"DROP TABLE {newest}".encode())
        admin.execute(f"CREATE TABLE {month} (LIKE pgstead_audit.change)".encode())
        admin.execute(
            f"ALTER TABLE pgstead_audit.change ATTACH PARTITION {month}"
            " FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')".encode()
        )
        with writer.transaction():
            writer.execute(add)
            assert {newest, month} <= kept()
        writer.execute("SET lock_timeout = '1s'")
        with admin.transaction(force_rollback=True):
            admin.execute("LOCK TABLE pgstead_audit.change IN SHARE UPDATE EXCLUSIVE MODE")
            keeping = pool.submit(change_history.keep, plan, wired.ports.sql, ports)
            while not keeping.done():
                writer.execute(add)  # raises where it waits
        assert newest in kept()
        assert month not in kept()
        admin.execute("DELETE FROM users WHERE name = 'N'")
    assert audited.json("audit", "verify")["flaws"] == []


def test_a_question_that_is_none_and_an_answer_that_is_empty_are_told_apart(
    audited: LiveStead, tmp_path: Path
) -> None:
    for words, said in (
        (("query", "--since", "99999999999d"), "is no moment"),
        (("query", "--until", "2d"), "is not before --until"),
        (("export", str(tmp_path / "no" / "x")), "cannot be made"),
    ):
        done = audited.run("audit", *words, status=2)
        assert said in done.stderr
        assert "hint: " in done.stderr
    done = audited.run("audit", "query", "--role", "nobody_here")
    assert done.stdout == ""
    assert "the manifest has no role 'nobody_here'; it has jeex_admin" in done.stderr
    done = audited.run("audit", "query", "--limit", "1", "--json")
    assert len(done.stdout.splitlines()) == 1
    assert "there is more" in done.stderr


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_an_audited_stead_keeps_every_other_promise(audited: LiveStead) -> None:
    """Whose statements are all logged: SRV-030 finds a slow one without its text."""
    report = audited.json("prove", status=None)
    assert [p["code"] for p in report["promises"] if p["verdict"] == "broken"] == []


@pytest.mark.parametrize("sabotage", OURS, ids=lambda s: s.name)
def test_a_sabotage_of_the_trail_breaks_its_promises(
    audited_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(audited_scene, sabotage, *related(sabotage))


@pytest.mark.soak
@pytest.mark.parametrize("sabotage", LONG, ids=lambda s: s.name)
def test_promises_break_where_nothing_is_collected(
    audited_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(audited_scene, sabotage, *related(sabotage))


@pytest.mark.soak
@pytest.mark.parametrize("sabotage", OURS, ids=lambda s: s.name)
def test_a_sabotage_of_the_trail_breaks_no_other_promise_of_it(
    audited_scene: Scene, sabotage: Sabotage
) -> None:
    sabotaged(audited_scene, sabotage, "audit", *sorted(sabotage.breaks))


def test_an_undamaged_trail_keeps_every_promise(audited_scene: Scene) -> None:
    kept = {code for code, v in audited_scene.baseline.items() if v is Verdict.KEPT}
    assert kept == set(audited_scene.baseline), audited_scene.baseline


def test_an_edited_line_is_found_by_its_number(audited: LiveStead, audited_scene: Scene) -> None:
    ports = audited.wired.ports.audit
    assert ports is not None
    with held_trail(audited_scene) as path:
        before = path.read_text()
        for change in edits(before.splitlines()):
            path.write_text("\n".join(change) + "\n")
            assert workflow.verify(ports).flaws, change[:1]
        assert audited.json("audit", "verify", status=1)["flaws"]
        path.write_text(before)
        assert workflow.verify(ports).flaws == ()


def edits(lines: list[str]) -> Iterator[list[str]]:
    """Yield the trail as somebody would have it who has something to hide."""
    middle = len(lines) // 2
    other = lines[middle].replace('"at":"2', '"at":"3', 1)
    yield [*lines[:middle], other, *lines[middle + 1 :]]
    yield [*lines[:middle], *lines[middle + 1 :]]
    yield [*lines[:middle], lines[middle + 1], lines[middle], *lines[middle + 2 :]]
    yield lines[:-1]
    yield [*lines, lines[-1]]
    yield lines[1:]


def test_an_export_names_the_head_that_the_trail_is_held_against(
    audited: LiveStead, tmp_path: Path
) -> None:
    target = tmp_path / "audit.jsonl"
    told = audited.json("audit", "export", str(target))
    assert target.stat().st_mode & 0o777 == 0o600
    lines = target.read_text().splitlines()
    head = json.loads(lines[-1])
    assert told["events"] == len(lines) - 1
    ports = audited.wired.ports.audit
    assert ports is not None
    assert not workflow.verify(ports, (head["seq"], head["hash"])).flaws
    assert workflow.verify(ports, (head["seq"], "0" * 64)).flaws
    audited.run("audit", "export", str(target), status=2)


def test_what_is_no_longer_wanted_leaves_and_the_trail_stays(audited: LiveStead) -> None:
    """Settings of roles, triggers, and the agent, which has nothing else to do: last of all."""
    manifest = audited.manifest.read_text()
    audited.manifest.write_text(manifest.replace("enabled = true\ninterval", "interval"))
    audited.run("up")
    assert "agent" not in audited.wired.ports.supervisor.states()
    with audited.superuser("jeex_idea") as session:
        settings = "SELECT FROM pg_db_role_setting WHERE 'log_statement=all' = ANY (setconfig)"
        assert session.execute(settings).fetchall() == []
        triggers = "SELECT FROM pg_trigger WHERE tgname ~ '^pgstead_audit_'"
        assert session.execute(triggers).fetchall() == []
    assert list((audited.state / "audit").glob("trail-*.jsonl"))
    wired = wire(audited.manifest)
    assert plan(wired.design, wired.ports).empty
