"""Models that need every form of row-level security, and their schema made by autogenerate."""

from __future__ import annotations

import uuid
from typing import Any

from alembic.autogenerate import produce_migrations
from alembic.autogenerate.api import render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import MigrationScript, ModifyTableOps
from sqlalchemy import (
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgstead.app import policy_migrations, policy_operations, views
from pgstead.app.tenancy import RowSecurity, TenantScoped

OPEN_ORDERS = "SELECT o.id, a.email FROM orders AS o JOIN accounts AS a ON a.id = o.account_id"
NAME = "tenancy_lab"
NAMES = {role: f"{NAME}_{role}" for role in ("app", "admin", "readonly", "migrator")}


class Base(DeclarativeBase):
    """The laboratory."""


class Account(TenantScoped, Base):
    """By tenant, varchar; what others refer to carries the tenant."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "email"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    email: Mapped[str] = mapped_column(String(255))


class Order(TenantScoped, Base):
    """A child whose foreign key carries the tenant."""

    __tablename__ = "orders"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "account_id"], ["accounts.tenant_id", "accounts.id"], ondelete="CASCADE"
        ),
        Index("orders_account", "tenant_id", "account_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account_id: Mapped[int]
    note: Mapped[str] = mapped_column(server_default="")


class Reading(TenantScoped, Base):
    """A partitioned table."""

    __tablename__ = "readings"
    __table_args__ = {"postgresql_partition_by": "HASH (tenant_id)"}  # noqa: RUF012

    tenant_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Device(Base):
    """By tenant, uuid, with names that need quotes."""

    __tablename__ = "Devices of 100%"
    __table_args__ = (
        RowSecurity.by_tenant('of "tenant"'),
        Index("devices_tenant", 'of "tenant"', "n"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[uuid.UUID] = mapped_column('of "tenant"')
    n: Mapped[int] = mapped_column(server_default=text("0"))


class Member(Base):
    """Who is a member of what."""

    __tablename__ = "members"
    __table_args__ = (RowSecurity.by_user("user_id"),)

    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class Note(Base):
    """By membership, or by who wrote it."""

    __tablename__ = "notes"
    __table_args__ = (
        RowSecurity.by_lookup("workspace_id", "members", key="workspace_id", user="user_id").any_of(
            RowSecurity.by_user("author_id")
        ),
        Index("notes_workspace", "workspace_id"),
        Index("notes_author", "author_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    workspace_id: Mapped[uuid.UUID]
    author_id: Mapped[uuid.UUID | None]


def context(connection: Connection) -> MigrationContext:
    """Return Alembic's context as pgstead.app.migrations configures it."""
    return MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "autogenerate_plugins": [
                "alembic.autogenerate.*",
                policy_migrations.PLUGIN,
                views.PLUGIN,
            ],
            policy_operations.ROLES: NAMES,
        },
    )


def differences(connection: Connection, metadata: MetaData = Base.metadata) -> MigrationScript:
    """Return what autogenerate finds."""
    return produce_migrations(context(connection), metadata)


def code(script: MigrationScript) -> tuple[str, str]:
    """Return a script's two functions as they are written."""
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    return render_python_code(script.upgrade_ops), render_python_code(script.downgrade_ops)


def carry_out(connection: Connection, operations: Any) -> None:
    """Do what autogenerate found."""
    proxy = Operations(context(connection))
    for operation in operations.ops:
        inner = operation.ops if isinstance(operation, ModifyTableOps) else [operation]
        for one in inner:
            proxy.invoke(one)


class Plain(DeclarativeBase):
    """Models that leave doors open."""


class Parent(TenantScoped, Plain):
    """Its address is unique among all tenants, and nothing leads by the tenant."""

    __tablename__ = "parents"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)


class Child(TenantScoped, Plain):
    """Its foreign key may point anywhere."""

    __tablename__ = "children"
    __table_args__ = (Index("children_tenant", "tenant_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))
