"""Projects, and what belongs to them, are their owner's alone (TEN-6).

Every role but the administrator's sees and writes what the setting `app.current_user_id` of its
transaction entitles it to; without the setting that is nothing. Forced: the owner of the tables
is bound as well, so a later migration that changes rows has to say how (it is refused, never
silently without effect: migrations run with `row_security = off`).

Revision ID: 8f2e60b4c7d1
Revises: 5d1c7a9e0b42
Create Date: 2026-11-21 15:39:34+00:00
"""

from __future__ import annotations

from pgstead.app.policy_operations import create_policy, drop_policy, set_row_security

revision = "8f2e60b4c7d1"
down_revision = "5d1c7a9e0b42"
branch_labels = None
depends_on = None

MINE = "created_by = (SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
OF_MY_PROJECTS = f"project_id = ANY (ARRAY(SELECT id FROM projects WHERE {MINE}))"  # noqa: S608 - constants

CONDITIONS = {
    "projects": MINE,
    "document_versions": OF_MY_PROJECTS,
    "agent_executions": OF_MY_PROJECTS,
    "exports": OF_MY_PROJECTS,
}


def upgrade() -> None:
    """Enable and force row-level security on four tables, with three policies each."""
    # pgstead: ignore[several-tables-in-one-transaction] one that is open shows what another hides:
    # all four are secured at once, or none is
    for table, rows in CONDITIONS.items():
        set_row_security(table, enabled=True, forced=True)
        create_policy(
            "tenant_isolation_policy", table, roles=["app", "readonly"], using=rows, check=rows
        )
        create_policy(
            "tenant_isolation_policy_floor",
            table,
            permissive=False,
            roles=["app", "readonly"],
            using=rows,
            check=rows,
        )
        create_policy(
            "tenant_isolation_policy_admin", table, roles=["admin"], using="true", check="true"
        )


def downgrade() -> None:
    """Open the four tables again: every role sees what its grants let it. No row is lost."""
    for table in reversed(CONDITIONS):
        for ending in ("_admin", "_floor", ""):
            drop_policy(f"tenant_isolation_policy{ending}", table)
        set_row_security(table, enabled=False, forced=False)
