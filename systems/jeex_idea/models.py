r"""The tables of jeex_idea, as SQLAlchemy sees them.

People see their own row; projects are their owner's alone, with all that belongs to them
(`RowSecurity`). Alembic is the
only builder (`migrations/`). What a model cannot say stands in the first
revision: functions, triggers, and the comments of indexes.

Two names of the specification have no index of their own, because another index covers them
whole (each further index costs every write):

* `idx_users_email` would repeat the index of the unique constraint `users_email_key`;
* `idx_documents_project_type` would be the first two columns of `idx_documents_unique_version`.

The comments of the covering indexes say so too (`\d+ users` in psql shows where to look).
"""

from __future__ import annotations

import datetime as dt
import uuid
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgstead.app import Names, Numbered, Retained
from pgstead.app.models import NAMING_CONVENTION, TYPES, JsonObject, Keyed, Stamped
from pgstead.app.personal import Classified
from pgstead.app.tenancy import RowSecurity

# A project is its owner's, and what belongs to the project with it (TEN-6).
_WITH_ITS_PROJECT = RowSecurity.by_lookup("project_id", "projects", key="id", user="created_by")


class ProjectStatus(StrEnum):
    """What `is_valid_status('projects', ...)` accepts."""

    DRAFT = "draft"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    ARCHIVED = "archived"


class ExecutionStatus(StrEnum):
    """What `is_valid_status('agent_executions', ...)` accepts."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExportStatus(StrEnum):
    """What `is_valid_status('exports', ...)` accepts."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


class Base(DeclarativeBase):
    """The declarative base of jeex_idea; its metadata is what Alembic compares with."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = dict(TYPES)  # noqa: RUF012 - SQLAlchemy's own


class Row(Keyed, Stamped, Base):
    """What every table has: a key that sorts by age, and two stamps.

    `updated_at` is the row's version too; the API shows it as the ETag.
    """

    __abstract__ = True


class User(Row):
    """A person who owns projects and writes documents."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("is_valid_email(email)", name="email"),
        RowSecurity.by_user("id"),
        # documents of others' projects point at it: without what is personal it stays
        Classified(
            personal="email:email name:name profile_data last_login_at",
            subject="id email",
            kept=True,
        ),
        {"comment": "people who own projects and write documents"},
    )

    email: Mapped[str] = mapped_column(
        String(255), unique=True, comment="unique address, compared as written"
    )
    name: Mapped[str] = mapped_column(String(255), comment="how the person is shown")
    profile_data: Mapped[JsonObject] = mapped_column(
        server_default=text("'{}'::jsonb"), comment="preferences and profile, free form"
    )
    last_login_at: Mapped[dt.datetime | None] = mapped_column(
        comment="when the person last signed in; null: never"
    )


class Project(Row):
    """An idea on its way through four steps, in one language."""

    __tablename__ = "projects"
    __table_args__ = (
        CheckConstraint("is_valid_status('projects', status)", name="status"),
        CheckConstraint("current_step BETWEEN 1 AND 4", name="current_step"),
        CheckConstraint("is_valid_language(language)", name="language"),
        RowSecurity.by_user("created_by"),
        Classified(internal="status current_step language", personal="name", owned="created_by"),
        {"comment": "ideas on their way through four steps, each in one language"},
    )

    name: Mapped[str] = mapped_column(String(255), comment="title of the project")
    status: Mapped[str] = mapped_column(
        String(50),
        server_default=text("'draft'"),
        comment="draft, in_progress, completed, archived",
    )
    current_step: Mapped[int] = mapped_column(
        server_default=text("1"), comment="step of the workflow, 1 to 4"
    )
    language: Mapped[str] = mapped_column(
        String(10),
        server_default=text("'en'"),
        comment="BCP 47 tag; fixed at creation, a trigger refuses changes",
    )
    created_by: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id"), comment="owner; who owns projects cannot be deleted"
    )


class DocumentVersion(Row):
    """One version of one document of a project."""

    __tablename__ = "document_versions"
    __table_args__ = (
        UniqueConstraint(
            "project_id", "document_type", "version", name="idx_documents_unique_version"
        ),
        CheckConstraint("version >= 1", name="version"),
        _WITH_ITS_PROJECT,
        Numbered("version", within=("project_id", "document_type")),
        Classified(internal="document_type version", personal="content metadata"),
        {"comment": "every version of every document, numbered from 1 per project and type"},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), comment="goes with its project"
    )
    document_type: Mapped[str] = mapped_column(String(50), comment="which document of the project")
    version: Mapped[int] = mapped_column(comment="1, 2, 3 ... per project and document type")
    content: Mapped[str] = mapped_column(Text, comment="the document itself")
    # `metadata` belongs to the declarative base.
    details: Mapped[JsonObject] = mapped_column(
        "metadata", server_default=text("'{}'::jsonb"), comment="about the document, free form"
    )
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), comment="author")


class AgentExecution(Row):
    """One run of an agent for a project."""

    __tablename__ = "agent_executions"
    __table_args__ = (
        CheckConstraint("is_valid_status('agent_executions', status)", name="status"),
        _WITH_ITS_PROJECT,
        Classified(
            internal="agent_type correlation_id status started_at completed_at",
            personal="input_data output_data error_message",
        ),
        {"comment": "runs of agents, with what went in and what came out"},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), comment="goes with its project"
    )
    agent_type: Mapped[str] = mapped_column(String(50), comment="which agent ran")
    correlation_id: Mapped[uuid.UUID] = mapped_column(
        comment="the request that it belongs to, across services"
    )
    input_data: Mapped[JsonObject | None] = mapped_column(comment="what the agent was given")
    output_data: Mapped[JsonObject | None] = mapped_column(comment="what the agent answered")
    status: Mapped[str] = mapped_column(
        String(50),
        server_default=text("'pending'"),
        comment="pending, running, completed, failed, cancelled",
    )
    error_message: Mapped[str | None] = mapped_column(Text, comment="why it failed")
    started_at: Mapped[dt.datetime] = mapped_column(
        server_default=text("now()"), comment="when the run was started"
    )
    completed_at: Mapped[dt.datetime | None] = mapped_column(
        comment="when it ended; null: still running"
    )


class Export(Row):
    """A file made from a project, for a day."""

    __tablename__ = "exports"
    __table_args__ = (
        CheckConstraint("is_valid_status('exports', status)", name="status"),
        _WITH_ITS_PROJECT,
        Names("file_path", where="status = 'completed'"),
        Retained("expires_at", files="file_path"),
        Classified(internal="status expires_at", personal="file_path manifest"),
        {"comment": "files made from projects; they expire"},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), comment="goes with its project"
    )
    status: Mapped[str] = mapped_column(
        String(50),
        server_default=text("'pending'"),
        comment="pending, processing, completed, failed, expired",
    )
    file_path: Mapped[str | None] = mapped_column(Text, comment="where the file lies, once made")
    manifest: Mapped[JsonObject] = mapped_column(
        server_default=text("'{}'::jsonb"), comment="what the file contains"
    )
    expires_at: Mapped[dt.datetime] = mapped_column(
        server_default=text("(now() + interval '24 hours')"),
        comment="from when on the file may be removed",
    )


# Each answers a query of repository.py; the first revision comments each in the database.
Index("idx_projects_created", Project.created_at.desc())
Index("idx_projects_user_status", Project.created_by, Project.status, Project.updated_at.desc())
Index("idx_documents_project_version", DocumentVersion.project_id, DocumentVersion.version.desc())
Index("idx_documents_created_by", DocumentVersion.created_by)
Index("idx_executions_project", AgentExecution.project_id, AgentExecution.started_at.desc())
Index("idx_executions_correlation", AgentExecution.correlation_id)
Index("idx_executions_status", AgentExecution.status, AgentExecution.started_at)
Index("idx_exports_project", Export.project_id)
Index("idx_exports_expires", Export.expires_at, postgresql_where=text("status = 'completed'"))
