"""Decisions, their dependencies and conversations (TICKET-020, 021, 025).

Seen by the members of their workspace.

Revision ID: 4d9f73a0c2e6
Revises: 3c8e62f9b1d5
Create Date: 2026-11-21 15:52:00+00:00
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

revision = "4d9f73a0c2e6"
down_revision = "3c8e62f9b1d5"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TABLES = ("decisions", "decision_dependencies", "conversation_turns")

# Whose rows these are; `app` and `readonly` see no others.
ME = "(SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
MY_WORKSPACES = f"(ARRAY(SELECT workspace_id FROM workspace_members WHERE user_id = {ME}))"  # noqa: S608 - constants
SECURED = {
    "decisions": f"workspace_id = ANY {MY_WORKSPACES}",
    "decision_dependencies": f"workspace_id = ANY {MY_WORKSPACES}",
    "conversation_turns": f"workspace_id = ANY {MY_WORKSPACES}",
}


def upgrade() -> None:
    """Make the tables with their triggers and policies."""
    _create_decisions()
    _create_decision_dependencies()
    _create_conversation_turns()
    keep_stamps(*TABLES)
    for table, rows in SECURED.items():
        secure(table, rows)


def downgrade() -> None:
    """Drop the tables with all their rows. This loses them."""
    for table in reversed(SECURED):
        open_again(table)
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("project_id", sa.Uuid(), "goes with its project"),
        column("branch_id", sa.Uuid(), "null: on the main line", nullable=True),
        column("asked_by", sa.Uuid(), "who asked", nullable=True),
        column("answered_by", sa.Uuid(), "who answered", nullable=True),
        column("question_text", sa.Text(), "what is to be decided"),
        column("answer_text", sa.Text(), "what was decided", nullable=True),
        column("reasoning", sa.Text(), "why", nullable=True),
        column("category", sa.String(50), "what it is about", "'other'"),
        column("tags", ARRAY(sa.String(50)), "labels", "'{}'::character varying[]"),
        column("status", sa.String(50), "where it is", "'pending'"),
        column("priority", sa.String(50), "low, medium, high, critical", "'medium'"),
        column("is_locked", sa.Boolean(), "whether it may not be changed any more", "false"),
        column("locked_by", sa.Uuid(), "who locked it", nullable=True),
        column("locked_at", MOMENT, "when", nullable=True),
        column("ai_generated", sa.Boolean(), "whether an agent asked", "false"),
        column("confidence_score", sa.Integer(), "0 to 100", nullable=True),
        column("metadata", JSONB(), "more about it, free form", "'{}'::jsonb"),
        column("answered_at", MOMENT, "when it was answered", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="decisions_pkey"),
        sa.UniqueConstraint("workspace_id", "id", name="decisions_workspace_id_id_key"),
        sa.ForeignKeyConstraint(
            ["answered_by"], ["users.id"], name="decisions_answered_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["asked_by"], ["users.id"], name="decisions_asked_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["locked_by"], ["users.id"], name="decisions_locked_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "branch_id"],
            ["branches.workspace_id", "branches.id"],
            name="decisions_workspace_id_branch_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="decisions_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["projects.workspace_id", "projects.id"],
            name="decisions_workspace_id_project_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "status <> 'answered' OR answer_text IS NOT NULL",
            name=op.f("decisions_answer_text_check"),
        ),
        sa.CheckConstraint(
            (
                "category IN ('architecture', 'database', 'api', 'security', 'deployment', "
                "'framework', 'integration', 'ux_ui', 'performance', 'compliance', 'other')"
            ),
            name=op.f("decisions_category_check"),
        ),
        sa.CheckConstraint(
            "confidence_score BETWEEN 0 AND 100", name=op.f("decisions_confidence_score_check")
        ),
        sa.CheckConstraint(
            "priority IN ('low', 'medium', 'high', 'critical')",
            name=op.f("decisions_priority_check"),
        ),
        sa.CheckConstraint(
            (
                "status IN ('pending', 'in_progress', 'awaiting_answer', 'answered', "
                "'locked', 'deprecated')"
            ),
            name=op.f("decisions_status_check"),
        ),
        comment="questions, and their answers",
    )
    op.create_index("ix_decisions_answered_by", "decisions", ["answered_by"])
    op.create_index("ix_decisions_asked_by", "decisions", ["asked_by"])
    op.create_index("ix_decisions_branch_id", "decisions", ["workspace_id", "branch_id"])
    op.create_index("ix_decisions_category", "decisions", ["workspace_id", "category"])
    op.create_index("ix_decisions_locked_by", "decisions", ["locked_by"])
    op.create_index("ix_decisions_project_id", "decisions", ["workspace_id", "project_id"])
    op.create_index("ix_decisions_status", "decisions", ["workspace_id", "status"])


def _create_decision_dependencies() -> None:
    op.create_table(
        "decision_dependencies",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("source_decision_id", sa.Uuid(), "the one that depends"),
        column("target_decision_id", sa.Uuid(), "the one that it depends on"),
        column("dependency_type", sa.String(50), "how", "'requires'"),
        column("description", sa.Text(), "in words", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="decision_dependencies_pkey"),
        sa.UniqueConstraint(
            "workspace_id",
            "source_decision_id",
            "target_decision_id",
            "dependency_type",
            name="decision_dependencies_source_target_type_key",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="decision_dependencies_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "source_decision_id"],
            ["decisions.workspace_id", "decisions.id"],
            name="decision_dependencies_workspace_id_source_decision_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "target_decision_id"],
            ["decisions.workspace_id", "decisions.id"],
            name="decision_dependencies_workspace_id_target_decision_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            (
                "dependency_type IN ('requires', 'blocks', 'relates_to', 'conflicts_with', "
                "'supersedes')"
            ),
            name=op.f("decision_dependencies_dependency_type_check"),
        ),
        sa.CheckConstraint(
            "source_decision_id <> target_decision_id",
            name=op.f("decision_dependencies_target_decision_id_check"),
        ),
        comment="what decisions mean for each other",
    )
    op.create_index(
        "ix_decision_dependencies_target",
        "decision_dependencies",
        ["workspace_id", "target_decision_id"],
    )


def _create_conversation_turns() -> None:
    op.create_table(
        "conversation_turns",
        key(),
        column("workspace_id", sa.Uuid(), "goes with its workspace; only members see it"),
        column("decision_id", sa.Uuid(), "goes with its decision"),
        column("turn_number", sa.Integer(), "1, 2, 3 ... per decision"),
        column("role", sa.String(20), "who speaks"),
        column("content", sa.Text(), "what was said"),
        column("is_ai_generated", sa.Boolean(), "whether an agent said it", "false"),
        column("model_name", sa.String(100), "which model", nullable=True),
        column("confidence_score", sa.Integer(), "0 to 100", nullable=True),
        column("metadata", JSONB(), "more about it, free form", "'{}'::jsonb"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="conversation_turns_pkey"),
        sa.UniqueConstraint(
            "workspace_id",
            "decision_id",
            "turn_number",
            name="conversation_turns_workspace_id_decision_id_turn_number_key",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "decision_id"],
            ["decisions.workspace_id", "decisions.id"],
            name="conversation_turns_workspace_id_decision_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="conversation_turns_workspace_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "confidence_score BETWEEN 0 AND 100",
            name=op.f("conversation_turns_confidence_score_check"),
        ),
        sa.CheckConstraint(
            "role IN ('system', 'user', 'assistant', 'tool')",
            name=op.f("conversation_turns_role_check"),
        ),
        sa.CheckConstraint("turn_number >= 1", name=op.f("conversation_turns_turn_number_check")),
        comment="conversations about decisions, turn by turn",
    )
