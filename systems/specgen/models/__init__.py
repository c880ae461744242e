"""The tables of specgen, as SQLAlchemy sees them: people, workspaces, and what lies in those.

Every row of a workspace carries `workspace_id`, and foreign keys between such rows carry it too:
`(workspace_id, project_id)` points at `projects (workspace_id, id)`. So a row cannot point at one
of another workspace, and policies compare a column of the row itself, with its index.
"""

from systems.specgen.models.artifacts import Artifact, ArtifactVersion, DecisionArtifact, Template
from systems.specgen.models.codebases import CodebaseAnalysis, ImpactAnalysis
from systems.specgen.models.decisions import (
    Comment,
    ConversationTurn,
    Decision,
    DecisionDependency,
)
from systems.specgen.models.people import AuditLog, User, UserSession
from systems.specgen.models.rows import Base, WorkspaceRow
from systems.specgen.models.workspaces import Branch, Project, Workspace, WorkspaceMember

__all__ = [
    "Artifact",
    "ArtifactVersion",
    "AuditLog",
    "Base",
    "Branch",
    "CodebaseAnalysis",
    "Comment",
    "ConversationTurn",
    "Decision",
    "DecisionArtifact",
    "DecisionDependency",
    "ImpactAnalysis",
    "Project",
    "Template",
    "User",
    "UserSession",
    "Workspace",
    "WorkspaceMember",
    "WorkspaceRow",
]
