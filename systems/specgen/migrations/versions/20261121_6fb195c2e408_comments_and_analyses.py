"""Comments and analyses (TICKET-024, 026, 027).

Seen by the members of their workspace.

Revision ID: 6fb195c2e408
Revises: 5ea084b1d3f7
Create Date: 2026-11-21 15:54:00+00:00
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

revision = "6fb195c2e408"
down_revision = "5ea084b1d3f7"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TABLES = ("comments", "codebase_analyses", "impact_analyses")

# Whose rows these are; `app` and `readonly` see no others.
ME = "(SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
MY_WORKSPACES = f"(ARRAY(SELECT workspace_id FROM workspace_members WHERE user_id = {ME}))"  # noqa: S608 - constants
SECURED = {
    "comments": f"workspace_id = ANY {MY_WORKSPACES}",
    "codebase_analyses": f"workspace_id = ANY {MY_WORKSPACES}",
    "impact_analyses": f"workspace_id = ANY {MY_WORKSPACES}",
}


def upgrade() -> None:
    """Make the tables with their triggers and policies."""
    _create_comments()
    _create_codebase_analyses()
    _create_impact_analyses()
    keep_stamps(*TABLES)
    for table, rows in SECURED.items():
        secure(table, rows)


def downgrade() -> None:
    """Drop the tables with all their rows. This loses them."""
    for table in reversed(SECURED):
        open_again(table)
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_comments() -> None:
    op.create_table(
        "comments",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("project_id", sa.Uuid(), "goes with its project"),
        column("artifact_id", sa.Uuid(), "about this artifact", nullable=True),
        column("decision_id", sa.Uuid(), "about this decision", nullable=True),
        column("parent_comment_id", sa.Uuid(), "answers this one", nullable=True),
        column("author_id", sa.Uuid(), "who wrote it", nullable=True),
        column("comment_type", sa.String(50), "what it is meant as", "'suggestion'"),
        column("content", sa.Text(), "the remark"),
        column("status", sa.String(50), "open, resolved, wontfix, archived", "'open'"),
        column("is_ai_generated", sa.Boolean(), "whether an agent wrote it", "false"),
        column("resolve_requested", sa.Boolean(), "whether somebody wants it resolved", "false"),
        column(
            "re_question_triggered", sa.Boolean(), "whether the question was asked again", "false"
        ),
        column("resolved_at", MOMENT, "when it was resolved", nullable=True),
        column("resolved_by", sa.Uuid(), "who resolved it", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="comments_pkey"),
        sa.UniqueConstraint("workspace_id", "id", name="comments_workspace_id_id_key"),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name="comments_author_id_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["resolved_by"], ["users.id"], name="comments_resolved_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "artifact_id"],
            ["artifacts.workspace_id", "artifacts.id"],
            name="comments_workspace_id_artifact_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "decision_id"],
            ["decisions.workspace_id", "decisions.id"],
            name="comments_workspace_id_decision_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="comments_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "parent_comment_id"],
            ["comments.workspace_id", "comments.id"],
            name="comments_workspace_id_parent_comment_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["projects.workspace_id", "projects.id"],
            name="comments_workspace_id_project_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "num_nonnulls(artifact_id, decision_id) <= 1", name=op.f("comments_about_one_check")
        ),
        sa.CheckConstraint(
            (
                "comment_type IN ('question', 'suggestion', 'issue', 'praise', "
                "'clarification', 'contradiction', 'ai_review')"
            ),
            name=op.f("comments_comment_type_check"),
        ),
        sa.CheckConstraint(
            "parent_comment_id <> id", name=op.f("comments_parent_comment_id_check")
        ),
        sa.CheckConstraint(
            "status IN ('open', 'resolved', 'wontfix', 'archived')",
            name=op.f("comments_status_check"),
        ),
        comment="remarks on projects, artifacts and decisions",
    )
    op.create_index("ix_comments_artifact_id", "comments", ["workspace_id", "artifact_id"])
    op.create_index("ix_comments_author_id", "comments", ["author_id"])
    op.create_index("ix_comments_decision_id", "comments", ["workspace_id", "decision_id"])
    op.create_index("ix_comments_parent_id", "comments", ["workspace_id", "parent_comment_id"])
    op.create_index("ix_comments_project_id", "comments", ["workspace_id", "project_id"])
    op.create_index("ix_comments_resolved_by", "comments", ["resolved_by"])


def _create_codebase_analyses() -> None:
    op.create_table(
        "codebase_analyses",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("project_id", sa.Uuid(), "goes with its project"),
        column("status", sa.String(50), "pending, in_progress, completed, failed", "'pending'"),
        column("repository_url", sa.String(512), "where the code is", nullable=True),
        column("commit_sha", sa.String(40), "which commit", nullable=True),
        column("branch_name", sa.String(100), "which branch", nullable=True),
        column(
            "languages", ARRAY(sa.String(50)), "what it is written in", "'{}'::character varying[]"
        ),
        column("language_stats", JSONB(), "share of each language", "'{}'::jsonb"),
        column("total_loc", sa.Integer(), "lines of code", nullable=True),
        column("file_count", sa.Integer(), "files", nullable=True),
        column("architecture_summary", sa.Text(), "in words", nullable=True),
        column("component_inventory", JSONB(), "parts", "'[]'::jsonb"),
        column("dependency_graph", JSONB(), "who uses whom", "'{}'::jsonb"),
        column("detected_patterns", JSONB(), "patterns", "'[]'::jsonb"),
        column("file_metrics", JSONB(), "figures per file", "'[]'::jsonb"),
        column("findings", JSONB(), "what stands out", "'[]'::jsonb"),
        column("completed_at", MOMENT, "when it ended", nullable=True),
        column("error_message", sa.Text(), "why it failed", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="codebase_analyses_pkey"),
        sa.UniqueConstraint("workspace_id", "id", name="codebase_analyses_workspace_id_id_key"),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="codebase_analyses_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["projects.workspace_id", "projects.id"],
            name="codebase_analyses_workspace_id_project_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "commit_sha ~ '^[0-9a-f]{7,40}$'", name=op.f("codebase_analyses_commit_sha_check")
        ),
        sa.CheckConstraint("file_count >= 0", name=op.f("codebase_analyses_file_count_check")),
        sa.CheckConstraint(
            "status IN ('pending', 'in_progress', 'completed', 'failed')",
            name=op.f("codebase_analyses_status_check"),
        ),
        sa.CheckConstraint("total_loc >= 0", name=op.f("codebase_analyses_total_loc_check")),
        comment="what was found out about projects' code",
    )
    op.create_index(
        "ix_codebase_analyses_project_id", "codebase_analyses", ["workspace_id", "project_id"]
    )
    op.create_index("ix_codebase_analyses_status", "codebase_analyses", ["workspace_id", "status"])


def _create_impact_analyses() -> None:
    op.create_table(
        "impact_analyses",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("codebase_analysis_id", sa.Uuid(), "goes with its analysis"),
        column("project_id", sa.Uuid(), "goes with its project"),
        column("change_description", sa.Text(), "what would be changed"),
        column(
            "affected_files",
            ARRAY(sa.String(512)),
            "files that it touches",
            "'{}'::character varying[]",
        ),
        column(
            "affected_components",
            ARRAY(sa.String(255)),
            "parts that it touches",
            "'{}'::character varying[]",
        ),
        column("risk_level", sa.String(50), "low, medium, high, critical", "'medium'"),
        column("risk_factors", JSONB(), "what makes it risky", "'[]'::jsonb"),
        column("breaking_changes", JSONB(), "what would break", "'[]'::jsonb"),
        column("api_changes", JSONB(), "of interfaces", "'[]'::jsonb"),
        column("schema_changes", JSONB(), "of the database", "'[]'::jsonb"),
        column("downstream_dependencies", JSONB(), "who uses it", "'[]'::jsonb"),
        column("upstream_dependencies", JSONB(), "what it uses", "'[]'::jsonb"),
        column("test_impact", JSONB(), "what tests must change", "'{}'::jsonb"),
        column("new_tests_needed", JSONB(), "tests to write", "'[]'::jsonb"),
        column("rollback_procedure", sa.Text(), "the way back", nullable=True),
        column("rollback_risk", sa.String(50), "low, medium, high, critical", nullable=True),
        column("change_plan", JSONB(), "steps", "'[]'::jsonb"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="impact_analyses_pkey"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "codebase_analysis_id"],
            ["codebase_analyses.workspace_id", "codebase_analyses.id"],
            name="impact_analyses_workspace_id_codebase_analysis_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="impact_analyses_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["projects.workspace_id", "projects.id"],
            name="impact_analyses_workspace_id_project_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "risk_level IN ('low', 'medium', 'high', 'critical')",
            name=op.f("impact_analyses_risk_level_check"),
        ),
        sa.CheckConstraint(
            "rollback_risk IN ('low', 'medium', 'high', 'critical')",
            name=op.f("impact_analyses_rollback_risk_check"),
        ),
        comment="what changes would mean",
    )
    op.create_index(
        "ix_impact_analyses_codebase_analysis_id",
        "impact_analyses",
        ["workspace_id", "codebase_analysis_id"],
    )
    op.create_index(
        "ix_impact_analyses_project_id", "impact_analyses", ["workspace_id", "project_id"]
    )
    op.create_index(
        "ix_impact_analyses_risk_level", "impact_analyses", ["workspace_id", "risk_level"]
    )
