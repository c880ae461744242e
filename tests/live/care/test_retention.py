"""Retention removes exactly what is due, with its files, in short transactions, and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgstead.errors import BusyError
from pgstead.model.backup import Task
from pgstead.model.retention import Rule
from pgstead.workflows import retention
from tests.fix_stead import LiveStead
from tests.waiting import until

OWNED = """
    INSERT INTO users (email, name) VALUES ('keeper@example.com', 'K') ON CONFLICT DO NOTHING;
    INSERT INTO projects (name, created_by)
    SELECT 'kept', id FROM users WHERE email = 'keeper@example.com'
"""
EXPORTS = """
    INSERT INTO exports (project_id, status, file_path, expires_at)
    SELECT p.id, 'completed', CASE WHEN n % 2 = 0 THEN 'a/' || n || '.zip' END,
           now() + make_interval(hours => 3 - n)
    FROM (SELECT id FROM projects LIMIT 1) AS p, generate_series(1, {most}) AS n
"""


@pytest.fixture(scope="module", autouse=True)
def owned(stead: LiveStead) -> None:
    """Give a project that exports are of."""
    with stead.superuser("jeex_idea") as connection:
        connection.execute(OWNED)


@pytest.fixture
def files(stead: LiveStead, tmp_path: Path) -> Iterator[Path]:
    """Give ten exports, eight of them expired, and the files of every second one."""
    root = tmp_path / "files"
    (root / "a").mkdir(parents=True)
    fill(stead, 10)
    for number in range(2, 11, 2):
        (root / "a" / f"{number}.zip").write_text("x")
    yield root
    with stead.superuser("jeex_idea") as connection:
        connection.execute("DELETE FROM exports")


def fill(stead: LiveStead, most: int) -> None:
    with stead.superuser("jeex_idea") as connection:
        connection.execute("DELETE FROM exports")
        connection.execute(EXPORTS.format(most=most))


def left(stead: LiveStead) -> int:
    with stead.superuser("jeex_idea") as connection:
        return connection.execute("SELECT count(*) AS n FROM exports").fetchone()["n"]


def run(stead: LiveStead, rule: Rule, root: Path | None = None, cause: str = "command") -> Any:
    """Run one rule in this process."""
    wired = stead.wired
    directories = {"jeex_idea": str(root)} if root else {}
    (done,) = retention.run(
        wired.design, wired.ports, {"jeex_idea": (rule,)}, cause, directories=directories
    )
    return done


def last(stead: LiveStead) -> Any:
    """Return what is written of the last run."""
    care = stead.wired.ports.care
    assert care is not None
    return care.runs.runs(Task.RETENTION, limit=1)[0]


EXPIRED = Rule("public.exports", "expires_at", 0.0)


def test_a_dry_run_counts_what_is_due_and_removes_nothing(stead: LiveStead, files: Path) -> None:
    (due,) = stead.json("retention", "run", "--dry-run")["due"]
    assert (due["table"], due["rows"], due["files"]) == ("public.exports", 8, 4)
    assert left(stead) == 10
    assert len(list(files.rglob("*.zip"))) == 5


def test_what_has_expired_goes_with_its_files_and_nothing_else(
    stead: LiveStead, files: Path
) -> None:
    (files / "a" / "other.zip").write_text("of nobody")
    done = run(stead, replace(EXPIRED, files="file_path"), files)
    assert (done.rows, done.files, done.left, done.why) == (8, 4, 0, "")
    assert left(stead) == 2
    assert {p.name for p in files.rglob("*.zip")} == {"2.zip", "other.zip"}
    newest = last(stead)
    assert (newest.ending, newest.detail["tables"][0]["rows"]) == ("done", 8)


def test_a_row_whose_file_nobody_finds_stays_and_the_others_go(
    stead: LiveStead, files: Path
) -> None:
    (done,) = stead.json("retention", "run", status=1)["removed"]
    assert (done["rows"], done["files"], left(stead)) == (4, 0, 6)
    assert "4 rows name files: databases.files has to say" in done["why"]
    (newest, *_) = stead.json("retention", "history")["runs"]
    assert (newest["ending"], newest["cause"]) == ("failed", "command")


def test_a_file_outside_of_the_directory_is_left_and_so_is_its_row(
    stead: LiveStead, files: Path
) -> None:
    outside = files.parent / "precious"
    outside.write_text("x")
    with stead.superuser("jeex_idea") as connection:
        connection.execute(
            "UPDATE exports SET file_path = '../precious' WHERE file_path = 'a/4.zip'"
        )
    done = run(stead, replace(EXPIRED, files="file_path"), files)
    assert outside.exists()
    assert (done.rows, done.left) == (7, 1)
    assert "does not lie below" in done.why


def test_a_row_that_somebody_has_locked_is_left_for_the_next_run(
    stead: LiveStead, files: Path
) -> None:
    with stead.superuser("jeex_idea") as other, other.transaction():
        other.execute("SELECT FROM exports WHERE file_path = 'a/6.zip' FOR UPDATE")
        done = run(stead, EXPIRED)
        assert (done.rows, done.left) == (7, 1)
    assert run(stead, EXPIRED).rows == 1


def test_a_row_that_is_renewed_while_it_is_waited_for_stays(stead: LiveStead, files: Path) -> None:
    with stead.superuser("jeex_idea") as other:
        other.execute("BEGIN")
        other.execute("UPDATE exports SET expires_at = now() + '1 day' WHERE file_path = 'a/6.zip'")
        done = run(stead, EXPIRED)
        other.execute("COMMIT")
    assert done.rows == 7
    assert run(stead, EXPIRED).rows == 0


def test_rows_without_an_index_by_age_are_gone_through_by_key_to_the_last_one(
    stead: LiveStead,
) -> None:
    fill(stead, 3000)
    done = run(stead, EXPIRED)
    assert (done.rows, done.left) == (2998, 0)
    assert done.batches > 3
    assert left(stead) == 2


def test_rows_with_an_index_by_age_go_to_the_last_one_in_any_size_of_batch(
    stead: LiveStead,
) -> None:
    fill(stead, 3000)
    with stead.superuser("jeex_idea") as connection:
        connection.execute("UPDATE exports SET expires_at = now() - interval '1 day'")
        connection.execute("CREATE INDEX by_age ON exports (expires_at)")
    try:
        done = run(stead, EXPIRED)
    finally:
        with stead.superuser("jeex_idea") as connection:
            connection.execute("DROP INDEX by_age")
    assert (done.rows, done.left, left(stead)) == (3000, 0, 0)


def test_a_scheduled_run_does_not_empty_a_table_because_a_clock_jumped(stead: LiveStead) -> None:
    fill(stead, 1200)
    wired = stead.wired
    ahead = datetime.now(UTC) + timedelta(days=400)
    rules = {"jeex_idea": (EXPIRED,)}
    (done,) = retention.run(wired.design, wired.ports, rules, "schedule", at=ahead)
    assert (done.rows, left(stead)) == (0, 1200)
    assert "is the clock right?" in done.why
    assert last(stead).ending == "failed"


def test_rows_that_policies_hide_from_the_administrator_are_not_called_removed(
    stead: LiveStead, files: Path
) -> None:
    drop = "DROP POLICY tenant_isolation_policy_admin ON exports"
    again = "CREATE POLICY tenant_isolation_policy_admin ON exports TO jeex_admin USING (true)"
    with stead.superuser("jeex_idea") as connection:
        connection.execute(drop)
        try:
            done = run(stead, EXPIRED)
            wired = stead.wired
            (told,) = retention.due(wired.design, wired.ports, {"jeex_idea": (EXPIRED,)})
        finally:
            connection.execute(f"{again} WITH CHECK (true)")
    assert done.rows == 0
    assert "hides rows" in done.why
    assert told.rows is None


def test_a_run_that_is_under_way_is_not_joined_by_a_second_one(
    stead: LiveStead, files: Path
) -> None:
    with stead.superuser() as holder:
        holder.execute("SELECT pg_advisory_lock(hashtextextended('pgstead retention', 0))")
        with pytest.raises(BusyError, match="running already"):
            run(stead, EXPIRED)
    assert left(stead) == 10


def test_no_transaction_of_a_run_is_longer_than_a_second_though_each_row_is_slow(
    stead: LiveStead,
) -> None:
    fill(stead, 40)
    with slow(stead, "0.05"):
        done = run(stead, EXPIRED)
    assert (done.rows, left(stead)) == (38, 2)
    assert done.batches > 2  # 38 rows of 50 ms each are no one transaction


KILLED = """
import sys
from pgstead.cli.wiring import wire
from pgstead.model.retention import Rule
from pgstead.workflows import retention
wired = wire(sys.argv[1])
rule = Rule("public.exports", "expires_at", 0.0, files="file_path" if sys.argv[2] else "")
directories = {"jeex_idea": sys.argv[2]}
retention.run(wired.design, wired.ports, {"jeex_idea": (rule,)}, "command", directories=directories)
"""
SLOW = """
    CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep({}); RETURN OLD; END';
    CREATE TRIGGER slowly BEFORE DELETE ON exports FOR EACH ROW EXECUTE FUNCTION slowly()
"""


@contextmanager
def slow(stead: LiveStead, seconds: str) -> Iterator[None]:
    """Let the removal of each row take so long."""
    with stead.superuser("jeex_idea") as connection:
        connection.execute(SLOW.format(seconds).encode())
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER slowly ON exports; DROP FUNCTION slowly()")


@pytest.mark.parametrize("with_files", [False, True])
def test_a_killed_run_says_how_much_it_has_removed_and_the_next_one_does_the_rest(
    stead: LiveStead, files: Path, with_files: bool
) -> None:
    fill(stead, 3002)
    for number in range(2, 3003, 2):
        (files / "a" / f"{number}.zip").write_text("x")
    root = files if with_files else None
    with slow(stead, "0.001"):
        removed = killed(stead, root)
    rest = run(stead, replace(EXPIRED, files="file_path" if with_files else ""), root)
    care = stead.wired.ports.care
    assert care is not None
    newest, before = care.runs.runs(Task.RETENTION, limit=2)
    assert (before.ending, newest.ending) == ("killed", "done")
    assert newest.detail["goes_on_after"] == before.number
    tables: Any = before.detail["tables"]
    (told,) = tables
    assert told["rows"] <= removed <= told["rows"] + told["under_way"]
    assert f"public.exports {told['rows']} and at most" in before.error
    assert (removed + rest.rows, rest.left, rest.under_way, left(stead)) == (3000, 0, 0, 2)
    assert len(list(files.rglob("*.zip"))) == (1 if with_files else 1501)


def killed(stead: LiveStead, root: Path | None) -> int:
    """Kill a run amid its batches; return how many rows are gone when the server knows of it."""
    command = [sys.executable, "-c", KILLED, str(stead.manifest), str(root or "")]
    with subprocess.Popen(command, cwd=stead.directory) as process:
        until(lambda: so_far(stead) > 300)
        os.kill(process.pid, signal.SIGKILL)
    with stead.superuser() as connection:
        there = "SELECT FROM pg_stat_activity WHERE application_name = 'pgstead retention'"
        until(lambda: connection.execute(there).fetchone() is None)
    return 3002 - left(stead)


def so_far(stead: LiveStead) -> int:
    """Return how many rows the run that is under way says that it has removed."""
    care = stead.wired.ports.care
    assert care is not None
    newest = care.runs.runs(Task.RETENTION, limit=1)
    details: Any = [run.detail for run in newest if run.ending == "running"]
    return sum(table["rows"] for detail in details for table in detail.get("tables", ()))
