"""What columns hold of persons: classes at the end of their comments.

The whole comments stand here, as Alembic would write them.

Revision ID: 2bad5f83e6c1
Revises: 1a9c4e72d5b0
Create Date: 2026-11-22 11:45:00+00:00
"""

from __future__ import annotations

from pgstead.app.revisions import classify, declassify

revision = "2bad5f83e6c1"
down_revision = "1a9c4e72d5b0"
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
    "tenant_configs": "tenants, and how their service desks are reached [subject: tenant_id, id]",
}
COLUMNS = {
    "retention_rules": {
        "relation": "the table [internal]",
        "age_column": "what tells a row's age [internal]",
        "keep_for": "rows older than that go [internal]",
        "batch_size": "rows per transaction [internal]",
    },
    "tenant_configs": {
        "tenant_id": "short name of the tenant; fixed [internal]",
        "name": "how the tenant is shown [personal: name]",
        "servicedesk_url": "where its service desk is [personal: url]",
        "servicedesk_api_key_encrypted": "key of its service desk, AES-256-GCM [sensitive: sealed]",
        "webhook_signing_secret_encrypted": (
            "secret of its webhooks, AES-256-GCM [sensitive: sealed]"
        ),
        "enhancement_preferences": "what is enhanced and how, free form [internal]",
        "is_active": "false: its keys open nothing [internal]",
    },
    "enhancement_history": {
        "tenant_id": "whose row it is; filled from app.current_tenant_id [internal]",
        "ticket_id": "ticket of the service desk [internal]",
        "status": "pending, completed, failed [internal]",
        "context_gathered": "what the agent was given [personal]",
        "llm_output": "what the model answered [personal]",
        "error_message": "why it failed [personal]",
        "processing_time_ms": "milliseconds that it took [internal]",
        "completed_at": "when it ended; null: still pending [internal]",
    },
    "system_inventory": {
        "tenant_id": "whose row it is; filled from app.current_tenant_id [internal]",
        "ip_address": "one address, no network [personal]",
        "hostname": "its name [personal]",
        "role": "what it does [internal]",
        "client": "whose it is [personal: name]",
        "location": "where it stands [personal]",
    },
    "tenant_api_keys": {
        "tenant_id": "whose row it is; filled from app.current_tenant_id [internal]",
        "name": "who uses it [personal: name]",
        "key_hash": "SHA-256 of the key; 256 bits of chance need no slow hash [sensitive: digest]",
        "expires_at": "null: never [internal]",
        "revoked_at": "from when on it opens nothing [internal]",
    },
    "ticket_history": {
        "tenant_id": "whose row it is; filled from app.current_tenant_id [internal]",
        "ticket_id": "ticket of the service desk [internal]",
        "subject": "its title [personal]",
        "description": "what was the matter [personal]",
        "resolution": "what helped [personal]",
        "resolved_date": "when it was resolved [internal]",
        "priority": "low, medium, high, critical [internal]",
        "tags": "labels [internal]",
        "source": "where it came from [internal]",
        "ingested_at": "when it was taken over [internal]",
        "search": (
            "words of subject (A), description (B) and resolution (C), and the tenant [personal]"
        ),
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
