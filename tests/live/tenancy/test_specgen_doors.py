"""The ways around the policies of specgen: memberships, keys, the audit log, signing in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from pgstead.app.tenancy import USER
from systems.specgen.models.people import SIGNING_IN
from tests.live.scratch import Scratch
from tests.live.tenancy.asking import ADA, EVE, HASH, REFUSALS, Asking, asking
from tests.live.tenancy.lab import act

SETTLED = b"""
    INSERT INTO users (id, email, password_hash) VALUES (%(id)s, %(email)s, %(hash)s);
    INSERT INTO workspaces (id, name, slug, owner_id)
      VALUES (%(id)s, 'W', 'w-' || %(id)s::text, %(id)s);
    INSERT INTO workspace_members (id, workspace_id, owner_id, user_id, role)
      VALUES (%(id)s, %(id)s, %(id)s, %(id)s, 'owner');
    INSERT INTO projects (id, workspace_id, name, project_type)
      VALUES (%(id)s, %(id)s, 'P', 'greenfield');
    INSERT INTO audit_logs (user_id, workspace_id, action) VALUES (%(id)s, %(id)s, 'login')
"""


@pytest.fixture(scope="module")
def specgen(every_system: Scratch) -> Iterator[Scratch]:
    """Give Ada and Eve, each with a workspace that has their own key."""
    with every_system.admin("specgen") as admin, psycopg.ClientCursor(admin) as cursor:
        for person in (ADA, EVE):
            values = {"id": person, "email": f"{person.hex}@example.com", "hash": HASH}
            cursor.execute(SETTLED, values)
    yield every_system
    with every_system.admin("specgen") as admin:
        admin.execute("DELETE FROM users WHERE id = ANY (%s)", [[ADA, EVE]])


# -- workspaces: who belongs ----------------------------------------------------------------------


def invite(asker: Asking, member: uuid.UUID, role: str, workspace: uuid.UUID = ADA) -> int:
    """Write a membership."""
    return asker.rows(
        "INSERT INTO workspace_members (workspace_id, owner_id, user_id, role)"
        " VALUES (%s, %s, %s, %s)",
        *(workspace, ADA, member, role),
    )


def test_nobody_asks_themselves_into_a_workspace(specgen: Scratch) -> None:
    with asking(specgen, "specgen", **{USER: EVE}) as eve:
        assert eve.rows("SELECT FROM projects") == 1
        for owner in (ADA, EVE):  # by the truth, and by a lie that the foreign key finds
            refusal = eve.refused(
                "INSERT INTO workspace_members (workspace_id, owner_id, user_id, role)"
                " VALUES (%s, %s, %s, 'viewer')",
                *(ADA, owner, EVE),
            )
            assert refusal in (errors.InsufficientPrivilege, errors.ForeignKeyViolation)
        move = "UPDATE workspace_members SET workspace_id = %s, owner_id = %s WHERE user_id = %s"
        assert eve.refused(move, ADA, ADA, EVE) is errors.InsufficientPrivilege
        assert eve.rows("SELECT FROM projects") == 1


def test_a_member_neither_promotes_themselves_nor_invites_nor_takes_over(
    specgen: Scratch,
) -> None:
    with asking(specgen, "specgen", **{USER: ADA}) as asker:
        assert invite(asker, EVE, "viewer") == 1
        act(asker.connection, **{USER: EVE})
        assert asker.rows("SELECT FROM workspaces") == 2
        for change in ("role = 'owner'", "is_active = true"):
            update = f"UPDATE workspace_members SET {change} WHERE workspace_id = %s"
            assert asker.refused(update, ADA) is errors.InsufficientPrivilege
        take = "UPDATE workspaces SET owner_id = %s WHERE id = %s"
        assert asker.refused(take, EVE, ADA) is errors.CheckViolation
        assert asker.rows("SELECT FROM workspace_members WHERE user_id = %s", ADA) == 0
        act(asker.connection, **{USER: ADA})
        assert asker.rows(take, EVE, ADA) == 1  # the owner gives it away


def test_who_is_removed_or_switched_off_sees_nothing_any_more(specgen: Scratch) -> None:
    with asking(specgen, "specgen", **{USER: ADA}) as asker:
        assert invite(asker, EVE, "editor") == 1
        act(asker.connection, **{USER: EVE})
        assert asker.rows("SELECT FROM projects") == 2
        for end in (
            "UPDATE workspace_members SET is_active = false",
            "DELETE FROM workspace_members",
        ):
            act(asker.connection, **{USER: ADA})
            assert asker.rows(f"{end} WHERE user_id = %s", EVE) == 1
            act(asker.connection, **{USER: EVE})
            assert asker.rows("SELECT FROM projects WHERE workspace_id = %s", ADA) == 0
            assert asker.rows("SELECT FROM workspaces WHERE id = %s", ADA) == 0
            assert (
                asker.refused(
                    "INSERT INTO projects (workspace_id, name, project_type)"
                    " VALUES (%s, 'Q', 'greenfield')",
                    ADA,
                )
                is errors.InsufficientPrivilege
            )


def test_a_former_owner_sees_what_members_see(specgen: Scratch) -> None:
    with asking(specgen, "specgen", **{USER: ADA}) as asker:
        assert asker.rows("UPDATE workspaces SET owner_id = %s WHERE id = %s", EVE, ADA) == 1
        owned = "SELECT FROM workspace_members WHERE workspace_id = %s"
        assert asker.rows(owned, ADA) == 1  # her own membership, kept; not the others'
        act(asker.connection, **{USER: EVE})
        assert asker.rows(owned, ADA) == 1
        assert asker.rows("DELETE FROM workspace_members WHERE user_id = %s", ADA) == 1


def test_the_audit_log_takes_what_one_did_where_one_belongs(specgen: Scratch) -> None:
    line = "INSERT INTO audit_logs (user_id, workspace_id, action) VALUES (%s, %s, 'login')"
    with asking(specgen, "specgen", **{USER: EVE}) as eve:
        for person, workspace in ((EVE, ADA), (ADA, EVE), (ADA, ADA), (None, EVE)):
            assert eve.refused(line, person, workspace) is errors.InsufficientPrivilege
        assert eve.rows(line, EVE, EVE) == 1
        assert eve.rows(line, EVE, None) == 1
        assert eve.rows("SELECT FROM audit_logs WHERE workspace_id = %s", ADA) == 0


@pytest.mark.parametrize("table", ["branches", "decisions", "artifacts", "codebase_analyses"])
def test_a_row_of_a_workspace_points_at_no_project_of_another(specgen: Scratch, table: str) -> None:
    more = {
        "branches": ("name", "b"),
        "decisions": ("question_text", "?"),
        "artifacts": ("title", "t"),
        "codebase_analyses": ("commit_sha", "abcdef0"),
    }[table]
    kinds = (", artifact_type", ", 'prd'") if table == "artifacts" else ("", "")
    insert = (
        f"INSERT INTO {table} (workspace_id, project_id, {more[0]}{kinds[0]})"
        f" VALUES (%s, %s, %s{kinds[1]})"
    )
    with asking(specgen, "specgen", **{USER: EVE}) as eve:
        assert eve.refused(insert, EVE, ADA, more[1]) is errors.ForeignKeyViolation
        assert eve.refused(insert, ADA, ADA, more[1]) is errors.InsufficientPrivilege
        assert eve.rows(insert, EVE, EVE, more[1]) == 1


# -- signing in -----------------------------------------------------------------------------------


def test_the_address_of_who_signs_in_shows_one_row_and_opens_nothing(specgen: Scratch) -> None:
    with asking(specgen, "specgen", **{SIGNING_IN: f"{ADA.hex}@example.com"}) as nobody:
        assert nobody.rows("SELECT FROM users") == 1
        for statement in (
            "UPDATE users SET password_hash = password_hash",
            "DELETE FROM users",
            "SELECT FROM users FOR UPDATE",
            "SELECT FROM users FOR KEY SHARE",
        ):
            assert nobody.rows(statement) == 0
        for table in ("user_sessions", "workspaces", "projects", "audit_logs"):
            assert nobody.rows(f"SELECT FROM {table}") == 0
        session = (
            "INSERT INTO user_sessions (user_id, token_hash, expires_at) VALUES (%s, %s, now())"
        )
        assert nobody.refused(session, ADA, b"0" * 32) is errors.InsufficientPrivilege
        add = "INSERT INTO users (id, email, password_hash) VALUES (%s, %s, %s)"
        for email in (f"{ADA.hex}@example.com", "new@example.com"):
            assert nobody.refused(add, uuid.uuid4(), email, HASH) is errors.InsufficientPrivilege


@pytest.mark.parametrize("said", ["", "%", "%@example.com", "' OR true --", "\\", "*", "null"])
def test_what_is_no_address_shows_nobody(specgen: Scratch, said: str) -> None:
    with asking(specgen, "specgen", **{SIGNING_IN: said}) as nobody:
        assert nobody.rows("SELECT FROM users") == 0


def test_who_is_signed_in_opens_no_other_row_by_an_address(specgen: Scratch) -> None:
    said = {USER: EVE, SIGNING_IN: f"{ADA.hex}@example.com"}
    with asking(specgen, "specgen", **said) as eve:
        assert eve.rows("SELECT FROM users") == 2  # hers, and the one that is asked for
        assert eve.rows("UPDATE users SET full_name = 'x'") == 1
        assert eve.rows("DELETE FROM users WHERE id = %s", ADA) == 0
        steal = "UPDATE users SET id = %s WHERE id = %s"
        assert eve.refused(steal, uuid.uuid4(), EVE) is errors.InsufficientPrivilege
        upsert = (
            "INSERT INTO users (id, email, password_hash) VALUES (%s, %s, %s)"
            " ON CONFLICT (email) DO UPDATE SET password_hash = EXCLUDED.password_hash"
        )
        # by the other row's policy, or because her key is taken
        assert eve.refused(upsert, EVE, f"{ADA.hex}@example.com", HASH) in REFUSALS
