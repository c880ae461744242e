"""The audit log (TICKET-029).

A person sees what they did, the owner of a workspace what was done there. The application adds
rows; only the administrator may change or delete them (AUD-2).

Revision ID: 70c2a6d3f519
Revises: 6fb195c2e408
Create Date: 2026-11-21 15:55:00+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET, JSONB

from pgstead.app.revisions import (
    column,
    keep_stamps,
    key,
    open_again,
    revoke,
    secure,
    stamps,
)

revision = "70c2a6d3f519"
down_revision = "6fb195c2e408"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TABLES = ("audit_logs",)

# Whose rows these are; `app` and `readonly` see no others.
ME = "(SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
MY_WORKSPACES = f"(ARRAY(SELECT id FROM workspaces WHERE owner_id = {ME}))"  # noqa: S608 - constants
SECURED = {"audit_logs": f"(user_id = {ME}) OR (workspace_id = ANY {MY_WORKSPACES})"}


def upgrade() -> None:
    """Make the tables with their triggers and policies."""
    _create_audit_logs()
    keep_stamps(*TABLES)
    for table, rows in SECURED.items():
        secure(table, rows)
    revoke("UPDATE, DELETE", "audit_logs", "app")


def downgrade() -> None:
    """Drop the tables with all their rows. This loses them."""
    for table in reversed(SECURED):
        open_again(table)
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_audit_logs() -> None:
    op.create_table(
        "audit_logs",
        key(),
        column("user_id", sa.Uuid(), "who did it", nullable=True),
        column("workspace_id", sa.Uuid(), "where", nullable=True),
        column("project_id", sa.Uuid(), "in which project", nullable=True),
        column("action", sa.String(50), "what was done"),
        column("resource_type", sa.String(50), "table of the row", nullable=True),
        column("resource_id", sa.Uuid(), "key of the row", nullable=True),
        column("success", sa.Boolean(), "whether it was done", "true"),
        column("error_message", sa.Text(), "why it was not", nullable=True),
        column("ip_address", INET(), "from where", nullable=True),
        column("user_agent", sa.String(512), "with what", nullable=True),
        column("request_id", sa.String(100), "correlation id", nullable=True),
        column("session_id", sa.String(100), "in which session", nullable=True),
        column("details", JSONB(), "more about it, free form", "'{}'::jsonb"),
        column("changes", JSONB(), "which fields, never their values", "'{}'::jsonb"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="audit_logs_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="audit_logs_user_id_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="audit_logs_workspace_id_fkey",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["projects.workspace_id", "projects.id"],
            name="audit_logs_workspace_id_project_id_fkey",
            ondelete="SET NULL (project_id)",
        ),
        sa.CheckConstraint(
            (
                "action IN ('login', 'logout', 'login_failed', 'password_change', "
                "'password_reset', 'mfa_enabled', 'mfa_disabled', 'oauth_connect', "
                "'oauth_disconnect', 'user_create', 'user_update', 'user_delete', "
                "'user_verify', 'workspace_create', 'workspace_update', 'workspace_delete',"
                " 'workspace_join', 'workspace_leave', 'workspace_invite', "
                "'workspace_role_change', 'project_create', 'project_update', "
                "'project_delete', 'project_archive', 'decision_create', 'decision_update',"
                " 'decision_answer', 'decision_lock', 'decision_unlock', "
                "'decision_dependency_add', 'decision_dependency_remove', 'branch_create', "
                "'branch_merge', 'branch_delete', 'branch_conflict', 'artifact_generate', "
                "'artifact_update', 'artifact_delete', 'artifact_export', "
                "'artifact_version', 'artifact_rollback', 'comment_create', "
                "'comment_update', 'comment_delete', 'comment_resolve', 'codebase_analyze',"
                " 'impact_analyze', 'change_plan_generate', 'admin_action', 'data_export', "
                "'data_delete')"
            ),
            name=op.f("audit_logs_action_check"),
        ),
        comment="what people did; the application's role may add rows, not change them",
    )
    op.create_index("ix_audit_logs_action", "audit_logs", ["action"])
    op.create_index("ix_audit_logs_created_at", "audit_logs", ["created_at"])
    op.create_index("ix_audit_logs_project_id", "audit_logs", ["workspace_id", "project_id"])
    op.create_index("ix_audit_logs_resource_id", "audit_logs", ["resource_id"])
    op.create_index("ix_audit_logs_resource_type", "audit_logs", ["resource_type"])
    op.create_index("ix_audit_logs_user_id", "audit_logs", ["user_id", sa.text("created_at DESC")])
    op.create_index(
        "ix_audit_logs_workspace_id", "audit_logs", ["workspace_id", sa.text("created_at DESC")]
    )
