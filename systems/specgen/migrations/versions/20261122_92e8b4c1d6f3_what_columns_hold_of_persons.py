"""What columns hold of persons: classes at the end of their comments.

The whole comments stand here, as Alembic would write them.

Revision ID: 92e8b4c1d6f3
Revises: 81d7a3f0c5e2
Create Date: 2026-11-22 11:45:00+00:00
"""

from __future__ import annotations

from pgstead.app.revisions import classify, declassify

revision = "92e8b4c1d6f3"
down_revision = "81d7a3f0c5e2"
branch_labels = None
depends_on = None

# what every table has
EVERYWHERE = {
    "id": "UUID version 7: sorts by time of creation [internal]",
    "created_at": "when the row was inserted; a trigger refuses changes [internal]",
    "updated_at": (
        "when the row was last changed; kept by a trigger, strictly increasing [internal]"
    ),
}
PERSONS = {
    "users": "people with an account; each sees their own row alone [subject: id, email]",
}
COLUMNS = {
    "users": {
        "email": "unique address, in lower case [personal: email]",
        "password_hash": "argon2id; never shown [sensitive: argon2id]",
        "full_name": "how the person is shown [personal: name]",
        "avatar_url": "a picture [personal: url]",
        "is_active": "false: cannot sign in [internal]",
        "is_verified": "whether the address was confirmed [internal]",
        "two_factor_enabled": "whether signing in asks for a code [internal]",
        "two_factor_secret": "secret of the codes (TOTP), AES-256-GCM [sensitive: sealed]",
        "two_factor_step": (
            "half minute of the last code that was taken: none is taken twice [internal]"
        ),
        "oauth_providers": "with whom the person signs in too [personal]",
        "last_login_at": "when the person last signed in; null: never [personal]",
    },
    "user_sessions": {
        "user_id": "whose it is [internal]",
        "token_hash": (
            "SHA-256 of the token; 256 bits of chance need no slow hash [sensitive: digest]"
        ),
        "expires_at": "from when on it opens nothing [internal]",
    },
    "workspaces": {
        "name": "how it is shown [internal]",
        "slug": "its name in addresses [internal]",
        "description": "what it is for [internal]",
        "owner_id": "whose it is; goes with them [internal; owned]",
        "plan_tier": "free, starter, professional, enterprise [internal]",
        "settings": "preferences, free form [internal]",
        "is_active": "false: closed [internal]",
    },
    "projects": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "created_by": "who began it [internal]",
        "name": "how it is shown [internal]",
        "description": "what it is [internal]",
        "project_type": "greenfield, brownfield [internal]",
        "status": "draft, active, completed, archived [internal]",
        "repository_url": "where its code is [internal]",
        "repository_provider": "who hosts that [internal]",
        "default_branch": "main branch of the code [internal]",
        "settings": "preferences, free form [internal]",
    },
    "templates": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "created_by": "who made it [internal]",
        "name": "how it is shown [internal]",
        "description": "what it is for [internal]",
        "category": "what it is for, in a word [internal]",
        "content": "the template [internal]",
        "default_decisions": "decisions that come with it [internal]",
        "tags": "labels [internal]",
        "technologies": "what it uses [internal]",
        "is_public": "meant for other workspaces too [internal]",
        "is_featured": "shown first [internal]",
        "usage_count": "times used [internal]",
        "rating": "1 to 5 [internal]",
        "version": "its version [internal]",
    },
    "workspace_members": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "owner_id": "owner of the workspace, kept with it [internal]",
        "user_id": "the member [internal; owned]",
        "invited_by": "who asked them in [internal]",
        "role": "viewer, editor, admin, owner [internal]",
        "is_active": "false: may not enter [internal]",
        "joined_at": "since when [internal]",
    },
    "audit_logs": {
        "user_id": "who did it [internal; authored]",
        "workspace_id": "where [internal]",
        "project_id": "in which project [internal]",
        "action": "what was done [internal]",
        "resource_type": "table of the row [internal]",
        "resource_id": "key of the row [internal]",
        "success": "whether it was done [internal]",
        "error_message": "why it was not [personal]",
        "ip_address": "from where [personal]",
        "user_agent": "with what [personal]",
        "request_id": "correlation id [internal]",
        "session_id": "in which session [internal]",
        "details": "more about it, free form [personal]",
        "changes": "which fields, never their values [internal]",
    },
    "branches": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "project_id": "goes with its project [internal]",
        "parent_branch_id": "where it began [internal]",
        "created_by": "who began it [internal]",
        "name": "unique in its project [internal]",
        "description": "what it is for [internal]",
        "status": "active, merged, closed [internal]",
        "is_protected": "whether merging needs a review [internal]",
        "mergeable": "whether it can be merged [internal]",
        "merged_at": "when it was merged [internal]",
        "merge_conflicts": "what is in the way of merging [internal]",
    },
    "codebase_analyses": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "project_id": "goes with its project [internal]",
        "status": "pending, in_progress, completed, failed [internal]",
        "repository_url": "where the code is [internal]",
        "commit_sha": "which commit [internal]",
        "branch_name": "which branch [internal]",
        "languages": "what it is written in [internal]",
        "language_stats": "share of each language [internal]",
        "total_loc": "lines of code [internal]",
        "file_count": "files [internal]",
        "architecture_summary": "in words [internal]",
        "component_inventory": "parts [internal]",
        "dependency_graph": "who uses whom [internal]",
        "detected_patterns": "patterns [internal]",
        "file_metrics": "figures per file [internal]",
        "findings": "what stands out [internal]",
        "completed_at": "when it ended [internal]",
        "error_message": "why it failed [internal]",
    },
    "artifacts": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "project_id": "goes with its project [internal]",
        "branch_id": "null: on the main line [internal]",
        "generated_by": "who had it made [internal]",
        "artifact_type": "what it is [internal]",
        "title": "how it is shown [internal]",
        "description": "what it is about [internal]",
        "content": "the document [internal]",
        "format": "how it is written [internal]",
        "status": "where it is [internal]",
        "version": "its latest version [internal]",
        "is_latest": "false: another one replaced it [internal]",
        "file_size": "bytes [internal]",
        "checksum": "of the file [internal]",
        "metadata": "more about it, free form [internal]",
        "generated_at": "when it was made [internal]",
    },
    "decisions": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "project_id": "goes with its project [internal]",
        "branch_id": "null: on the main line [internal]",
        "asked_by": "who asked [internal]",
        "answered_by": "who answered [internal]",
        "question_text": "what is to be decided [internal]",
        "answer_text": "what was decided [internal]",
        "reasoning": "why [internal]",
        "category": "what it is about [internal]",
        "tags": "labels [internal]",
        "status": "where it is [internal]",
        "priority": "low, medium, high, critical [internal]",
        "is_locked": "whether it may not be changed any more [internal]",
        "locked_by": "who locked it [internal]",
        "locked_at": "when [internal]",
        "ai_generated": "whether an agent asked [internal]",
        "confidence_score": "0 to 100 [internal]",
        "metadata": "more about it, free form [internal]",
        "answered_at": "when it was answered [internal]",
    },
    "impact_analyses": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "codebase_analysis_id": "goes with its analysis [internal]",
        "project_id": "goes with its project [internal]",
        "change_description": "what would be changed [internal]",
        "affected_files": "files that it touches [internal]",
        "affected_components": "parts that it touches [internal]",
        "risk_level": "low, medium, high, critical [internal]",
        "risk_factors": "what makes it risky [internal]",
        "breaking_changes": "what would break [internal]",
        "api_changes": "of interfaces [internal]",
        "schema_changes": "of the database [internal]",
        "downstream_dependencies": "who uses it [internal]",
        "upstream_dependencies": "what it uses [internal]",
        "test_impact": "what tests must change [internal]",
        "new_tests_needed": "tests to write [internal]",
        "rollback_procedure": "the way back [internal]",
        "rollback_risk": "low, medium, high, critical [internal]",
        "change_plan": "steps [internal]",
    },
    "artifact_versions": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "artifact_id": "goes with its artifact [internal]",
        "created_by": "who made it [internal]",
        "version": "1, 2, 3 ... per artifact [internal]",
        "content": "the document [internal]",
        "changelog": "what is new [internal]",
    },
    "comments": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "project_id": "goes with its project [internal]",
        "artifact_id": "about this artifact [internal]",
        "decision_id": "about this decision [internal]",
        "parent_comment_id": "answers this one [internal]",
        "author_id": "who wrote it [internal; authored]",
        "comment_type": "what it is meant as [internal]",
        "content": "the remark [personal]",
        "status": "open, resolved, wontfix, archived [internal]",
        "is_ai_generated": "whether an agent wrote it [internal]",
        "resolve_requested": "whether somebody wants it resolved [internal]",
        "re_question_triggered": "whether the question was asked again [internal]",
        "resolved_at": "when it was resolved [internal]",
        "resolved_by": "who resolved it [internal]",
    },
    "conversation_turns": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "decision_id": "goes with its decision [internal]",
        "turn_number": "1, 2, 3 ... per decision [internal]",
        "role": "who speaks [internal]",
        "content": "what was said [personal]",
        "is_ai_generated": "whether an agent said it [internal]",
        "model_name": "which model [internal]",
        "confidence_score": "0 to 100 [internal]",
        "metadata": "more about it, free form [internal]",
    },
    "decision_artifacts": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "decision_id": "goes with its decision [internal]",
        "artifact_id": "goes with its artifact [internal]",
    },
    "decision_dependencies": {
        "workspace_id": "goes with its workspace; only members see it [internal]",
        "source_decision_id": "the one that depends [internal]",
        "target_decision_id": "the one that it depends on [internal]",
        "dependency_type": "how [internal]",
        "description": "in words [internal]",
    },
}


def upgrade() -> None:
    """Say what each column holds."""
    for table, columns in COLUMNS.items():
        classify(table, {**EVERYWHERE, **columns}, PERSONS.get(table, ""))


def downgrade() -> None:
    """Leave the comments as they were."""
    for table, columns in COLUMNS.items():
        declassify(table, {**EVERYWHERE, **columns}, PERSONS.get(table, ""))
