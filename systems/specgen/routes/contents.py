"""What lies in workspaces: read by every member, written by editors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from pgstead.app.resources import Resource, routes
from pgstead.app.routing import add_routes
from systems.specgen import repository, schemas
from systems.specgen.identity import LAST_GOOD, editor, viewer
from systems.specgen.models import (
    Artifact,
    ArtifactVersion,
    AuditLog,
    Branch,
    CodebaseAnalysis,
    Comment,
    ConversationTurn,
    Decision,
    DecisionArtifact,
    DecisionDependency,
    ImpactAnalysis,
    Project,
    Template,
)

router = APIRouter()


def _of_workspace(model: Any, plural: str, create: Any, *filters: str, **more: Any) -> None:
    resource = Resource(
        model,
        plural=plural,
        create=create,
        reading=viewer,
        writing=more.pop("writing", editor),
        filters=filters,
        degradable=LAST_GOOD,
        repeatable=True,
        **more,
    )
    path = plural.replace("_", "-")
    add_routes(router, routes(resource, "/workspaces/{workspace_id}/" + path))


_of_workspace(
    Project,
    "projects",
    schemas.ProjectCreate,
    *("status", "project_type"),
    order=("created_at",),
    author="created_by",
)
_of_workspace(
    Branch,
    "branches",
    schemas.BranchCreate,
    *("project_id", "status", "name"),
    singular="branch",
    author="created_by",
    unchangeable=("project_id",),
)
_of_workspace(
    Decision,
    "decisions",
    schemas.DecisionCreate,
    *("project_id", "branch_id", "status", "category", "priority"),
    author="asked_by",
    unchangeable=("project_id",),
)
_of_workspace(
    DecisionDependency,
    "decision_dependencies",
    schemas.DependencyCreate,
    *("source_decision_id", "target_decision_id", "dependency_type"),
    singular="decision_dependency",
)
_of_workspace(
    ConversationTurn,
    "conversation_turns",
    schemas.TurnCreate,
    *("decision_id", "role"),
    unchangeable=("decision_id",),
    before_insert=repository.number_turn,
)
_of_workspace(
    Artifact,
    "artifacts",
    schemas.ArtifactCreate,
    *("project_id", "branch_id", "artifact_type", "status"),
    author="generated_by",
    unchangeable=("project_id",),
)
_of_workspace(
    ArtifactVersion,
    "artifact_versions",
    schemas.ArtifactVersionCreate,
    "artifact_id",
    author="created_by",
    unchangeable=("artifact_id",),
    before_insert=repository.number_version,
)
_of_workspace(
    DecisionArtifact,
    "decision_artifacts",
    schemas.DecisionArtifactCreate,
    *("decision_id", "artifact_id"),
)
_of_workspace(
    Comment,
    "comments",
    schemas.CommentCreate,
    *("project_id", "artifact_id", "decision_id", "status"),
    author="author_id",
    unchangeable=("project_id",),
)
_of_workspace(
    CodebaseAnalysis,
    "codebase_analyses",
    schemas.CodebaseAnalysisCreate,
    *("project_id", "status"),
    singular="codebase_analysis",
    unchangeable=("project_id",),
)
_of_workspace(
    ImpactAnalysis,
    "impact_analyses",
    schemas.ImpactAnalysisCreate,
    *("project_id", "codebase_analysis_id", "risk_level"),
    singular="impact_analysis",
    unchangeable=("project_id", "codebase_analysis_id"),
)
_of_workspace(
    Template,
    "templates",
    schemas.TemplateCreate,
    *("category", "name"),
    order=("created_at",),
    author="created_by",
)
# Written once and changed by nobody: the application's role may not even (AUD-2).
_of_workspace(
    AuditLog,
    "audit_logs",
    schemas.AuditCreate,
    *("action", "project_id", "resource_type"),
    order=("created_at",),
    author="user_id",
    writing=viewer,
    verbs=frozenset({"create", "list", "read"}),
)
