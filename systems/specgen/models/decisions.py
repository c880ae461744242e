"""Decisions, what they mean for each other, and what is said about them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pgstead.app.models import one_of
from pgstead.app.personal import Classified
from systems.specgen.models.rows import (
    OF_MEMBERS,
    Base,
    WorkspaceRow,
    flag,
    json_object,
    person,
    score,
    targets,
    texts,
    within,
    word,
)
from systems.specgen.vocabulary import (
    CommentStatus,
    CommentType,
    DecisionCategory,
    DecisionStatus,
    DependencyType,
    Level,
    TurnRole,
)


class Decision(WorkspaceRow, Base):
    """A question, and its answer once there is one."""

    __tablename__ = "decisions"
    __table_args__ = (
        one_of("category", DecisionCategory),
        one_of("status", DecisionStatus),
        one_of("priority", Level),
        score("confidence_score"),
        CheckConstraint("status <> 'answered' OR answer_text IS NOT NULL", name="answer_text"),
        targets(),
        within("project_id", "projects"),
        within("branch_id", "branches"),
        OF_MEMBERS,
        Classified(
            internal="question_text answer_text reasoning category tags status priority is_locked"
            " locked_at ai_generated confidence_score metadata answered_at",
        ),
        {"comment": "questions, and their answers"},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its project")
    branch_id: Mapped[uuid.UUID | None] = mapped_column(comment="null: on the main line")
    asked_by: Mapped[uuid.UUID | None] = person("who asked")
    answered_by: Mapped[uuid.UUID | None] = person("who answered")
    question_text: Mapped[str] = mapped_column(Text, comment="what is to be decided")
    answer_text: Mapped[str | None] = mapped_column(Text, comment="what was decided")
    reasoning: Mapped[str | None] = mapped_column(Text, comment="why")
    category: Mapped[str] = word("other", "what it is about")
    tags: Mapped[list[str]] = texts(50, "labels")
    status: Mapped[str] = word("pending", "where it is")
    priority: Mapped[str] = word("medium", "low, medium, high, critical")
    is_locked: Mapped[bool] = flag("whether it may not be changed any more")
    locked_by: Mapped[uuid.UUID | None] = person("who locked it")
    locked_at: Mapped[dt.datetime | None] = mapped_column(comment="when")
    ai_generated: Mapped[bool] = flag("whether an agent asked")
    confidence_score: Mapped[int | None] = mapped_column(comment="0 to 100")
    # `metadata` belongs to the declarative base.
    details: Mapped[Any] = json_object("more about it, free form", "metadata")
    answered_at: Mapped[dt.datetime | None] = mapped_column(comment="when it was answered")


class DecisionDependency(WorkspaceRow, Base):
    """What one decision means for another."""

    __tablename__ = "decision_dependencies"
    __table_args__ = (
        one_of("dependency_type", DependencyType),
        UniqueConstraint(
            "workspace_id",
            "source_decision_id",
            "target_decision_id",
            "dependency_type",
            name="decision_dependencies_source_target_type_key",
        ),
        within("source_decision_id", "decisions"),
        within("target_decision_id", "decisions"),
        CheckConstraint("source_decision_id <> target_decision_id", name="target_decision_id"),
        OF_MEMBERS,
        Classified(internal="dependency_type description"),
        {"comment": "what decisions mean for each other"},
    )

    source_decision_id: Mapped[uuid.UUID] = mapped_column(comment="the one that depends")
    target_decision_id: Mapped[uuid.UUID] = mapped_column(comment="the one that it depends on")
    dependency_type: Mapped[str] = word("requires", "how")
    description: Mapped[str | None] = mapped_column(Text, comment="in words")


class Comment(WorkspaceRow, Base):
    """A remark on a project, an artifact or a decision."""

    __tablename__ = "comments"
    __table_args__ = (
        one_of("comment_type", CommentType),
        one_of("status", CommentStatus),
        CheckConstraint("num_nonnulls(artifact_id, decision_id) <= 1", name="about_one"),
        CheckConstraint("parent_comment_id <> id", name="parent_comment_id"),
        targets(),
        within("project_id", "projects"),
        within("artifact_id", "artifacts"),
        within("decision_id", "decisions"),
        within("parent_comment_id", "comments"),
        OF_MEMBERS,
        Classified(
            personal="content",
            internal="comment_type status is_ai_generated resolve_requested"
            " re_question_triggered resolved_at",
            authored="author_id",
        ),
        {"comment": "remarks on projects, artifacts and decisions"},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its project")
    artifact_id: Mapped[uuid.UUID | None] = mapped_column(comment="about this artifact")
    decision_id: Mapped[uuid.UUID | None] = mapped_column(comment="about this decision")
    parent_comment_id: Mapped[uuid.UUID | None] = mapped_column(comment="answers this one")
    author_id: Mapped[uuid.UUID | None] = person("who wrote it")
    comment_type: Mapped[str] = word("suggestion", "what it is meant as")
    content: Mapped[str] = mapped_column(Text, comment="the remark")
    status: Mapped[str] = word("open", "open, resolved, wontfix, archived")
    is_ai_generated: Mapped[bool] = flag("whether an agent wrote it")
    resolve_requested: Mapped[bool] = flag("whether somebody wants it resolved")
    re_question_triggered: Mapped[bool] = flag("whether the question was asked again")
    resolved_at: Mapped[dt.datetime | None] = mapped_column(comment="when it was resolved")
    resolved_by: Mapped[uuid.UUID | None] = person("who resolved it")


class ConversationTurn(WorkspaceRow, Base):
    """One turn of the conversation about a decision."""

    __tablename__ = "conversation_turns"
    __table_args__ = (
        one_of("role", TurnRole),
        score("confidence_score"),
        CheckConstraint("turn_number >= 1", name="turn_number"),
        UniqueConstraint("workspace_id", "decision_id", "turn_number"),
        within("decision_id", "decisions"),
        OF_MEMBERS,
        Classified(
            personal="content",
            internal="turn_number role is_ai_generated model_name confidence_score metadata",
        ),
        {"comment": "conversations about decisions, turn by turn"},
    )

    decision_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its decision")
    turn_number: Mapped[int] = mapped_column(comment="1, 2, 3 ... per decision")
    role: Mapped[str] = mapped_column(String(20), comment="who speaks")
    content: Mapped[str] = mapped_column(Text, comment="what was said")
    is_ai_generated: Mapped[bool] = flag("whether an agent said it")
    model_name: Mapped[str | None] = mapped_column(String(100), comment="which model")
    confidence_score: Mapped[int | None] = mapped_column(comment="0 to 100")
    # `metadata` belongs to the declarative base.
    details: Mapped[Any] = json_object("more about it, free form", "metadata")


Index("ix_decisions_asked_by", Decision.asked_by)
Index("ix_decisions_answered_by", Decision.answered_by)
Index("ix_decisions_locked_by", Decision.locked_by)
Index("ix_decisions_project_id", Decision.workspace_id, Decision.project_id)
Index("ix_decisions_status", Decision.workspace_id, Decision.status)
Index("ix_decisions_category", Decision.workspace_id, Decision.category)
Index("ix_decisions_branch_id", Decision.workspace_id, Decision.branch_id)
Index(
    "ix_decision_dependencies_target",
    DecisionDependency.workspace_id,
    DecisionDependency.target_decision_id,
)
Index("ix_comments_project_id", Comment.workspace_id, Comment.project_id)
Index("ix_comments_artifact_id", Comment.workspace_id, Comment.artifact_id)
Index("ix_comments_decision_id", Comment.workspace_id, Comment.decision_id)
Index("ix_comments_parent_id", Comment.workspace_id, Comment.parent_comment_id)
Index("ix_comments_author_id", Comment.author_id)
Index("ix_comments_resolved_by", Comment.resolved_by)
