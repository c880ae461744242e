"""What is made of decisions: artifacts with their versions, and templates."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pgstead.app import Numbered
from pgstead.app.models import one_of
from pgstead.app.personal import Classified
from systems.specgen.models.rows import (
    OF_MEMBERS,
    Base,
    WorkspaceRow,
    flag,
    json_array,
    json_object,
    person,
    targets,
    texts,
    within,
    word,
)
from systems.specgen.vocabulary import (
    ArtifactFormat,
    ArtifactStatus,
    ArtifactType,
    TemplateCategory,
)


class Artifact(WorkspaceRow, Base):
    """A document that is made from decisions."""

    __tablename__ = "artifacts"
    __table_args__ = (
        one_of("artifact_type", ArtifactType),
        one_of("format", ArtifactFormat),
        one_of("status", ArtifactStatus),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("file_size >= 0", name="file_size"),
        targets(),
        within("project_id", "projects"),
        within("branch_id", "branches"),
        OF_MEMBERS,
        Classified(
            internal="artifact_type title description content format status version is_latest"
            " file_size checksum metadata generated_at",
        ),
        {"comment": "documents that are made from decisions"},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its project")
    branch_id: Mapped[uuid.UUID | None] = mapped_column(comment="null: on the main line")
    generated_by: Mapped[uuid.UUID | None] = person("who had it made")
    artifact_type: Mapped[str] = mapped_column(String(50), comment="what it is")
    title: Mapped[str] = mapped_column(String(255), comment="how it is shown")
    description: Mapped[str | None] = mapped_column(Text, comment="what it is about")
    content: Mapped[Any] = json_object("the document")
    format: Mapped[str] = word("markdown", "how it is written")
    status: Mapped[str] = word("pending", "where it is")
    version: Mapped[int] = mapped_column(server_default=text("1"), comment="its latest version")
    is_latest: Mapped[bool] = flag("false: another one replaced it", default=True)
    file_size: Mapped[int | None] = mapped_column(comment="bytes")
    checksum: Mapped[str | None] = mapped_column(String(64), comment="of the file")
    # `metadata` belongs to the declarative base.
    details: Mapped[Any] = json_object("more about it, free form", "metadata")
    generated_at: Mapped[dt.datetime | None] = mapped_column(comment="when it was made")


class ArtifactVersion(WorkspaceRow, Base):
    """A version of an artifact."""

    __tablename__ = "artifact_versions"
    __table_args__ = (
        CheckConstraint("version >= 1", name="version"),
        UniqueConstraint("workspace_id", "artifact_id", "version"),
        Numbered("version", within=("artifact_id",)),
        within("artifact_id", "artifacts"),
        OF_MEMBERS,
        Classified(internal="version content changelog"),
        {"comment": "versions of artifacts, numbered from 1"},
    )

    artifact_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its artifact")
    created_by: Mapped[uuid.UUID | None] = person("who made it")
    version: Mapped[int] = mapped_column(comment="1, 2, 3 ... per artifact")
    content: Mapped[Any] = json_object("the document")
    changelog: Mapped[str | None] = mapped_column(Text, comment="what is new")


class DecisionArtifact(WorkspaceRow, Base):
    """Which decisions an artifact is made from."""

    __tablename__ = "decision_artifacts"
    __table_args__ = (
        UniqueConstraint("workspace_id", "decision_id", "artifact_id"),
        within("decision_id", "decisions"),
        within("artifact_id", "artifacts"),
        OF_MEMBERS,
        Classified(),
        {"comment": "which decisions an artifact is made from"},
    )

    decision_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its decision")
    artifact_id: Mapped[uuid.UUID] = mapped_column(comment="goes with its artifact")


class Template(WorkspaceRow, Base):
    """Something to begin a project with."""

    __tablename__ = "templates"
    __table_args__ = (
        one_of("category", TemplateCategory),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("usage_count >= 0", name="usage_count"),
        OF_MEMBERS,
        Classified(
            internal="name description category content default_decisions tags technologies"
            " is_public is_featured usage_count rating version",
        ),
        {"comment": "what projects are begun with"},
    )

    created_by: Mapped[uuid.UUID | None] = person("who made it")
    name: Mapped[str] = mapped_column(String(255), comment="how it is shown")
    description: Mapped[str | None] = mapped_column(Text, comment="what it is for")
    category: Mapped[str] = word("custom", "what it is for, in a word")
    content: Mapped[Any] = json_object("the template")
    default_decisions: Mapped[Any] = json_array("decisions that come with it")
    tags: Mapped[list[str]] = texts(50, "labels")
    technologies: Mapped[list[str]] = texts(100, "what it uses")
    is_public: Mapped[bool] = flag("meant for other workspaces too")
    is_featured: Mapped[bool] = flag("shown first")
    usage_count: Mapped[int] = mapped_column(server_default=text("0"), comment="times used")
    rating: Mapped[int | None] = mapped_column(comment="1 to 5")
    version: Mapped[int] = mapped_column(server_default=text("1"), comment="its version")


Index("ix_artifacts_project_id", Artifact.workspace_id, Artifact.project_id)
Index("ix_artifacts_type", Artifact.workspace_id, Artifact.artifact_type)
Index("ix_artifacts_status", Artifact.workspace_id, Artifact.status)
Index("ix_artifacts_branch_id", Artifact.workspace_id, Artifact.branch_id)
Index("ix_artifacts_generated_by", Artifact.generated_by)
Index("ix_artifact_versions_created_by", ArtifactVersion.created_by)
Index(
    "ix_decision_artifacts_artifact_id",
    DecisionArtifact.workspace_id,
    DecisionArtifact.artifact_id,
)
Index("ix_templates_workspace_id", Template.workspace_id, Template.created_at.desc())
Index("ix_templates_category", Template.workspace_id, Template.category)
Index("ix_templates_name", Template.workspace_id, Template.name)
Index("ix_templates_created_by", Template.created_by)
