"""The words that columns of specgen may hold. Text with a CHECK; none is an enum of PostgreSQL."""

from __future__ import annotations

from enum import StrEnum


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


class AuditAction(StrEnum):
    """What the audit log knows of, as the specification lists it."""

    LOGIN = "login"
    LOGOUT = "logout"
    LOGIN_FAILED = "login_failed"
    PASSWORD_CHANGE = "password_change"
    PASSWORD_RESET = "password_reset"
    MFA_ENABLED = "mfa_enabled"
    MFA_DISABLED = "mfa_disabled"
    OAUTH_CONNECT = "oauth_connect"
    OAUTH_DISCONNECT = "oauth_disconnect"
    USER_CREATE = "user_create"
    USER_UPDATE = "user_update"
    USER_DELETE = "user_delete"
    USER_VERIFY = "user_verify"
    WORKSPACE_CREATE = "workspace_create"
    WORKSPACE_UPDATE = "workspace_update"
    WORKSPACE_DELETE = "workspace_delete"
    WORKSPACE_JOIN = "workspace_join"
    WORKSPACE_LEAVE = "workspace_leave"
    WORKSPACE_INVITE = "workspace_invite"
    WORKSPACE_ROLE_CHANGE = "workspace_role_change"
    PROJECT_CREATE = "project_create"
    PROJECT_UPDATE = "project_update"
    PROJECT_DELETE = "project_delete"
    PROJECT_ARCHIVE = "project_archive"
    DECISION_CREATE = "decision_create"
    DECISION_UPDATE = "decision_update"
    DECISION_ANSWER = "decision_answer"
    DECISION_LOCK = "decision_lock"
    DECISION_UNLOCK = "decision_unlock"
    DECISION_DEPENDENCY_ADD = "decision_dependency_add"
    DECISION_DEPENDENCY_REMOVE = "decision_dependency_remove"
    BRANCH_CREATE = "branch_create"
    BRANCH_MERGE = "branch_merge"
    BRANCH_DELETE = "branch_delete"
    BRANCH_CONFLICT = "branch_conflict"
    ARTIFACT_GENERATE = "artifact_generate"
    ARTIFACT_UPDATE = "artifact_update"
    ARTIFACT_DELETE = "artifact_delete"
    ARTIFACT_EXPORT = "artifact_export"
    ARTIFACT_VERSION = "artifact_version"
    ARTIFACT_ROLLBACK = "artifact_rollback"
    COMMENT_CREATE = "comment_create"
    COMMENT_UPDATE = "comment_update"
    COMMENT_DELETE = "comment_delete"
    COMMENT_RESOLVE = "comment_resolve"
    CODEBASE_ANALYZE = "codebase_analyze"
    IMPACT_ANALYZE = "impact_analyze"
    CHANGE_PLAN_GENERATE = "change_plan_generate"
    ADMIN_ACTION = "admin_action"
    DATA_EXPORT = "data_export"
    DATA_DELETE = "data_delete"
