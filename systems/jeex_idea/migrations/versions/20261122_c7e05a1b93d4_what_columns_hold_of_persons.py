"""What columns hold of persons: classes at the end of their comments.

The whole comments stand here, as Alembic would write them.

Revision ID: c7e05a1b93d4
Revises: b41c97d2e8f3
Create Date: 2026-11-22 11:45:00+00:00
"""

from __future__ import annotations

from pgstead.app.revisions import classify, declassify

revision = "c7e05a1b93d4"
down_revision = "b41c97d2e8f3"
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
    "users": "people who own projects and write documents [subject: id, email; kept]",
}
COLUMNS = {
    "users": {
        "email": "unique address, compared as written [personal: email]",
        "name": "how the person is shown [personal: name]",
        "profile_data": "preferences and profile, free form [personal]",
        "last_login_at": "when the person last signed in; null: never [personal]",
    },
    "projects": {
        "name": "title of the project [personal]",
        "status": "draft, in_progress, completed, archived [internal]",
        "current_step": "step of the workflow, 1 to 4 [internal]",
        "language": "BCP 47 tag; fixed at creation, a trigger refuses changes [internal]",
        "created_by": "owner; who owns projects cannot be deleted [internal; owned]",
    },
    "agent_executions": {
        "project_id": "goes with its project [internal]",
        "agent_type": "which agent ran [internal]",
        "correlation_id": "the request that it belongs to, across services [internal]",
        "input_data": "what the agent was given [personal]",
        "output_data": "what the agent answered [personal]",
        "status": "pending, running, completed, failed, cancelled [internal]",
        "error_message": "why it failed [personal]",
        "started_at": "when the run was started [internal]",
        "completed_at": "when it ended; null: still running [internal]",
    },
    "document_versions": {
        "project_id": "goes with its project [internal]",
        "document_type": "which document of the project [internal]",
        "version": "1, 2, 3 ... per project and document type [internal]",
        "content": "the document itself [personal]",
        "metadata": "about the document, free form [personal]",
        "created_by": "author [internal]",
    },
    "exports": {
        "project_id": "goes with its project [internal]",
        "status": "pending, processing, completed, failed, expired [internal]",
        "file_path": "where the file lies, once made [personal]",
        "manifest": "what the file contains [personal]",
        "expires_at": "from when on the file may be removed [internal]",
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
