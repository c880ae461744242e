"""The same day on a server that has pgaudit: Debian's packages of 15, unpacked."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.debian_programs import fetched
from tests.fix_stead import LiveStead, stead_in
from tests.sabotage.scripted_day import lived
from tests.sabotage.test_audit import AUDITED, query

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def watched_by_pgaudit() -> Iterator[LiveStead]:
    """Give a stead of a build with pgaudit."""
    tree = fetched("postgresql-15-pgaudit", "postgresql-15").tree
    bindir = tree / "usr/lib/postgresql/15/bin"
    with stead_in(major=15, server=f'bindir = "{bindir}"', extra=AUDITED) as made:
        made.run("up")
        made.wait_for_service()
        yield made


def test_a_day_is_in_the_trail_of_pgaudit_with_each_action_exactly_once(
    watched_by_pgaudit: LiveStead,
) -> None:
    plan = watched_by_pgaudit.wired.design.audit
    assert plan is not None
    assert plan.pgaudit
    assert not plan.histories  # pgaudit is enough
    lived(watched_by_pgaudit, 2)


def test_a_view_does_not_hide_a_table_of_a_class(watched_by_pgaudit: LiveStead) -> None:
    stead = watched_by_pgaudit
    with stead.superuser("jeex_idea") as session:
        session.execute("CREATE VIEW people AS SELECT id FROM users")
        session.execute("GRANT SELECT ON people TO jeex_readonly")
    with stead.connect("jeex_readonly") as reader:
        reader.execute("SELECT count(*) FROM people")
        reader.execute("SELECT count(*) FROM projects")  # its level is writes
    time.sleep(1.5)
    told = query(stead, role="jeex_readonly", kinds=("read",))
    assert [e["classes"] for e in told if "people" in e["objects"]] == [["personal"]]
    assert not [e for e in told if "projects" in e["objects"]]
    with stead.superuser("jeex_idea") as session:
        session.execute("DROP VIEW people")


def test_what_pgaudits_role_was_granted_follows_the_manifest(
    watched_by_pgaudit: LiveStead,
) -> None:
    stead = watched_by_pgaudit
    granted = (
        "SELECT c.relname::text FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a"
        " WHERE a.grantee = 'pgstead_auditor'::regrole GROUP BY 1"
    )
    with stead.superuser("jeex_idea") as session:
        session.execute("REVOKE SELECT ON users FROM pgstead_auditor")
        assert "audited-tables" in stead.run("plan", status=3).stdout
        manifest = stead.manifest.read_text()
        stead.manifest.write_text(manifest.replace('tables = ["users"]', 'tables = ["proj*"]'))
        stead.run("up")
        assert session.execute(granted).fetchall() == [{"relname": "projects"}]
        stead.manifest.write_text(manifest)
        stead.run("up")
        assert session.execute(granted).fetchall() == [{"relname": "users"}]
        head, _, tail = manifest.partition("[[databases.audit]]")
        without = head + "[audit]" + tail.partition("[audit]")[2]
        stead.manifest.write_text(without)
        stead.run("up")
        assert session.execute(granted).fetchall() == []
        stead.manifest.write_text(manifest)
        stead.run("up")
        assert "nothing to change" in stead.run("up").stdout


def test_a_stead_with_pgaudit_keeps_every_promise(watched_by_pgaudit: LiveStead) -> None:
    report = watched_by_pgaudit.json("prove", status=None)
    broken = {p["code"]: p["reason"] for p in report["promises"] if p["verdict"] == "broken"}
    assert broken == {}
