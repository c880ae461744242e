"""People and their sessions (TICKET-015).

A person sees their own row. Signing in knows an address and nobody yet: it sees the row of the
address in `app.signing_in_as`, a setting of its transaction.

Revision ID: 2b7d51e8a0c4
Revises:
Create Date: 2026-11-21 15:50:00+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from pgstead.app import ddl
from pgstead.app.revisions import (
    column,
    create_functions,
    drop_functions,
    keep_stamps,
    key,
    open_again,
    secure,
    stamps,
)

revision = "2b7d51e8a0c4"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TABLES = ("users", "user_sessions")

# Whose rows these are; `app` and `readonly` see no others.
ME = "(SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"
SECURED = {
    "users": (
        f"(id = {ME}) OR (email = (SELECT NULLIF(current_setting('app.signing_in_as', true), '')))"
    ),
    "user_sessions": f"user_id = {ME}",
}


def upgrade() -> None:
    """Make the tables with their triggers and policies."""
    create_functions(ddl.UUID_V7, ddl.IS_VALID_EMAIL, ddl.TOUCH_UPDATED_AT, ddl.REFUSE_CHANGE)
    _create_users()
    _create_user_sessions()
    keep_stamps(*TABLES)
    for table, rows in SECURED.items():
        secure(table, rows)


def downgrade() -> None:
    """Drop the tables with all their rows. This loses them."""
    for table in reversed(SECURED):
        open_again(table)
    for table in reversed(TABLES):
        op.drop_table(table)
    drop_functions(ddl.UUID_V7, ddl.IS_VALID_EMAIL, ddl.TOUCH_UPDATED_AT, ddl.REFUSE_CHANGE)


def _create_users() -> None:
    op.create_table(
        "users",
        key(),
        column("email", sa.String(255), "unique address, in lower case"),
        column("password_hash", sa.String(255), "argon2id; never shown"),
        column("full_name", sa.String(255), "how the person is shown", nullable=True),
        column("avatar_url", sa.String(512), "a picture", nullable=True),
        column("is_active", sa.Boolean(), "false: cannot sign in", "true"),
        column("is_verified", sa.Boolean(), "whether the address was confirmed", "false"),
        column("two_factor_enabled", sa.Boolean(), "whether signing in asks for a code", "false"),
        column(
            "two_factor_secret",
            sa.String(255),
            "secret of the codes (TOTP), AES-256-GCM",
            nullable=True,
        ),
        column(
            "two_factor_step",
            sa.Integer(),
            "half minute of the last code that was taken: none is taken twice",
            nullable=True,
        ),
        column(
            "oauth_providers",
            ARRAY(sa.String(50)),
            "with whom the person signs in too",
            "'{}'::character varying[]",
        ),
        column(
            "last_login_at", MOMENT, "when the person last signed in; null: never", nullable=True
        ),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="users_pkey"),
        sa.UniqueConstraint("email", name="users_email_key"),
        sa.CheckConstraint("is_valid_email(email)", name=op.f("users_email_check")),
        sa.CheckConstraint("email = lower(email)", name=op.f("users_email_lower_check")),
        sa.CheckConstraint(
            "password_hash LIKE '$argon2id$%'", name=op.f("users_password_hash_check")
        ),
        sa.CheckConstraint(
            "NOT two_factor_enabled OR two_factor_secret IS NOT NULL",
            name=op.f("users_two_factor_check"),
        ),
        sa.CheckConstraint(
            (
                "length(two_factor_secret) >= 48 AND two_factor_secret ~ "
                "'^AQ[E-H][A-Za-z0-9+/]*={0,2}$'"
            ),
            name=op.f("users_two_factor_secret_sealed_check"),
        ),
        comment="people with an account; each sees their own row alone",
    )


def _create_user_sessions() -> None:
    op.create_table(
        "user_sessions",
        key(),
        column("user_id", sa.Uuid(), "whose it is"),
        column(
            "token_hash",
            sa.LargeBinary(),
            "SHA-256 of the token; 256 bits of chance need no slow hash",
        ),
        column("expires_at", MOMENT, "from when on it opens nothing"),
        *stamps(),
        sa.PrimaryKeyConstraint("id", name="user_sessions_pkey"),
        sa.UniqueConstraint("user_id", "token_hash", name="user_sessions_user_id_token_hash_key"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="user_sessions_user_id_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "octet_length(token_hash) = 32", name=op.f("user_sessions_token_hash_check")
        ),
        comment="sessions of people, by the SHA-256 of their tokens",
    )
    op.create_index("ix_user_sessions_expires_at", "user_sessions", ["expires_at"])
