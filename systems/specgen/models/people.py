"""People, their sessions, and what they did."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from pgstead.app import Retained
from pgstead.app.encryption import Encrypted, encrypted_column, sealed_check
from pgstead.app.models import one_of
from pgstead.app.personal import Classified
from pgstead.app.privileges import Withheld
from pgstead.app.rows import Row
from pgstead.app.tenancy import USER, RowSecurity, Rule
from systems.specgen.models.rows import Base, flag, json_object, person, texts, within
from systems.specgen.vocabulary import AuditAction

SIGNING_IN = "app.signing_in_as"  # the address that somebody signs in with; transaction-local


class User(Row, Base):
    """A person with an account."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("is_valid_email(email)", name="email"),
        CheckConstraint("email = lower(email)", name="email_lower"),
        CheckConstraint("password_hash LIKE '$argon2id$%'", name="password_hash"),
        CheckConstraint(
            "NOT two_factor_enabled OR two_factor_secret IS NOT NULL", name="two_factor"
        ),
        sealed_check("two_factor_secret", textual=True),
        # signing in knows an address and no person yet: it sees the row of that address
        RowSecurity.by_user("id").showing(Rule("email", SIGNING_IN)),
        Classified(
            personal="email:email full_name:name avatar_url:url oauth_providers last_login_at",
            sensitive="password_hash:argon2id two_factor_secret:sealed",
            internal="is_active is_verified two_factor_enabled two_factor_step",
            subject="id email",
        ),
        {"comment": "people with an account; each sees their own row alone"},
    )

    email: Mapped[str] = mapped_column(
        String(255), unique=True, comment="unique address, in lower case"
    )
    password_hash: Mapped[str] = mapped_column(String(255), comment="argon2id; never shown")
    full_name: Mapped[str | None] = mapped_column(String(255), comment="how the person is shown")
    avatar_url: Mapped[str | None] = mapped_column(String(512), comment="a picture")
    is_active: Mapped[bool] = flag("false: cannot sign in", default=True)
    is_verified: Mapped[bool] = flag("whether the address was confirmed")
    two_factor_enabled: Mapped[bool] = flag("whether signing in asks for a code")
    two_factor_secret: Mapped[Encrypted[str] | None] = encrypted_column(
        str,
        stored=String(255),
        owner="id",
        comment="secret of the codes (TOTP), AES-256-GCM",
    )
    two_factor_step: Mapped[int | None] = mapped_column(
        comment="half minute of the last code that was taken: none is taken twice"
    )
    oauth_providers: Mapped[list[str]] = texts(50, "with whom the person signs in too")
    last_login_at: Mapped[dt.datetime | None] = mapped_column(
        comment="when the person last signed in; null: never"
    )


class UserSession(Row, Base):
    """A session of a person. The token is kept as a hash only."""

    __tablename__ = "user_sessions"
    __table_args__ = (
        UniqueConstraint("user_id", "token_hash"),
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash"),
        RowSecurity.by_user("user_id"),
        Retained("expires_at", days=30),
        Classified(sensitive="token_hash:digest", internal="expires_at"),
        {"comment": "sessions of people, by the SHA-256 of their tokens"},
    )

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), comment="whose it is"
    )
    token_hash: Mapped[bytes] = mapped_column(
        LargeBinary, comment="SHA-256 of the token; 256 bits of chance need no slow hash"
    )
    expires_at: Mapped[dt.datetime] = mapped_column(comment="from when on it opens nothing")


class AuditLog(Row, Base):
    """Something that a person did. Written once, changed by nobody."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        one_of("action", AuditAction),
        within("project_id", "projects", "SET NULL"),
        RowSecurity.by_user("user_id")
        .any_of(RowSecurity.by_lookup("workspace_id", "workspaces", key="id", user="owner_id"))
        # of what one did oneself, and only where one belongs
        .writing(
            Rule("user_id", USER),
            Rule(
                *("workspace_id", USER, "workspace_members", "workspace_id", "user_id"),
                flag="is_active",
                or_null=True,
            ),
        ),
        Withheld("UPDATE", "DELETE"),
        Classified(
            personal="ip_address user_agent details error_message",
            internal="action resource_type resource_id success request_id session_id changes",
            authored="user_id",
        ),
        {"comment": "what people did; the application's role may add rows, not change them"},
    )

    user_id: Mapped[uuid.UUID | None] = person("who did it")
    workspace_id: Mapped[uuid.UUID | None] = mapped_column(
        Uuid(), ForeignKey("workspaces.id", ondelete="SET NULL"), comment="where"
    )
    project_id: Mapped[uuid.UUID | None] = mapped_column(comment="in which project")
    action: Mapped[str] = mapped_column(String(50), comment="what was done")
    resource_type: Mapped[str | None] = mapped_column(String(50), comment="table of the row")
    resource_id: Mapped[uuid.UUID | None] = mapped_column(comment="key of the row")
    success: Mapped[bool] = flag("whether it was done", default=True)
    error_message: Mapped[str | None] = mapped_column(Text, comment="why it was not")
    ip_address: Mapped[str | None] = mapped_column(INET, comment="from where")
    user_agent: Mapped[str | None] = mapped_column(String(512), comment="with what")
    request_id: Mapped[str | None] = mapped_column(String(100), comment="correlation id")
    session_id: Mapped[str | None] = mapped_column(String(100), comment="in which session")
    details: Mapped[object] = json_object("more about it, free form")
    changes: Mapped[object] = json_object("which fields, never their values")


Index("ix_user_sessions_expires_at", UserSession.expires_at)
Index("ix_audit_logs_user_id", AuditLog.user_id, AuditLog.created_at.desc())
Index("ix_audit_logs_workspace_id", AuditLog.workspace_id, AuditLog.created_at.desc())
Index("ix_audit_logs_project_id", AuditLog.workspace_id, AuditLog.project_id)
Index("ix_audit_logs_action", AuditLog.action)
Index("ix_audit_logs_resource_type", AuditLog.resource_type)
Index("ix_audit_logs_resource_id", AuditLog.resource_id)
Index("ix_audit_logs_created_at", AuditLog.created_at)
