"""What comes in over HTTP. What goes out follows the tables (`pgstead.app.shapes`).

A field whose default is `left_out` has its default in the database.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated

from pydantic import BaseModel, Field, Strict
from pydantic import StringConstraints as Length

from pgstead.app.shapes import Email, Flag, In, Json, JsonList, Moment, Name, Text, left_out
from systems.specgen import passwords
from systems.specgen.vocabulary import (
    AnalysisStatus,
    ArtifactFormat,
    ArtifactStatus,
    ArtifactType,
    AuditAction,
    BranchStatus,
    CommentStatus,
    CommentType,
    DecisionCategory,
    DecisionStatus,
    DependencyType,
    Level,
    PlanTier,
    ProjectStatus,
    ProjectType,
    TemplateCategory,
    TurnRole,
    WorkspaceRole,
)

Password = Annotated[Text, Length(min_length=passwords.SHORTEST, max_length=passwords.LONGEST)]
Code = Annotated[str, Length(pattern="^[0-9]{6}$")]
Slug = Annotated[str, Length(pattern="^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$")]
Url = Annotated[Text, Length(max_length=512, pattern=r"^https?://[!-~]+$")]
To50 = Annotated[Text, Length(max_length=50)]
To100 = Annotated[Text, Length(max_length=100)]
To255 = Annotated[Text, Length(max_length=255)]
To512 = Annotated[Text, Length(max_length=512)]
Said = Annotated[Text, Length(min_length=1)]
Count = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]
Version = Annotated[int, Strict(), Field(ge=1, le=2**31 - 1)]
Percent = Annotated[int, Strict(), Field(ge=0, le=100)]
Stars = Annotated[int, Strict(), Field(ge=1, le=5)]
Tags = Annotated[list[To50], Field(max_length=100)]


class Registration(In):
    """A new account."""

    email: Email
    password: Password
    full_name: Name | None = None
    avatar_url: Url | None = None


class Profile(In):
    """What a person may change of their account; what is left out stays."""

    full_name: Name | None = None
    avatar_url: Url | None = None


class NewPassword(In):
    """Another password."""

    password: Text = Field(description="the one so far")
    new_password: Password


class Credentials(In):
    """What somebody signs in with."""

    email: Email
    password: Annotated[Text, Length(max_length=passwords.LONGEST)]
    code: Code | None = Field(default=None, description="of the authenticator, where one is set up")


class Confirmation(In):
    """A code of the authenticator."""

    code: Code


class SignedIn(BaseModel):
    """A session, whose token is shown this once."""

    user_id: uuid.UUID
    token: str = Field(description="send it as Authorization: Bearer; it cannot be shown again")
    expires_at: dt.datetime


class SecondFactor(BaseModel):
    """The secret of an authenticator, shown this once."""

    secret: str
    address: str = Field(description="for a QR code")


class WorkspaceCreate(In):
    """A new workspace; who makes it owns it."""

    name: Name
    slug: Slug
    description: Text | None = None
    plan_tier: PlanTier = Field(default_factory=left_out)
    settings: Json = Field(default_factory=left_out)
    is_active: Flag = Field(default_factory=left_out)


class MemberCreate(In):
    """A person who is asked in."""

    user_id: uuid.UUID
    role: WorkspaceRole = Field(default_factory=left_out)
    is_active: Flag = Field(default_factory=left_out)


class ProjectCreate(In):
    """A new project."""

    name: Name
    project_type: ProjectType
    description: Text | None = None
    status: ProjectStatus = Field(default_factory=left_out)
    repository_url: Url | None = None
    repository_provider: To50 | None = None
    default_branch: Annotated[To100, Length(min_length=1)] = Field(default_factory=left_out)
    settings: Json = Field(default_factory=left_out)


class BranchCreate(In):
    """A new branch."""

    project_id: uuid.UUID
    name: Annotated[To100, Length(min_length=1)]
    parent_branch_id: uuid.UUID | None = None
    description: Text | None = None
    status: BranchStatus = Field(default_factory=left_out)
    is_protected: Flag = Field(default_factory=left_out)
    mergeable: Flag = Field(default_factory=left_out)
    merged_at: Moment | None = None
    merge_conflicts: JsonList = Field(default_factory=left_out)


class DecisionCreate(In):
    """A question to decide."""

    project_id: uuid.UUID
    question_text: Said
    branch_id: uuid.UUID | None = None
    answered_by: uuid.UUID | None = None
    answer_text: Text | None = None
    reasoning: Text | None = None
    category: DecisionCategory = Field(default_factory=left_out)
    tags: Tags = Field(default_factory=left_out)
    status: DecisionStatus = Field(default_factory=left_out)
    priority: Level = Field(default_factory=left_out)
    is_locked: Flag = Field(default_factory=left_out)
    locked_by: uuid.UUID | None = None
    locked_at: Moment | None = None
    ai_generated: Flag = Field(default_factory=left_out)
    confidence_score: Percent | None = None
    metadata: Json = Field(default_factory=left_out)
    answered_at: Moment | None = None


class DependencyCreate(In):
    """What one decision means for another."""

    source_decision_id: uuid.UUID
    target_decision_id: uuid.UUID
    dependency_type: DependencyType = Field(default_factory=left_out)
    description: Text | None = None


class TurnCreate(In):
    """The next turn of a conversation; the service numbers them 1, 2, 3 ..."""

    decision_id: uuid.UUID
    role: TurnRole
    content: Said
    is_ai_generated: Flag = Field(default_factory=left_out)
    model_name: To100 | None = None
    confidence_score: Percent | None = None
    metadata: Json = Field(default_factory=left_out)


class ArtifactCreate(In):
    """A new artifact."""

    project_id: uuid.UUID
    artifact_type: ArtifactType
    title: Name
    branch_id: uuid.UUID | None = None
    description: Text | None = None
    content: Json = Field(default_factory=left_out)
    format: ArtifactFormat = Field(default_factory=left_out)
    status: ArtifactStatus = Field(default_factory=left_out)
    is_latest: Flag = Field(default_factory=left_out)
    file_size: Count | None = None
    checksum: Annotated[Text, Length(max_length=64)] | None = None
    metadata: Json = Field(default_factory=left_out)
    generated_at: Moment | None = None


class ArtifactVersionCreate(In):
    """The next version of an artifact; the service numbers them 1, 2, 3 ..."""

    artifact_id: uuid.UUID
    content: Json = Field(default_factory=left_out)
    changelog: Text | None = None


class DecisionArtifactCreate(In):
    """That an artifact is made from a decision."""

    decision_id: uuid.UUID
    artifact_id: uuid.UUID


class CommentCreate(In):
    """A remark."""

    project_id: uuid.UUID
    content: Said
    artifact_id: uuid.UUID | None = None
    decision_id: uuid.UUID | None = None
    parent_comment_id: uuid.UUID | None = None
    comment_type: CommentType = Field(default_factory=left_out)
    status: CommentStatus = Field(default_factory=left_out)
    is_ai_generated: Flag = Field(default_factory=left_out)
    resolve_requested: Flag = Field(default_factory=left_out)
    re_question_triggered: Flag = Field(default_factory=left_out)
    resolved_at: Moment | None = None
    resolved_by: uuid.UUID | None = None


class CodebaseAnalysisCreate(In):
    """A new analysis of code."""

    project_id: uuid.UUID
    status: AnalysisStatus = Field(default_factory=left_out)
    repository_url: Url | None = None
    commit_sha: Annotated[str, Length(pattern="^[0-9a-f]{7,40}$")] | None = None
    branch_name: To100 | None = None
    languages: Tags = Field(default_factory=left_out)
    language_stats: Json = Field(default_factory=left_out)
    total_loc: Count | None = None
    file_count: Count | None = None
    architecture_summary: Text | None = None
    component_inventory: JsonList = Field(default_factory=left_out)
    dependency_graph: Json = Field(default_factory=left_out)
    detected_patterns: JsonList = Field(default_factory=left_out)
    file_metrics: JsonList = Field(default_factory=left_out)
    findings: JsonList = Field(default_factory=left_out)
    completed_at: Moment | None = None
    error_message: Text | None = None


class ImpactAnalysisCreate(In):
    """What a change would mean."""

    codebase_analysis_id: uuid.UUID
    project_id: uuid.UUID
    change_description: Said
    affected_files: list[To512] = Field(default_factory=left_out)
    affected_components: list[To255] = Field(default_factory=left_out)
    risk_level: Level = Field(default_factory=left_out)
    risk_factors: JsonList = Field(default_factory=left_out)
    breaking_changes: JsonList = Field(default_factory=left_out)
    api_changes: JsonList = Field(default_factory=left_out)
    schema_changes: JsonList = Field(default_factory=left_out)
    downstream_dependencies: JsonList = Field(default_factory=left_out)
    upstream_dependencies: JsonList = Field(default_factory=left_out)
    test_impact: Json = Field(default_factory=left_out)
    new_tests_needed: JsonList = Field(default_factory=left_out)
    rollback_procedure: Text | None = None
    rollback_risk: Level | None = None
    change_plan: JsonList = Field(default_factory=left_out)


class TemplateCreate(In):
    """A new template."""

    name: Name
    description: Text | None = None
    category: TemplateCategory = Field(default_factory=left_out)
    content: Json = Field(default_factory=left_out)
    default_decisions: JsonList = Field(default_factory=left_out)
    tags: Tags = Field(default_factory=left_out)
    technologies: list[To100] = Field(default_factory=left_out)
    is_public: Flag = Field(default_factory=left_out)
    is_featured: Flag = Field(default_factory=left_out)
    usage_count: Count = Field(default_factory=left_out)
    rating: Stars | None = None
    version: Version = Field(default_factory=left_out)


class AuditCreate(In):
    """Something that was done; who did it is who says so."""

    action: AuditAction
    project_id: uuid.UUID | None = None
    resource_type: To50 | None = None
    resource_id: uuid.UUID | None = None
    success: Flag = Field(default_factory=left_out)
    error_message: Text | None = None
    details: Json = Field(default_factory=left_out)
    changes: Json = Field(default_factory=left_out)
