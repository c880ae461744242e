"""The jeex_idea schema: five tables, their functions, triggers and indexes.

Everything is made in `public` and belongs to the role that runs the migration (the database's
owner: the migrator has `role` set to it). Nothing here needs a superuser, and no extension.
Going down removes exactly what going up made, with all rows of the five tables.

Functions:

* `uuid_v7()`: the default of every key, under one name on every version of PostgreSQL, so that
  a dump of 15 restores on 18 and models need to know of one default only. From 18 on it is the
  built-in `uuidv7()`. Before, it does what the built-in does: 48 bits of milliseconds, 12 bits
  of the fraction below a millisecond, 62 bits at random; and within a session every value is
  greater than the one before it, also when the clock is set back.
* `is_valid_email(text)`, `is_valid_language(text)`, `is_valid_status(text, text)`: used by
  CHECK constraints. Their bodies are parsed when they are created (SQL-standard bodies), so no
  search_path of a caller changes what they mean.
* `touch_updated_at()`, `refuse_change()`: trigger functions, with a pinned search_path.

Revision ID: 5d1c7a9e0b42
Revises:
Create Date: 2025-11-21 11:40:00+00:00
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

revision = "5d1c7a9e0b42"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TABLES = ("users", "projects", "document_versions", "agent_executions", "exports")

# One statement for all versions, so that `alembic upgrade --sql` writes it without a server.
UUID_V7 = r"""
DO $migration$
BEGIN
  IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 180000 THEN
    EXECUTE $ddl$
      CREATE FUNCTION public.uuid_v7() RETURNS uuid
        LANGUAGE sql VOLATILE PARALLEL SAFE
        RETURN pg_catalog.uuidv7()
    $ddl$;
  ELSE
    -- PARALLEL UNSAFE: the clock of the session is a setting, which no worker may change.
    EXECUTE $ddl$
      CREATE FUNCTION public.uuid_v7() RETURNS uuid
        LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
        SET search_path = pg_catalog, pg_temp
      AS $body$
      DECLARE
        -- 1 ms / 2^12 rounded up: the least step that changes the 12 bits of the fraction
        step CONSTANT bigint := 245;
        seen CONSTANT text := current_setting('pgstead.uuid_v7_clock', true);
        ns bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000;
        fraction integer;
      BEGIN
        IF seen ~ '^[1-8]?[0-9]{1,18}$' AND seen::bigint + step > ns THEN
          ns := seen::bigint + step;
        END IF;
        PERFORM set_config('pgstead.uuid_v7_clock', ns::text, false);
        fraction := (ns % 1000000) * 4096 / 1000000;
        RETURN encode(
          substring(int8send(ns / 1000000) FROM 3)
          || int2send((28672 + fraction)::smallint)  -- 0x7000: version 7
          || substring(uuid_send(gen_random_uuid()) FROM 9),  -- has the variant in its first bits
          'hex'
        )::uuid;
      END
      $body$
    $ddl$;
  END IF;
END
$migration$
"""

# HTML's definition of a valid address with a dot in the domain; 254 is the most that SMTP carries.
IS_VALID_EMAIL = r"""
CREATE FUNCTION public.is_valid_email(address text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN length(address) <= 254 AND address ~
    '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$'
"""

IS_VALID_LANGUAGE = r"""
CREATE FUNCTION public.is_valid_language(tag text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN tag ~ '^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$'
"""

IS_VALID_STATUS = """
CREATE FUNCTION public.is_valid_status(relation text, status text) RETURNS boolean
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN CASE relation
    WHEN 'projects' THEN
      status IN ('draft', 'in_progress', 'completed', 'archived')
    WHEN 'agent_executions' THEN
      status IN ('pending', 'running', 'completed', 'failed', 'cancelled')
    WHEN 'exports' THEN
      status IN ('pending', 'processing', 'completed', 'failed', 'expired')
    ELSE false
  END
"""

# clock_timestamp(), not now(): of two transactions the later writer may have begun first, and
# `updated_at` is the version by which a lost update is found.
TOUCH_UPDATED_AT = """
CREATE FUNCTION public.touch_updated_at() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.updated_at := greatest(clock_timestamp(), OLD.updated_at + interval '1 microsecond');
  RETURN NEW;
END
$$
"""

REFUSE_CHANGE = """
CREATE FUNCTION public.refuse_change() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION '% of % cannot be changed', TG_ARGV[0], TG_TABLE_NAME
    USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
      COLUMN = TG_ARGV[0], CONSTRAINT = TG_NAME;
END
$$
"""

FUNCTIONS = {
    "uuid_v7()": (UUID_V7, "a UUID of version 7, greater than every earlier one of the session"),
    "is_valid_email(text)": (IS_VALID_EMAIL, "is it an address with a dot in its domain"),
    "is_valid_language(text)": (IS_VALID_LANGUAGE, "is it a BCP 47 tag: en, pt-BR, zh-Hant-TW"),
    "is_valid_status(text, text)": (IS_VALID_STATUS, "may a row of this table have this status"),
    "touch_updated_at()": (TOUCH_UPDATED_AT, "trigger: sets updated_at, strictly increasing"),
    "refuse_change()": (REFUSE_CHANGE, "trigger: refuses to change the column that it is given"),
}

INDEX_COMMENTS = {
    "users_email_key": "users by address; idx_users_email of the specification would repeat it",
    "idx_projects_created": "newest projects first",
    "idx_projects_user_status": "projects of a person by status, last changed first",
    "idx_documents_unique_version": "one row per version; its first two columns serve what "
    "idx_documents_project_type of the specification would",
    "idx_documents_project_version": "documents of a project, highest version first",
    "idx_documents_created_by": "documents of an author: a person is deleted without a full scan",
    "idx_executions_project": "runs of a project, last started first",
    "idx_executions_correlation": "runs that belong to one request",
    "idx_executions_status": "runs in a state, longest running first",
    "idx_exports_project": "exports of a project",
    "idx_exports_expires": "finished exports by expiry, for the retention job",
    "users_pkey": "users by key",
    "projects_pkey": "projects by key",
    "document_versions_pkey": "document versions by key",
    "agent_executions_pkey": "runs of agents by key",
    "exports_pkey": "exports by key",
}


def upgrade() -> None:
    """Make functions, tables, triggers and comments, in this order."""
    for signature, (statement, comment) in FUNCTIONS.items():
        op.execute(statement)
        op.execute(f"COMMENT ON FUNCTION public.{signature} IS '{comment}'")
    _create_users()
    _create_projects()
    _create_document_versions()
    _create_agent_executions()
    _create_exports()
    for table in TABLES:
        _protect(table, "created_at")
        op.execute(
            f"CREATE TRIGGER {table}_touch_updated_at BEFORE UPDATE ON public.{table}"
            " FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at()"
        )
    _protect("projects", "language")
    for index, comment in INDEX_COMMENTS.items():
        op.execute(f"COMMENT ON INDEX public.{index} IS '{comment}'")


def downgrade() -> None:
    """Drop the five tables with their rows, then the functions. This loses all data."""
    for table in reversed(TABLES):
        op.drop_table(table)
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION public.{signature}")


def _protect(table: str, column: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_{column}_immutable BEFORE UPDATE ON public.{table}"
        f" FOR EACH ROW WHEN (OLD.{column} IS DISTINCT FROM NEW.{column})"
        f" EXECUTE FUNCTION public.refuse_change('{column}')"
    )


def _column(
    name: str,
    kind: TypeEngine[Any],
    comment: str,
    default: str | None = None,
    *,
    nullable: bool = False,
) -> sa.Column[Any]:
    server_default = None if default is None else sa.text(default)
    return sa.Column(name, kind, server_default=server_default, nullable=nullable, comment=comment)


def _key() -> sa.Column[Any]:
    return _column("id", sa.Uuid(), "UUID version 7: sorts by time of creation", "uuid_v7()")


def _stamps() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        _column(
            "created_at", MOMENT, "when the row was inserted; a trigger refuses changes", "now()"
        ),
        _column(
            "updated_at",
            MOMENT,
            "when the row was last changed; kept by a trigger, strictly increasing",
            "now()",
        ),
    )


def _project_id() -> sa.Column[Any]:
    return _column("project_id", sa.Uuid(), "goes with its project")


def _project_fkey(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project_id"], ["projects.id"], name=f"{table}_project_id_fkey", ondelete="CASCADE"
    )


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(name))


def _create_users() -> None:
    op.create_table(
        "users",
        _key(),
        _column("email", sa.String(255), "unique address, compared as written"),
        _column("name", sa.String(255), "how the person is shown"),
        _column("profile_data", JSONB(), "preferences and profile, free form", "'{}'::jsonb"),
        _column(
            "last_login_at", MOMENT, "when the person last signed in; null: never", nullable=True
        ),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="users_pkey"),
        sa.UniqueConstraint("email", name="users_email_key"),
        _check("users_email_check", "is_valid_email(email)"),
        comment="people who own projects and write documents",
    )


def _create_projects() -> None:
    op.create_table(
        "projects",
        _key(),
        _column("name", sa.String(255), "title of the project"),
        _column("status", sa.String(50), "draft, in_progress, completed, archived", "'draft'"),
        _column("current_step", sa.Integer(), "step of the workflow, 1 to 4", "1"),
        _column(
            "language",
            sa.String(10),
            "BCP 47 tag; fixed at creation, a trigger refuses changes",
            "'en'",
        ),
        _column("created_by", sa.Uuid(), "owner; who owns projects cannot be deleted"),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="projects_pkey"),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="projects_created_by_fkey"),
        _check("projects_status_check", "is_valid_status('projects', status)"),
        _check("projects_current_step_check", "current_step BETWEEN 1 AND 4"),
        _check("projects_language_check", "is_valid_language(language)"),
        comment="ideas on their way through four steps, each in one language",
    )
    op.create_index("idx_projects_created", "projects", [sa.text("created_at DESC")])
    op.create_index(
        "idx_projects_user_status", "projects", ["created_by", "status", sa.text("updated_at DESC")]
    )


def _create_document_versions() -> None:
    op.create_table(
        "document_versions",
        _key(),
        _project_id(),
        _column("document_type", sa.String(50), "which document of the project"),
        _column("version", sa.Integer(), "1, 2, 3 ... per project and document type"),
        _column("content", sa.Text(), "the document itself"),
        _column("metadata", JSONB(), "about the document, free form", "'{}'::jsonb"),
        _column("created_by", sa.Uuid(), "author"),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="document_versions_pkey"),
        sa.UniqueConstraint(
            "project_id", "document_type", "version", name="idx_documents_unique_version"
        ),
        _project_fkey("document_versions"),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name="document_versions_created_by_fkey"
        ),
        _check("document_versions_version_check", "version >= 1"),
        comment="every version of every document, numbered from 1 per project and type",
    )
    op.create_index(
        "idx_documents_project_version",
        "document_versions",
        ["project_id", sa.text("version DESC")],
    )
    op.create_index("idx_documents_created_by", "document_versions", ["created_by"])


def _create_agent_executions() -> None:
    op.create_table(
        "agent_executions",
        _key(),
        _project_id(),
        _column("agent_type", sa.String(50), "which agent ran"),
        _column("correlation_id", sa.Uuid(), "the request that it belongs to, across services"),
        _column("input_data", JSONB(), "what the agent was given", nullable=True),
        _column("output_data", JSONB(), "what the agent answered", nullable=True),
        _column(
            "status",
            sa.String(50),
            "pending, running, completed, failed, cancelled",
            "'pending'",
        ),
        _column("error_message", sa.Text(), "why it failed", nullable=True),
        _column("started_at", MOMENT, "when the run was started", "now()"),
        _column("completed_at", MOMENT, "when it ended; null: still running", nullable=True),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="agent_executions_pkey"),
        _project_fkey("agent_executions"),
        _check("agent_executions_status_check", "is_valid_status('agent_executions', status)"),
        comment="runs of agents, with what went in and what came out",
    )
    op.create_index(
        "idx_executions_project", "agent_executions", ["project_id", sa.text("started_at DESC")]
    )
    op.create_index("idx_executions_correlation", "agent_executions", ["correlation_id"])
    op.create_index("idx_executions_status", "agent_executions", ["status", "started_at"])


def _create_exports() -> None:
    op.create_table(
        "exports",
        _key(),
        _project_id(),
        _column(
            "status",
            sa.String(50),
            "pending, processing, completed, failed, expired",
            "'pending'",
        ),
        _column("file_path", sa.Text(), "where the file lies, once made", nullable=True),
        _column("manifest", JSONB(), "what the file contains", "'{}'::jsonb"),
        _column(
            "expires_at",
            MOMENT,
            "from when on the file may be removed",
            "(now() + interval '24 hours')",
        ),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="exports_pkey"),
        _project_fkey("exports"),
        _check("exports_status_check", "is_valid_status('exports', status)"),
        comment="files made from projects; they expire",
    )
    op.create_index("idx_exports_project", "exports", ["project_id"])
    op.create_index(
        "idx_exports_expires",
        "exports",
        ["expires_at"],
        postgresql_where=sa.text("status = 'completed'"),
    )
