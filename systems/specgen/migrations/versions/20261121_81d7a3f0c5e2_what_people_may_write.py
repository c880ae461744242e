"""What people may write, where that is less than what they see.

One policy for both let people do what no route offers: write a membership of their own in any
workspace whose key and owner they know, promote themselves, take a workspace over, write lines
into a foreign audit log or in somebody else's name, and, for the address that somebody signs in
with, change that account. Now

* a membership is written by the owner of the workspace, and only left by the member;
* a workspace is given away by its owner alone (a trigger: policies do not see the old row);
* a line of the audit log is one's own, and lies where one belongs;
* the address in `app.signing_in_as` shows a row, and opens it for nothing else;
* a membership that is switched off shows nothing.

Revision ID: 81d7a3f0c5e2
Revises: 70c2a6d3f519
Create Date: 2026-11-21 18:20:00+00:00
"""

from __future__ import annotations

from alembic import op

from pgstead.app.policy_operations import create_policy, drop_policy
from pgstead.app.revisions import open_again, secure

revision = "81d7a3f0c5e2"
down_revision = "70c2a6d3f519"
branch_labels = None
depends_on = None

ROLES = ["app", "readonly"]
OF_WORKSPACES = (
    "projects",
    "branches",
    "decisions",
    "decision_dependencies",
    "conversation_turns",
    "artifacts",
    "artifact_versions",
    "decision_artifacts",
    "templates",
    "comments",
    "codebase_analyses",
    "impact_analyses",
)
ME = "(SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
SIGNING_IN = "(SELECT NULLIF(current_setting('app.signing_in_as', true), ''))"
BELONGING = f"SELECT workspace_id FROM workspace_members WHERE user_id = {ME}"  # noqa: S608 - constants
ACTIVE = f"(ARRAY({BELONGING} AND is_active))"
ANY = f"(ARRAY({BELONGING}))"
OWNED = f"(ARRAY(SELECT id FROM workspaces WHERE owner_id = {ME}))"  # noqa: S608 - constants
MEMBERS = f"(user_id = {ME}) OR (owner_id = {ME})"
LOGGED = f"(user_id = {ME}) OR (workspace_id = ANY {OWNED})"
ONE_OF_TWO = f"(id = {ME}) OR (email = {SIGNING_IN})"


def upgrade() -> None:
    """Part what is written from what is seen."""
    for table in OF_WORKSPACES:
        _secure_anew(table, f"workspace_id = ANY {ACTIVE}")
    _secure_anew("workspaces", f"(owner_id = {ME}) OR (id = ANY {ACTIVE})")
    _secure_anew("workspace_members", MEMBERS, f"owner_id = {ME}")
    mine = f"(user_id = {ME}) AND (workspace_id IS NULL OR workspace_id = ANY {ACTIVE})"
    _secure_anew("audit_logs", LOGGED, mine)
    _secure_anew("users", f"id = {ME}")
    create_policy(
        "tenant_isolation_policy_shown",
        "users",
        command="SELECT",
        roles=ROLES,
        using=f"email = {SIGNING_IN}",
    )
    drop_policy("tenant_isolation_policy_floor", "users")
    create_policy(
        "tenant_isolation_policy_floor",
        "users",
        permissive=False,
        roles=ROLES,
        using=ONE_OF_TWO,
        check=f"id = {ME}",
    )
    # pgstead: ignore[trigger-on-table-in-use] without it the new policies would let an owner be
    # replaced: it comes in the same transaction
    op.execute(
        "CREATE TRIGGER workspaces_owner_id_kept BEFORE UPDATE ON public.workspaces FOR EACH ROW"
        " WHEN (OLD.owner_id IS DISTINCT FROM NEW.owner_id AND OLD.owner_id IS DISTINCT FROM"
        " NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
        " EXECUTE FUNCTION public.refuse_change('owner_id')"
    )


def downgrade() -> None:
    """Let be written what is seen, as before. No row is lost."""
    op.execute("DROP TRIGGER workspaces_owner_id_kept ON public.workspaces")
    drop_policy("tenant_isolation_policy_shown", "users")
    _secure_anew("users", ONE_OF_TWO)
    _secure_anew("audit_logs", LOGGED)
    _secure_anew("workspace_members", MEMBERS)
    _secure_anew("workspaces", f"(id = ANY {ANY}) OR (owner_id = {ME})")
    for table in reversed(OF_WORKSPACES):
        _secure_anew(table, f"workspace_id = ANY {ANY}")


# pgstead: ignore[several-tables-in-one-transaction] whoever may not write one table must not get
# at it through another: all change at once, or none does
def _secure_anew(table: str, rows: str, check: str | None = None) -> None:
    """Make the three policies of a table anew; within the migration's transaction."""
    open_again(table)
    secure(table, rows, check=check)
