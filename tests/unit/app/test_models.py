"""What models of every application have in common."""

from __future__ import annotations

import time
import uuid
from enum import StrEnum

import pytest
from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped
from sqlalchemy.schema import CreateTable

from pgstead.app.identifiers import uuid7
from pgstead.app.models import (
    NAMING_CONVENTION,
    TYPES,
    JsonObject,
    Keyed,
    Stamped,
    one_of,
    status_column,
)
from pgstead.errors import UsageError


class State(StrEnum):
    """States of a row."""

    OPEN = "open"
    IN_WORK = "in_work"


class Base(DeclarativeBase):
    """The declarative root."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = dict(TYPES)  # noqa: RUF012 - SQLAlchemy's own


class Ticket(Keyed, Stamped, Base):
    """A row of every kind."""

    __tablename__ = "tickets"
    __table_args__ = (one_of("status", State),)

    status: Mapped[str] = status_column(State.OPEN)
    details: Mapped[JsonObject]


def test_keys_of_version_seven_sort_by_the_time_they_were_made() -> None:
    made: list[uuid.UUID] = []
    for _ in range(200):
        made.append(uuid7())
        until = time.monotonic_ns() + 1000
        while time.monotonic_ns() < until:
            pass
    assert made == sorted(made)
    assert {key.version for key in made} == {7}
    assert {key.variant for key in made} == {uuid.RFC_4122}
    assert len({uuid7() for _ in range(10_000)}) == 10_000


def test_a_key_tells_the_moment_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = uuid7().int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_a_model_gets_names_defaults_and_checks_from_the_mixins() -> None:
    ddl = str(CreateTable(Base.metadata.tables["tickets"]).compile(dialect=postgresql.dialect()))
    lines = [" ".join(line.strip(" \t,").split()) for line in ddl.splitlines()]
    assert [line for line in lines[2:] if line not in ("", ")")] == [
        "id UUID DEFAULT uuid_v7() NOT NULL",
        "status VARCHAR(50) DEFAULT 'open' NOT NULL",
        "details JSONB NOT NULL",
        "created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL",
        "updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL",
        "CONSTRAINT tickets_pkey PRIMARY KEY (id)",
        "CONSTRAINT tickets_status_check CHECK (status IN ('open', 'in_work'))",
    ]
    assert Ticket.__mapper__.version_id_col is Ticket.__table__.c.updated_at


def test_a_state_that_is_no_plain_word_is_refused() -> None:
    class Odd(StrEnum):
        QUOTE = "it's"

    with pytest.raises(UsageError):
        one_of("status", Odd)
    with pytest.raises(UsageError):
        status_column(Odd.QUOTE)
