"""Workspaces, members, projects and branches (TICKET-016 to 019).

A member's own rows in `workspace_members` say which workspaces are theirs; all that lies in these
is seen and written by them. Foreign keys between rows of workspaces carry the workspace.

Revision ID: 3c8e62f9b1d5
Revises: 2b7d51e8a0c4
Create Date: 2026-11-21 15:51:00+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from pgstead.app.revisions import (
    column,
    keep_stamps,
    key,
    open_again,
    secure,
    stamps,
)

revision = "3c8e62f9b1d5"
down_revision = "2b7d51e8a0c4"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TABLES = ("workspaces", "workspace_members", "projects", "branches")

# Whose rows these are; `app` and `readonly` see no others.
ME = "(SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
MY_WORKSPACES = f"(ARRAY(SELECT workspace_id FROM workspace_members WHERE user_id = {ME}))"  # noqa: S608 - constants
SECURED = {
    "workspaces": f"(id = ANY {MY_WORKSPACES}) OR (owner_id = {ME})",
    "workspace_members": f"(user_id = {ME}) OR (owner_id = {ME})",
    "projects": f"workspace_id = ANY {MY_WORKSPACES}",
    "branches": f"workspace_id = ANY {MY_WORKSPACES}",
}


def upgrade() -> None:
    """Make the tables with their triggers and policies."""
    _create_workspaces()
    _create_workspace_members()
    _create_projects()
    _create_branches()
    keep_stamps(*TABLES)
    for table, rows in SECURED.items():
        secure(table, rows)


def downgrade() -> None:
    """Drop the tables with all their rows. This loses them."""
    for table in reversed(SECURED):
        open_again(table)
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_workspaces() -> None:
    op.create_table(
        "workspaces",
        key(),
        column("name", sa.String(255), "how it is shown"),
        column("slug", sa.String(100), "its name in addresses"),
        column("description", sa.Text(), "what it is for", nullable=True),
        column("owner_id", sa.Uuid(), "whose it is; goes with them"),
        column("plan_tier", sa.String(50), "free, starter, professional, enterprise", "'free'"),
        column("settings", JSONB(), "preferences, free form", "'{}'::jsonb"),
        column("is_active", sa.Boolean(), "false: closed", "true"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="workspaces_pkey"),
        sa.UniqueConstraint("id", "owner_id", name="workspaces_id_owner_id_key"),
        sa.UniqueConstraint("slug", name="workspaces_slug_key"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="workspaces_owner_id_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "plan_tier IN ('free', 'starter', 'professional', 'enterprise')",
            name=op.f("workspaces_plan_tier_check"),
        ),
        sa.CheckConstraint(
            "slug ~ '^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$'", name=op.f("workspaces_slug_check")
        ),
        comment="where people work together; seen by members and by the owner",
    )
    op.create_index("ix_workspaces_owner_id", "workspaces", ["owner_id"])


def _create_workspace_members() -> None:
    op.create_table(
        "workspace_members",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("owner_id", sa.Uuid(), "owner of the workspace, kept with it"),
        column("user_id", sa.Uuid(), "the member"),
        column("invited_by", sa.Uuid(), "who asked them in", nullable=True),
        column("role", sa.String(50), "viewer, editor, admin, owner", "'viewer'"),
        column("is_active", sa.Boolean(), "false: may not enter", "true"),
        column("joined_at", MOMENT, "since when", "now()"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="workspace_members_pkey"),
        sa.UniqueConstraint(
            "workspace_id", "user_id", name="workspace_members_workspace_id_user_id_key"
        ),
        sa.ForeignKeyConstraint(
            ["invited_by"],
            ["users.id"],
            name="workspace_members_invited_by_fkey",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="workspace_members_user_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="workspace_members_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "owner_id"],
            ["workspaces.id", "workspaces.owner_id"],
            name="workspace_members_workspace_id_owner_id_fkey",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "role IN ('viewer', 'editor', 'admin', 'owner')",
            name=op.f("workspace_members_role_check"),
        ),
        comment="who belongs to which workspace; seen by the person and by the owner",
    )
    op.create_index("ix_workspace_members_invited_by", "workspace_members", ["invited_by"])
    op.create_index(
        "ix_workspace_members_owner_id", "workspace_members", ["owner_id", "workspace_id"]
    )
    op.create_index(
        "ix_workspace_members_user_id", "workspace_members", ["user_id", "workspace_id"]
    )


def _create_projects() -> None:
    op.create_table(
        "projects",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("created_by", sa.Uuid(), "who began it", nullable=True),
        column("name", sa.String(255), "how it is shown"),
        column("description", sa.Text(), "what it is", nullable=True),
        column("project_type", sa.String(50), "greenfield, brownfield"),
        column("status", sa.String(50), "draft, active, completed, archived", "'draft'"),
        column("repository_url", sa.String(512), "where its code is", nullable=True),
        column("repository_provider", sa.String(50), "who hosts that", nullable=True),
        column("default_branch", sa.String(100), "main branch of the code", "'main'"),
        column("settings", JSONB(), "preferences, free form", "'{}'::jsonb"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="projects_pkey"),
        sa.UniqueConstraint("workspace_id", "id", name="projects_workspace_id_id_key"),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name="projects_created_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="projects_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "project_type IN ('greenfield', 'brownfield')", name=op.f("projects_project_type_check")
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'active', 'completed', 'archived')",
            name=op.f("projects_status_check"),
        ),
        comment="what is specified",
    )
    op.create_index("ix_projects_created_by", "projects", ["created_by"])
    op.create_index("ix_projects_status", "projects", ["workspace_id", "status"])
    op.create_index(
        "ix_projects_workspace_id", "projects", ["workspace_id", sa.text("created_at DESC")]
    )


def _create_branches() -> None:
    op.create_table(
        "branches",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("project_id", sa.Uuid(), "goes with its project"),
        column("parent_branch_id", sa.Uuid(), "where it began", nullable=True),
        column("created_by", sa.Uuid(), "who began it", nullable=True),
        column("name", sa.String(100), "unique in its project"),
        column("description", sa.Text(), "what it is for", nullable=True),
        column("status", sa.String(50), "active, merged, closed", "'active'"),
        column("is_protected", sa.Boolean(), "whether merging needs a review", "false"),
        column("mergeable", sa.Boolean(), "whether it can be merged", "true"),
        column("merged_at", MOMENT, "when it was merged", nullable=True),
        column("merge_conflicts", JSONB(), "what is in the way of merging", "'[]'::jsonb"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="branches_pkey"),
        sa.UniqueConstraint("workspace_id", "id", name="branches_workspace_id_id_key"),
        sa.UniqueConstraint(
            "workspace_id", "project_id", "name", name="branches_workspace_id_project_id_name_key"
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name="branches_created_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="branches_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "parent_branch_id"],
            ["branches.workspace_id", "branches.id"],
            name="branches_workspace_id_parent_branch_id_fkey",
            ondelete="SET NULL (parent_branch_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["projects.workspace_id", "projects.id"],
            name="branches_workspace_id_project_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("parent_branch_id <> id", name=op.f("branches_parent_branch_id_check")),
        sa.CheckConstraint(
            "status IN ('active', 'merged', 'closed')", name=op.f("branches_status_check")
        ),
        comment="lines of decisions apart from the main one",
    )
    op.create_index("ix_branches_created_by", "branches", ["created_by"])
    op.create_index("ix_branches_name", "branches", ["workspace_id", "name"])
    op.create_index(
        "ix_branches_parent_branch_id", "branches", ["workspace_id", "parent_branch_id"]
    )
    op.create_index("ix_branches_status", "branches", ["workspace_id", "status"])
