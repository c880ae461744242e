"""The schema of ai_agents: six tables, their functions, triggers and policies.

`search_tickets` looks for words in a tenant's tickets. `@@` is not leakproof, so under row-level
security the planner must not ask the index before the policy; a function of the owner may, and
compares the tenant itself: first in the index (each ticket's words hold its tenant), then as a
condition. The owner sees the rows by a policy of their own, `tenant_isolation_policy_admin`.

Deleting configurations and enhancements is the administrator's (TEN-4), and so is how long rows
are kept (`retention_rules`).

Revision ID: 1a9c4e72d5b0
Revises:
Create Date: 2026-11-21 15:50:00+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB, TSVECTOR

from pgstead.app import ddl
from pgstead.app.revisions import (
    column,
    create_functions,
    drop_functions,
    keep_stamps,
    key,
    open_again,
    revoke,
    secure,
    stamps,
)

revision = "1a9c4e72d5b0"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TABLES = (
    "tenant_configs",
    "tenant_api_keys",
    "enhancement_history",
    "ticket_history",
    "system_inventory",
    "retention_rules",
)
CURRENT_TENANT = "NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text)"
SEARCH = (
    "array_to_tsvector(ARRAY[(chr(1) || (tenant_id)::text)])"
    " || setweight(to_tsvector('english'::regconfig,"
    " (COALESCE(subject, ''::character varying))::text), 'A'::\"char\")"
    " || setweight(to_tsvector('english'::regconfig, description), 'B'::\"char\")"
    " || setweight(to_tsvector('english'::regconfig,"
    " COALESCE(resolution, ''::text)), 'C'::\"char\")"
)

SEARCH_TICKETS = ddl.Function(
    "search_tickets(text, integer, integer)",
    r"""
CREATE FUNCTION public.search_tickets(query text, most integer, skip integer)
  RETURNS TABLE (id uuid, rank real, total bigint)
  LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER ROWS 20
  SET search_path = pg_catalog, public, pg_temp
  SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  tenant CONSTANT text := nullif(current_setting('app.current_tenant_id', true), '');
  words CONSTANT tsquery := websearch_to_tsquery('english', query);
  mine tsquery;
BEGIN
  IF tenant IS NULL OR numnode(words) = 0 THEN
    RETURN;
  END IF;
  mine := words && quote_literal(chr(1) || tenant)::tsquery;
  RETURN QUERY
    SELECT t.id, ts_rank(t.search, words), count(*) OVER ()
    FROM public.ticket_history AS t
    WHERE t.search @@ mine AND t.tenant_id = tenant
    ORDER BY 2 DESC, t.id DESC
    LIMIT most OFFSET skip;
END
$$
""",
    "keys of the current tenant''s tickets that have the words, best first",
)

# Whose rows these are; `app` and `readonly` see no others.
MINE = "tenant_id = (SELECT NULLIF(current_setting('app.current_tenant_id', true), ''))"
SECURED = dict.fromkeys(
    ("tenant_configs", "tenant_api_keys", "enhancement_history", "system_inventory"), MINE
)


def upgrade() -> None:
    """Make the tables with their triggers and policies."""
    create_functions(ddl.UUID_V7, ddl.TOUCH_UPDATED_AT, ddl.REFUSE_CHANGE)
    _create_tenant_configs()
    _create_tenant_api_keys()
    _create_enhancement_history()
    _create_ticket_history()
    _create_system_inventory()
    _create_retention_rules()
    keep_stamps(*TABLES)
    for table, rows in SECURED.items():
        secure(table, rows)
    secure("ticket_history", MINE, admins=("admin", "pg_database_owner"))
    op.execute(ddl.protect("tenant_configs", "tenant_id"))
    # pgstead: ignore[definer-for-everybody] it compares the tenant itself, and finds nothing
    # without the setting of one
    create_functions(SEARCH_TICKETS)
    revoke("DELETE", "tenant_configs", "app")
    revoke("DELETE", "enhancement_history", "app")
    revoke("INSERT, UPDATE, DELETE", "retention_rules", "app")
    op.execute(
        "INSERT INTO retention_rules (relation, keep_for)"
        " VALUES ('enhancement_history', interval '90 days')"
    )


def downgrade() -> None:
    """Drop the tables with all their rows. This loses them."""
    drop_functions(SEARCH_TICKETS)
    open_again("ticket_history")
    for table in reversed(SECURED):
        open_again(table)
    for table in reversed(TABLES):
        op.drop_table(table)
    drop_functions(ddl.UUID_V7, ddl.TOUCH_UPDATED_AT, ddl.REFUSE_CHANGE)


def _create_tenant_configs() -> None:
    op.create_table(
        "tenant_configs",
        key(),
        column("tenant_id", sa.String(100), "short name of the tenant; fixed"),
        column("name", sa.String(255), "how the tenant is shown"),
        column("servicedesk_url", sa.String(500), "where its service desk is"),
        column("servicedesk_api_key_encrypted", sa.Text(), "key of its service desk, AES-256-GCM"),
        column(
            "webhook_signing_secret_encrypted", sa.Text(), "secret of its webhooks, AES-256-GCM"
        ),
        column(
            "enhancement_preferences", JSONB(), "what is enhanced and how, free form", "'{}'::jsonb"
        ),
        column("is_active", sa.Boolean(), "false: its keys open nothing", "true"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="tenant_configs_pkey"),
        sa.UniqueConstraint("tenant_id", name="ix_tenant_configs_tenant_id"),
        sa.CheckConstraint(
            (
                "length(servicedesk_api_key_encrypted) >= 48 AND "
                "servicedesk_api_key_encrypted ~ '^AQ[E-H][A-Za-z0-9+/]*={0,2}$'"
            ),
            name=op.f("tenant_configs_servicedesk_api_key_encrypted_sealed_check"),
        ),
        sa.CheckConstraint(
            "servicedesk_url ~ '^https?://[^[:space:]]+$'",
            name=op.f("tenant_configs_servicedesk_url_check"),
        ),
        sa.CheckConstraint(
            "tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$'",
            name=op.f("tenant_configs_tenant_id_check"),
        ),
        sa.CheckConstraint(
            (
                "length(webhook_signing_secret_encrypted) >= 48 AND "
                "webhook_signing_secret_encrypted ~ '^AQ[E-H][A-Za-z0-9+/]*={0,2}$'"
            ),
            name=op.f("tenant_configs_webhook_signing_secret_encrypted_sealed_check"),
        ),
        comment="tenants, and how their service desks are reached",
    )


def _create_tenant_api_keys() -> None:
    op.create_table(
        "tenant_api_keys",
        key(),
        column(
            "tenant_id",
            sa.String(100),
            "whose row it is; filled from app.current_tenant_id",
            CURRENT_TENANT,
        ),
        column("name", sa.String(255), "who uses it"),
        column(
            "key_hash", sa.LargeBinary(), "SHA-256 of the key; 256 bits of chance need no slow hash"
        ),
        column("expires_at", MOMENT, "null: never", nullable=True),
        column("revoked_at", MOMENT, "from when on it opens nothing", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="tenant_api_keys_pkey"),
        sa.UniqueConstraint("tenant_id", "key_hash", name="ix_tenant_api_keys_tenant_hash"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant_configs.tenant_id"],
            name="tenant_api_keys_tenant_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "octet_length(key_hash) = 32", name=op.f("tenant_api_keys_key_hash_check")
        ),
        comment="keys with which programs of a tenant sign in, as SHA-256",
    )


def _create_enhancement_history() -> None:
    op.create_table(
        "enhancement_history",
        key(),
        column(
            "tenant_id",
            sa.String(100),
            "whose row it is; filled from app.current_tenant_id",
            CURRENT_TENANT,
        ),
        column("ticket_id", sa.String(100), "ticket of the service desk"),
        column("status", sa.String(50), "pending, completed, failed", "'pending'"),
        column("context_gathered", JSONB(), "what the agent was given", nullable=True),
        column("llm_output", sa.Text(), "what the model answered", nullable=True),
        column("error_message", sa.Text(), "why it failed", nullable=True),
        column("processing_time_ms", sa.Integer(), "milliseconds that it took", nullable=True),
        column("completed_at", MOMENT, "when it ended; null: still pending", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="enhancement_history_pkey"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant_configs.tenant_id"],
            name="enhancement_history_tenant_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "processing_time_ms >= 0", name=op.f("enhancement_history_processing_time_ms_check")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'completed', 'failed')",
            name=op.f("enhancement_history_status_check"),
        ),
        comment="enhancements of tickets; kept as long as retention_rules says",
    )
    op.create_index("ix_enhancement_history_created_at", "enhancement_history", ["created_at"])
    op.create_index(
        "ix_enhancement_history_status", "enhancement_history", ["status", "created_at"]
    )
    op.create_index(
        "ix_enhancement_history_tenant_id",
        "enhancement_history",
        ["tenant_id", sa.text("created_at DESC")],
    )
    op.create_index(
        "ix_enhancement_history_tenant_ticket", "enhancement_history", ["tenant_id", "ticket_id"]
    )
    op.create_index("ix_enhancement_history_ticket_id", "enhancement_history", ["ticket_id"])


def _create_ticket_history() -> None:
    op.create_table(
        "ticket_history",
        key(),
        column(
            "tenant_id",
            sa.String(100),
            "whose row it is; filled from app.current_tenant_id",
            CURRENT_TENANT,
        ),
        column("ticket_id", sa.String(100), "ticket of the service desk"),
        column("subject", sa.String(255), "its title", nullable=True),
        column("description", sa.Text(), "what was the matter"),
        column("resolution", sa.Text(), "what helped", nullable=True),
        column("resolved_date", MOMENT, "when it was resolved", nullable=True),
        column("priority", sa.String(20), "low, medium, high, critical", nullable=True),
        column("tags", ARRAY(sa.Text()), "labels", "'{}'::text[]"),
        column("source", sa.String(50), "where it came from", "'bulk_import'"),
        column("ingested_at", MOMENT, "when it was taken over", "now()"),
        sa.Column(
            "search",
            TSVECTOR(),
            sa.Computed(SEARCH, persisted=True),
            nullable=False,
            comment="words of subject (A), description (B) and resolution (C), and the tenant",
        ),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="ticket_history_pkey"),
        sa.UniqueConstraint("tenant_id", "ticket_id", name="ix_ticket_history_tenant_ticket"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant_configs.tenant_id"],
            name="ticket_history_tenant_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "char_length(description) <= 100000", name=op.f("ticket_history_description_check")
        ),
        sa.CheckConstraint(
            "priority IN ('low', 'medium', 'high', 'critical')",
            name=op.f("ticket_history_priority_check"),
        ),
        sa.CheckConstraint(
            "char_length(resolution) <= 100000", name=op.f("ticket_history_resolution_check")
        ),
        comment="tickets of the past, found by their words",
    )
    op.create_index(
        "ix_ticket_history_resolved_date",
        "ticket_history",
        ["tenant_id", sa.text("resolved_date DESC")],
    )
    op.create_index(
        "ix_ticket_history_search", "ticket_history", ["search"], postgresql_using="gin"
    )
    op.create_index("ix_ticket_history_tenant_id", "ticket_history", ["tenant_id", "id"])


def _create_system_inventory() -> None:
    op.create_table(
        "system_inventory",
        key(),
        column(
            "tenant_id",
            sa.String(100),
            "whose row it is; filled from app.current_tenant_id",
            CURRENT_TENANT,
        ),
        column("ip_address", INET(), "one address, no network"),
        column("hostname", sa.String(255), "its name"),
        column("role", sa.String(100), "what it does", nullable=True),
        column("client", sa.String(255), "whose it is", nullable=True),
        column("location", sa.String(255), "where it stands", nullable=True),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="system_inventory_pkey"),
        sa.UniqueConstraint("tenant_id", "ip_address", name="ix_system_inventory_tenant_ip"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant_configs.tenant_id"],
            name="system_inventory_tenant_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "masklen(ip_address) = CASE family(ip_address) WHEN 4 THEN 32 ELSE 128 END",
            name=op.f("system_inventory_ip_address_check"),
        ),
        comment="systems by their address",
    )
    op.create_index("ix_system_inventory_hostname", "system_inventory", ["tenant_id", "hostname"])
    op.create_index("ix_system_inventory_tenant_id", "system_inventory", ["tenant_id", "id"])


def _create_retention_rules() -> None:
    # pgstead: ignore[table-without-row-security] it holds no rows of anybody's
    op.create_table(
        "retention_rules",
        key(),
        column("relation", sa.String(63), "the table"),
        column("age_column", sa.String(63), "what tells a row's age", "'created_at'"),
        column("keep_for", sa.Interval(), "rows older than that go"),
        column("batch_size", sa.Integer(), "rows per transaction", "1000"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="retention_rules_pkey"),
        sa.UniqueConstraint("relation", name="retention_rules_relation_key"),
        sa.CheckConstraint(
            "batch_size BETWEEN 1 AND 100000", name=op.f("retention_rules_batch_size_check")
        ),
        sa.CheckConstraint("keep_for > interval '0'", name=op.f("retention_rules_keep_for_check")),
        comment="how long rows are kept; written by the administrator",
    )
