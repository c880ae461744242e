"""The words that columns of specgen may hold. Text with a CHECK; none is an enum of PostgreSQL."""

from __future__ import annotations

from enum import StrEnum


def _words(name: str, words: str) -> type[StrEnum]:
    made: type[StrEnum] = StrEnum(name, [(w.upper(), w) for w in words.split()])  # type: ignore[assignment]
    return made


class PlanTier(StrEnum):
    """What a workspace has booked."""

    FREE = "free"
    STARTER = "starter"
    PROFESSIONAL = "professional"
    ENTERPRISE = "enterprise"


class WorkspaceRole(StrEnum):
    """What a member may do, from least to most."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"


class ProjectType(StrEnum):
    """Whether there is code already."""

    GREENFIELD = "greenfield"
    BROWNFIELD = "brownfield"


class ProjectStatus(StrEnum):
    """Where a project is."""

    DRAFT = "draft"
    ACTIVE = "active"
    COMPLETED = "completed"
    ARCHIVED = "archived"


class BranchStatus(StrEnum):
    """Where a branch is."""

    ACTIVE = "active"
    MERGED = "merged"
    CLOSED = "closed"


class DecisionCategory(StrEnum):
    """What a decision is about."""

    ARCHITECTURE = "architecture"
    DATABASE = "database"
    API = "api"
    SECURITY = "security"
    DEPLOYMENT = "deployment"
    FRAMEWORK = "framework"
    INTEGRATION = "integration"
    UX_UI = "ux_ui"
    PERFORMANCE = "performance"
    COMPLIANCE = "compliance"
    OTHER = "other"


class DecisionStatus(StrEnum):
    """Where a decision is."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    AWAITING_ANSWER = "awaiting_answer"
    ANSWERED = "answered"
    LOCKED = "locked"
    DEPRECATED = "deprecated"


class Level(StrEnum):
    """How much of something: a priority, a risk."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class DependencyType(StrEnum):
    """What one decision means for another."""

    REQUIRES = "requires"
    BLOCKS = "blocks"
    RELATES_TO = "relates_to"
    CONFLICTS_WITH = "conflicts_with"
    SUPERSEDES = "supersedes"


class ArtifactType(StrEnum):
    """What an artifact is."""

    PRD = "prd"
    API_SPEC = "api_spec"
    DATABASE_SCHEMA = "database_schema"
    ARCHITECTURE = "architecture"
    TICKETS = "tickets"
    TESTS = "tests"
    DEPLOYMENT = "deployment"
    OPENAPI = "openapi"
    GRAPHQL = "graphql"
    GRPC = "grpc"
    MARKDOWN = "markdown"
    JSON = "json"
    YAML = "yaml"
    CUSTOM = "custom"


class ArtifactFormat(StrEnum):
    """How an artifact is written."""

    MARKDOWN = "markdown"
    JSON = "json"
    YAML = "yaml"
    HTML = "html"
    PDF = "pdf"
    PLAINTEXT = "plaintext"
    OPENAPI_JSON = "openapi_json"
    OPENAPI_YAML = "openapi_yaml"


class ArtifactStatus(StrEnum):
    """Where an artifact is."""

    PENDING = "pending"
    GENERATING = "generating"
    COMPLETED = "completed"
    FAILED = "failed"
    REGENERATING = "regenerating"


class CommentType(StrEnum):
    """What a comment is meant as."""

    QUESTION = "question"
    SUGGESTION = "suggestion"
    ISSUE = "issue"
    PRAISE = "praise"
    CLARIFICATION = "clarification"
    CONTRADICTION = "contradiction"
    AI_REVIEW = "ai_review"


class CommentStatus(StrEnum):
    """Where a comment is."""

    OPEN = "open"
    RESOLVED = "resolved"
    WONTFIX = "wontfix"
    ARCHIVED = "archived"


class TurnRole(StrEnum):
    """Who speaks in a conversation."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class AnalysisStatus(StrEnum):
    """Where an analysis is."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class TemplateCategory(StrEnum):
    """What a template is for."""

    WEB_APPLICATION = "web_application"
    API_SERVICE = "api_service"
    MICROSERVICE = "microservice"
    MOBILE_APP = "mobile_app"
    CLI_TOOL = "cli_tool"
    LIBRARY = "library"
    FULL_STACK = "full_stack"
    DATA_PIPELINE = "data_pipeline"
    MACHINE_LEARNING = "machine_learning"
    CUSTOM = "custom"


# As the specification lists them; 51 are too many for a class body that says nothing more.
AuditAction = _words(
    "AuditAction",
    """
    login logout login_failed password_change password_reset mfa_enabled mfa_disabled
    oauth_connect oauth_disconnect user_create user_update user_delete user_verify
    workspace_create workspace_update workspace_delete workspace_join workspace_leave
    workspace_invite workspace_role_change project_create project_update project_delete
    project_archive decision_create decision_update decision_answer decision_lock decision_unlock
    decision_dependency_add decision_dependency_remove branch_create branch_merge branch_delete
    branch_conflict artifact_generate artifact_update artifact_delete artifact_export
    artifact_version artifact_rollback comment_create comment_update comment_delete comment_resolve
    codebase_analyze impact_analyze change_plan_generate admin_action data_export data_delete
    """,
)
