r"""The tables of ai_agents, as SQLAlchemy sees them.

Every table but `retention_rules` belongs to tenants. Their names for indexes (`ix_...`) are those
of the specification; each leads with the tenant where a tenant's own query uses it.

`ix_system_inventory_ip_address` has no index of its own: tenants use the same private addresses, so
by the address alone the planner would read the rows of all of them. `ix_system_inventory_tenant_ip`
answers every look-up.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    Interval,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgstead.app import Retained
from pgstead.app.encryption import Encrypted, encrypted_column, sealed_check
from pgstead.app.models import NAMING_CONVENTION, TYPES, JsonObject, one_of, status_column
from pgstead.app.personal import Classified
from pgstead.app.privileges import Withheld
from pgstead.app.rows import Row
from pgstead.app.tenancy import RowSecurity

SLUG = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
LONGEST_TEXT = 100_000  # characters; a tsvector holds 1 MB
CURRENT_TENANT = "NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text)"

# What the parser of full-text search never makes: chr(1) before the tenant. With it the index finds
# a tenant's tickets alone, however many the others have. Spelt as the server writes it back.
SEARCH = (
    "array_to_tsvector(ARRAY[(chr(1) || (tenant_id)::text)])"
    " || setweight(to_tsvector('english'::regconfig,"
    " (COALESCE(subject, ''::character varying))::text), 'A'::\"char\")"
    " || setweight(to_tsvector('english'::regconfig, description), 'B'::\"char\")"
    " || setweight(to_tsvector('english'::regconfig,"
    " COALESCE(resolution, ''::text)), 'C'::\"char\")"
)


class EnhancementStatus(StrEnum):
    """Where an enhancement is."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class TicketPriority(StrEnum):
    """How pressing a ticket was."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Base(DeclarativeBase):
    """The declarative base of ai_agents; its metadata is what Alembic compares with."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {**TYPES, list[str]: ARRAY(Text)}  # noqa: RUF012 - SQLAlchemy's own


class TenantRow(Row):
    """A row of a tenant. The column is filled from the current tenant."""

    tenant_id: Mapped[str] = mapped_column(
        String(100),
        ForeignKey("tenant_configs.tenant_id", ondelete="CASCADE"),
        server_default=text(CURRENT_TENANT),
        sort_order=-1,
        comment="whose row it is; filled from app.current_tenant_id",
    )


class TenantConfig(Row, Base):
    """A tenant, and how their service desk is reached."""

    __tablename__ = "tenant_configs"
    __table_args__ = (
        UniqueConstraint("tenant_id", name="ix_tenant_configs_tenant_id"),
        CheckConstraint(f"tenant_id ~ '{SLUG}'", name="tenant_id"),
        sealed_check("servicedesk_api_key_encrypted", textual=True),
        sealed_check("webhook_signing_secret_encrypted", textual=True),
        CheckConstraint("servicedesk_url ~ '^https?://[^[:space:]]+$'", name="servicedesk_url"),
        RowSecurity.by_tenant(),
        Withheld("DELETE"),
        # the tenant is whose data it all is; a person of theirs has no row here
        Classified(
            personal="name:name servicedesk_url:url",
            sensitive="servicedesk_api_key_encrypted:sealed"
            " webhook_signing_secret_encrypted:sealed",
            internal="tenant_id enhancement_preferences is_active",
            subject="tenant_id id",
        ),
        {"comment": "tenants, and how their service desks are reached"},
    )

    tenant_id: Mapped[str] = mapped_column(
        String(100), sort_order=-1, comment="short name of the tenant; fixed"
    )
    name: Mapped[str] = mapped_column(String(255), comment="how the tenant is shown")
    servicedesk_url: Mapped[str] = mapped_column(String(500), comment="where its service desk is")
    servicedesk_api_key: Mapped[Encrypted[str]] = encrypted_column(
        str,
        stored=Text(),
        name="servicedesk_api_key_encrypted",
        owner="id",
        comment="key of its service desk, AES-256-GCM",
    )
    webhook_signing_secret: Mapped[Encrypted[str]] = encrypted_column(
        str,
        stored=Text(),
        name="webhook_signing_secret_encrypted",
        owner="id",
        comment="secret of its webhooks, AES-256-GCM",
    )
    enhancement_preferences: Mapped[JsonObject] = mapped_column(
        server_default=text("'{}'::jsonb"), comment="what is enhanced and how, free form"
    )
    is_active: Mapped[bool] = mapped_column(
        server_default=text("true"), comment="false: its keys open nothing"
    )


class TenantApiKey(TenantRow, Base):
    """A key with which programs of a tenant sign in. Kept as a hash only."""

    __tablename__ = "tenant_api_keys"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key_hash", name="ix_tenant_api_keys_tenant_hash"),
        CheckConstraint("octet_length(key_hash) = 32", name="key_hash"),
        RowSecurity.by_tenant(),
        Classified(
            personal="name:name", sensitive="key_hash:digest", internal="expires_at revoked_at"
        ),
        {"comment": "keys with which programs of a tenant sign in, as SHA-256"},
    )

    name: Mapped[str] = mapped_column(String(255), comment="who uses it")
    key_hash: Mapped[bytes] = mapped_column(
        LargeBinary, comment="SHA-256 of the key; 256 bits of chance need no slow hash"
    )
    expires_at: Mapped[dt.datetime | None] = mapped_column(comment="null: never")
    revoked_at: Mapped[dt.datetime | None] = mapped_column(comment="from when on it opens nothing")


class EnhancementHistory(TenantRow, Base):
    """One enhancement of one ticket."""

    __tablename__ = "enhancement_history"
    __table_args__ = (
        one_of("status", EnhancementStatus),
        CheckConstraint("processing_time_ms >= 0", name="processing_time_ms"),
        RowSecurity.by_tenant(),
        Withheld("DELETE"),
        Retained("created_at", days=90, rules="retention_rules"),
        Classified(
            personal="context_gathered llm_output error_message",
            internal="ticket_id status processing_time_ms completed_at",
        ),
        {"comment": "enhancements of tickets; kept as long as retention_rules says"},
    )

    ticket_id: Mapped[str] = mapped_column(String(100), comment="ticket of the service desk")
    status: Mapped[str] = status_column(EnhancementStatus.PENDING)
    context_gathered: Mapped[JsonObject | None] = mapped_column(comment="what the agent was given")
    llm_output: Mapped[str | None] = mapped_column(Text, comment="what the model answered")
    error_message: Mapped[str | None] = mapped_column(Text, comment="why it failed")
    processing_time_ms: Mapped[int | None] = mapped_column(comment="milliseconds that it took")
    completed_at: Mapped[dt.datetime | None] = mapped_column(
        comment="when it ended; null: still pending"
    )


class TicketHistory(TenantRow, Base):
    """A ticket of the past, to learn from."""

    __tablename__ = "ticket_history"
    __table_args__ = (
        UniqueConstraint("tenant_id", "ticket_id", name="ix_ticket_history_tenant_ticket"),
        one_of("priority", TicketPriority),
        CheckConstraint(f"char_length(description) <= {LONGEST_TEXT}", name="description"),
        CheckConstraint(f"char_length(resolution) <= {LONGEST_TEXT}", name="resolution"),
        # search_tickets() runs as the owner, whom no other policy lets see anything
        RowSecurity.by_tenant(admins=("admin", "pg_database_owner")),
        Classified(
            personal="subject description resolution search",
            internal="ticket_id resolved_date priority tags source ingested_at",
        ),
        {"comment": "tickets of the past, found by their words"},
    )

    ticket_id: Mapped[str] = mapped_column(String(100), comment="ticket of the service desk")
    subject: Mapped[str | None] = mapped_column(String(255), comment="its title")
    description: Mapped[str] = mapped_column(Text, comment="what was the matter")
    resolution: Mapped[str | None] = mapped_column(Text, comment="what helped")
    resolved_date: Mapped[dt.datetime | None] = mapped_column(comment="when it was resolved")
    priority: Mapped[str | None] = mapped_column(String(20), comment="low, medium, high, critical")
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"), comment="labels")
    source: Mapped[str] = mapped_column(
        String(50), server_default=text("'bulk_import'"), comment="where it came from"
    )
    ingested_at: Mapped[dt.datetime] = mapped_column(
        server_default=text("now()"), comment="when it was taken over"
    )
    search: Mapped[str] = mapped_column(
        TSVECTOR,
        Computed(SEARCH, persisted=True),
        deferred=True,
        comment="words of subject (A), description (B) and resolution (C), and the tenant",
    )


class SystemInventory(TenantRow, Base):
    """A system of a tenant's customers, found by its address."""

    __tablename__ = "system_inventory"
    __table_args__ = (
        UniqueConstraint("tenant_id", "ip_address", name="ix_system_inventory_tenant_ip"),
        CheckConstraint(
            "masklen(ip_address) = CASE family(ip_address) WHEN 4 THEN 32 ELSE 128 END",
            name="ip_address",
        ),
        RowSecurity.by_tenant(),
        Classified(personal="ip_address hostname client:name location", internal="role"),
        {"comment": "systems by their address"},
    )

    ip_address: Mapped[str] = mapped_column(INET, comment="one address, no network")
    hostname: Mapped[str] = mapped_column(String(255), comment="its name")
    role: Mapped[str | None] = mapped_column(String(100), comment="what it does")
    client: Mapped[str | None] = mapped_column(String(255), comment="whose it is")
    location: Mapped[str | None] = mapped_column(String(255), comment="where it stands")


class RetentionRule(Row, Base):
    """How long rows of a table are kept: data, so that changing it is no deployment.

    `Retained` goes by `keep_for` alone. The other columns are of a job that there is no more, and
    go with a later migration: a release that maps them may still run.
    """

    __tablename__ = "retention_rules"
    __table_args__ = (
        UniqueConstraint("relation"),
        CheckConstraint("keep_for > interval '0'", name="keep_for"),
        CheckConstraint("batch_size BETWEEN 1 AND 100000", name="batch_size"),
        Withheld("INSERT", "UPDATE", "DELETE"),
        Classified(internal="relation age_column keep_for batch_size"),
        {"comment": "how long rows are kept; written by the administrator"},
    )

    relation: Mapped[str] = mapped_column(String(63), comment="the table")
    age_column: Mapped[str] = mapped_column(
        String(63), server_default=text("'created_at'"), comment="what tells a row's age"
    )
    keep_for: Mapped[dt.timedelta] = mapped_column(Interval, comment="rows older than that go")
    batch_size: Mapped[int] = mapped_column(
        server_default=text("1000"), comment="rows per transaction"
    )


# A tenant's own lists, then what the administrator and the workers look for over all tenants.
Index(
    "ix_enhancement_history_tenant_id",
    EnhancementHistory.tenant_id,
    EnhancementHistory.created_at.desc(),
)
Index(
    "ix_enhancement_history_tenant_ticket",
    EnhancementHistory.tenant_id,
    EnhancementHistory.ticket_id,
)
Index("ix_enhancement_history_ticket_id", EnhancementHistory.ticket_id)
Index("ix_enhancement_history_status", EnhancementHistory.status, EnhancementHistory.created_at)
Index("ix_enhancement_history_created_at", EnhancementHistory.created_at)
# newest first is by key: without these a tenant's list would go through everybody's keys
Index("ix_ticket_history_tenant_id", TicketHistory.tenant_id, TicketHistory.id)
Index("ix_system_inventory_tenant_id", SystemInventory.tenant_id, SystemInventory.id)
Index(
    "ix_ticket_history_resolved_date",
    TicketHistory.tenant_id,
    TicketHistory.resolved_date.desc(),
)
Index("ix_ticket_history_search", TicketHistory.search, postgresql_using="gin")
Index("ix_system_inventory_hostname", SystemInventory.tenant_id, SystemInventory.hostname)
