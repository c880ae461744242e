"""Artifacts with their versions, and templates (TICKET-022, 023, 028).

Seen by the members of their workspace.

Revision ID: 5ea084b1d3f7
Revises: 4d9f73a0c2e6
Create Date: 2026-11-21 15:53:00+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pgstead.app.revisions import (
    column,
    keep_stamps,
    key,
    open_again,
    secure,
    stamps,
)

revision = "5ea084b1d3f7"
down_revision = "4d9f73a0c2e6"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TABLES = ("artifacts", "artifact_versions", "decision_artifacts", "templates")

# Whose rows these are; `app` and `readonly` see no others.
ME = "(SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
MY_WORKSPACES = f"(ARRAY(SELECT workspace_id FROM workspace_members WHERE user_id = {ME}))"  # noqa: S608 - constants
SECURED = {
    "artifacts": f"workspace_id = ANY {MY_WORKSPACES}",
    "artifact_versions": f"workspace_id = ANY {MY_WORKSPACES}",
    "decision_artifacts": f"workspace_id = ANY {MY_WORKSPACES}",
    "templates": f"workspace_id = ANY {MY_WORKSPACES}",
}


def upgrade() -> None:
    """Make the tables with their triggers and policies."""
    _create_artifacts()
    _create_artifact_versions()
    _create_decision_artifacts()
    _create_templates()
    keep_stamps(*TABLES)
    for table, rows in SECURED.items():
        secure(table, rows)


def downgrade() -> None:
    """Drop the tables with all their rows. This loses them."""
    for table in reversed(SECURED):
        open_again(table)
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_artifacts() -> None:
    op.create_table(
        "artifacts",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("project_id", sa.Uuid(), "goes with its project"),
        column("branch_id", sa.Uuid(), "null: on the main line", nullable=True),
        column("generated_by", sa.Uuid(), "who had it made", nullable=True),
        column("artifact_type", sa.String(50), "what it is"),
        column("title", sa.String(255), "how it is shown"),
        column("description", sa.Text(), "what it is about", nullable=True),
        column("content", JSONB(), "the document", "'{}'::jsonb"),
        column("format", sa.String(50), "how it is written", "'markdown'"),
        column("status", sa.String(50), "where it is", "'pending'"),
        column("version", sa.Integer(), "its latest version", "1"),
        column("is_latest", sa.Boolean(), "false: another one replaced it", "true"),
        column("file_size", sa.Integer(), "bytes", nullable=True),
        column("checksum", sa.String(64), "of the file", nullable=True),
        column("metadata", JSONB(), "more about it, free form", "'{}'::jsonb"),
        column("generated_at", MOMENT, "when it was made", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="artifacts_pkey"),
        sa.UniqueConstraint("workspace_id", "id", name="artifacts_workspace_id_id_key"),
        sa.ForeignKeyConstraint(
            ["generated_by"], ["users.id"], name="artifacts_generated_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "branch_id"],
            ["branches.workspace_id", "branches.id"],
            name="artifacts_workspace_id_branch_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="artifacts_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["projects.workspace_id", "projects.id"],
            name="artifacts_workspace_id_project_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            (
                "artifact_type IN ('prd', 'api_spec', 'database_schema', 'architecture', "
                "'tickets', 'tests', 'deployment', 'openapi', 'graphql', 'grpc', "
                "'markdown', 'json', 'yaml', 'custom')"
            ),
            name=op.f("artifacts_artifact_type_check"),
        ),
        sa.CheckConstraint("file_size >= 0", name=op.f("artifacts_file_size_check")),
        sa.CheckConstraint(
            (
                "format IN ('markdown', 'json', 'yaml', 'html', 'pdf', 'plaintext', "
                "'openapi_json', 'openapi_yaml')"
            ),
            name=op.f("artifacts_format_check"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'generating', 'completed', 'failed', 'regenerating')",
            name=op.f("artifacts_status_check"),
        ),
        sa.CheckConstraint("version >= 1", name=op.f("artifacts_version_check")),
        comment="documents that are made from decisions",
    )
    op.create_index("ix_artifacts_branch_id", "artifacts", ["workspace_id", "branch_id"])
    op.create_index("ix_artifacts_generated_by", "artifacts", ["generated_by"])
    op.create_index("ix_artifacts_project_id", "artifacts", ["workspace_id", "project_id"])
    op.create_index("ix_artifacts_status", "artifacts", ["workspace_id", "status"])
    op.create_index("ix_artifacts_type", "artifacts", ["workspace_id", "artifact_type"])


def _create_artifact_versions() -> None:
    op.create_table(
        "artifact_versions",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("artifact_id", sa.Uuid(), "goes with its artifact"),
        column("created_by", sa.Uuid(), "who made it", nullable=True),
        column("version", sa.Integer(), "1, 2, 3 ... per artifact"),
        column("content", JSONB(), "the document", "'{}'::jsonb"),
        column("changelog", sa.Text(), "what is new", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="artifact_versions_pkey"),
        sa.UniqueConstraint(
            "workspace_id",
            "artifact_id",
            "version",
            name="artifact_versions_workspace_id_artifact_id_version_key",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"],
            ["users.id"],
            name="artifact_versions_created_by_fkey",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "artifact_id"],
            ["artifacts.workspace_id", "artifacts.id"],
            name="artifact_versions_workspace_id_artifact_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="artifact_versions_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("version >= 1", name=op.f("artifact_versions_version_check")),
        comment="versions of artifacts, numbered from 1",
    )
    op.create_index("ix_artifact_versions_created_by", "artifact_versions", ["created_by"])


def _create_decision_artifacts() -> None:
    op.create_table(
        "decision_artifacts",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("decision_id", sa.Uuid(), "goes with its decision"),
        column("artifact_id", sa.Uuid(), "goes with its artifact"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="decision_artifacts_pkey"),
        sa.UniqueConstraint(
            "workspace_id",
            "decision_id",
            "artifact_id",
            name="decision_artifacts_workspace_id_decision_id_artifact_id_key",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "artifact_id"],
            ["artifacts.workspace_id", "artifacts.id"],
            name="decision_artifacts_workspace_id_artifact_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "decision_id"],
            ["decisions.workspace_id", "decisions.id"],
            name="decision_artifacts_workspace_id_decision_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="decision_artifacts_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        comment="which decisions an artifact is made from",
    )
    op.create_index(
        "ix_decision_artifacts_artifact_id", "decision_artifacts", ["workspace_id", "artifact_id"]
    )


def _create_templates() -> None:
    op.create_table(
        "templates",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("created_by", sa.Uuid(), "who made it", nullable=True),
        column("name", sa.String(255), "how it is shown"),
        column("description", sa.Text(), "what it is for", nullable=True),
        column("category", sa.String(50), "what it is for, in a word", "'custom'"),
        column("content", JSONB(), "the template", "'{}'::jsonb"),
        column("default_decisions", JSONB(), "decisions that come with it", "'[]'::jsonb"),
        column("tags", ARRAY(sa.String(50)), "labels", "'{}'::character varying[]"),
        column("technologies", ARRAY(sa.String(100)), "what it uses", "'{}'::character varying[]"),
        column("is_public", sa.Boolean(), "meant for other workspaces too", "false"),
        column("is_featured", sa.Boolean(), "shown first", "false"),
        column("usage_count", sa.Integer(), "times used", "0"),
        column("rating", sa.Integer(), "1 to 5", nullable=True),
        column("version", sa.Integer(), "its version", "1"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="templates_pkey"),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name="templates_created_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="templates_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            (
                "category IN ('web_application', 'api_service', 'microservice', "
                "'mobile_app', 'cli_tool', 'library', 'full_stack', 'data_pipeline', "
                "'machine_learning', 'custom')"
            ),
            name=op.f("templates_category_check"),
        ),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("templates_rating_check")),
        sa.CheckConstraint("usage_count >= 0", name=op.f("templates_usage_count_check")),
        sa.CheckConstraint("version >= 1", name=op.f("templates_version_check")),
        comment="what projects are begun with",
    )
    op.create_index("ix_templates_category", "templates", ["workspace_id", "category"])
    op.create_index("ix_templates_created_by", "templates", ["created_by"])
    op.create_index("ix_templates_name", "templates", ["workspace_id", "name"])
    op.create_index(
        "ix_templates_workspace_id", "templates", ["workspace_id", sa.text("created_at DESC")]
    )
