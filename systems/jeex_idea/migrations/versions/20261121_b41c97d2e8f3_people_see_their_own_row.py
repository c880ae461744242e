"""People see and write their own row alone (TEN-6).

Address and profile are personal. Whoever signs up is written as themselves: the service makes the
key and says `app.current_user_id` for the transaction; nobody can make a row that is somebody
else's. Foreign keys that name a person (`created_by`) are checked by the server, without policies.

Revision ID: b41c97d2e8f3
Revises: 8f2e60b4c7d1
Create Date: 2026-11-21 18:16:34+00:00
"""

from __future__ import annotations

from pgstead.app.revisions import open_again, secure

revision = "b41c97d2e8f3"
down_revision = "8f2e60b4c7d1"
branch_labels = None
depends_on = None

ME = "id = (SELECT NULLIF(current_setting('app.current_user_id', true), '')::uuid)"


def upgrade() -> None:
    """Enable and force row-level security on `users`, with three policies."""
    secure("users", ME)


def downgrade() -> None:
    """Open `users` again: every role sees everybody. No row is lost."""
    open_again("users")
