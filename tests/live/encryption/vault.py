"""An application with encrypted columns: one table with a tenant, one without, one it cannot be."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import BigInteger, Identity, MetaData, String, Text, UniqueConstraint, Uuid, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgstead.app.encryption import (
    Encrypted,
    blind_index_column,
    encrypted_column,
    sealed_check,
)
from pgstead.app.models import NAMING_CONVENTION


class Base(DeclarativeBase):
    """The declarative root of the vault."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Account(Base):
    """A row of a tenant, with a secret of every kind."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "email_index"),
        sealed_check("api_key", textual=True),
        sealed_check("pin"),
    )

    id: Mapped[uuid.UUID] = mapped_column(
        Uuid(), primary_key=True, server_default=text("gen_random_uuid()")
    )
    tenant_id: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(Text(), server_default=text("''"))
    api_key: Mapped[Encrypted[str]] = encrypted_column(str, stored=Text())
    other_key: Mapped[Encrypted[str] | None] = encrypted_column(str, stored=String(255))
    pin: Mapped[Encrypted[bytes] | None] = encrypted_column(bytes)
    profile: Mapped[Encrypted[dict[str, Any]] | None] = encrypted_column(dict)
    email: Mapped[Encrypted[str] | None] = encrypted_column(str, blind_index="email_index")
    email_index: Mapped[bytes | None] = blind_index_column()


class Copy(Base):
    """A table of the same form, to move ciphertexts to."""

    __tablename__ = "copies"

    id: Mapped[uuid.UUID] = mapped_column(Uuid(), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(100))
    api_key: Mapped[Encrypted[str]] = encrypted_column(str, stored=Text())


class Person(Base):
    """A row without tenant."""

    __tablename__ = "people"

    id: Mapped[uuid.UUID] = mapped_column(Uuid(), primary_key=True)
    # the attribute has another name than its column
    hidden: Mapped[Encrypted[str] | None] = encrypted_column(str, stored=String(255), name="secret")


class Filled(Base):
    """A row whose tenant the server fills in, from the setting of the transaction."""

    __tablename__ = "filled"

    id: Mapped[uuid.UUID] = mapped_column(Uuid(), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(
        String(100), server_default=text("current_setting('app.current_tenant_id', true)")
    )
    secret: Mapped[Encrypted[str]] = encrypted_column(str)


class Numbered(Base):
    """A row whose key the server makes: nothing can be bound to it before it is there."""

    __tablename__ = "numbered"

    id: Mapped[int] = mapped_column(BigInteger(), Identity(), primary_key=True)
    secret: Mapped[Encrypted[str] | None] = encrypted_column(str)
