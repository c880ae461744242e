"""What the manifest says of auditing: whose statements, which tables' changes, how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Duration, Switch

Pattern = Annotated[str, Field(min_length=1, max_length=200)]


class Audit(Part):
    """Who did what, when, from where: one trail that nobody changes unseen (AUD-1, AUD-2)."""

    enabled: Switch | None = Field(
        default=None, description="Else on in staging and production, off elsewhere."
    )
    application: Literal["all", "writes", "ddl"] = Field(
        default="all", description="Which statements of application roles are recorded."
    )
    people: Literal["all", "writes", "ddl"] = Field(
        default="all", description="The same of the admin, migrator and read-only roles."
    )
    interval: Annotated[Duration, Field(ge=1, le=300)] = Field(
        default=5.0, description="How often the agent collects what was logged."
    )
    retention: Annotated[Duration, Field(ge=86_400)] = Field(
        default=31_536_000.0, description="How long the trail is kept; whole days."
    )


class AuditedClass(Part):
    """A class of tables: what is done to them is recorded, whoever of the roles does it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")] = Field(
        description='Its name, by which events are found: "personal".'
    )
    tables: Annotated[tuple[Pattern, ...], Field(min_length=1)] = Field(
        description="Its tables, with `*` for any letters."
    )
    record: Literal["all", "writes"] = Field(
        default="all", description="Reads and writes of them, or writes alone."
    )


class History(Part):
    """Changes of rows, kept by triggers in the database itself (AUD-1)."""

    tables: tuple[Pattern, ...] | None = Field(
        default=None,
        description="Tables, with `*` for any letters; else all where the stead is audited and the"
        " server has no pgaudit; [] for none.",
    )
    exclude: tuple[Pattern, ...] = Field(
        default=(), description="Tables of those that are left out, e.g. of high volume."
    )
    values: Switch = Field(
        default=False,
        description="Old and new values too, secrets masked; else the key and the columns' names.",
    )
    mask: tuple[Pattern, ...] = Field(
        default=(), description='Further columns never to be kept: "users.phone", "*.note".'
    )
    retention: Annotated[Duration, Field(ge=86_400)] = Field(
        default=7_776_000.0, description="How long changes are kept; whole months."
    )
