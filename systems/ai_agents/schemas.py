"""What comes in over HTTP. What goes out follows the tables (`pgstead.app.shapes`)."""

from __future__ import annotations

import uuid
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, IPvAnyAddress, Strict
from pydantic import StringConstraints as Length

from pgstead.app.shapes import Flag, In, Json, Moment, Name, Text, TextOnly, left_out
from systems.ai_agents.models import LONGEST_TEXT, SLUG, EnhancementStatus, TicketPriority

Slug = Annotated[str, Length(pattern=SLUG)]
TicketId = Annotated[Text, Length(min_length=1, max_length=100)]
Short = Annotated[Text, Length(max_length=255)]
Long = Annotated[Text, Length(max_length=LONGEST_TEXT)]
Secret = Annotated[Text, Length(min_length=1, max_length=4096)]
Url = Annotated[Text, Length(max_length=500, pattern=r"^https?://[!-~]+$")]
Address = Annotated[IPvAnyAddress, TextOnly, AfterValidator(str)]
Milliseconds = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]


class TenantCreate(In):
    """A new tenant."""

    tenant_id: Slug
    name: Name
    servicedesk_url: Url
    servicedesk_api_key: Secret = Field(description="kept encrypted, never shown")
    webhook_signing_secret: Secret = Field(description="kept encrypted, never shown")
    enhancement_preferences: Json = Field(default_factory=left_out)
    is_active: Flag = Field(default_factory=left_out)


class OwnTenantChange(In):
    """What a tenant may change of their own configuration; what is left out stays."""

    name: Name = Field(default_factory=left_out)
    servicedesk_url: Url = Field(default_factory=left_out)
    servicedesk_api_key: Secret = Field(default_factory=left_out)
    webhook_signing_secret: Secret = Field(default_factory=left_out)
    enhancement_preferences: Json = Field(default_factory=left_out)


class KeyCreate(In):
    """A new API key."""

    name: Name
    expires_at: Moment | None = None


class KeyChange(In):
    """What may be changed of a key; what is left out stays."""

    name: Name = Field(default_factory=left_out)
    expires_at: Moment | None = None
    revoked_at: Moment | None = None


class KeyMade(BaseModel):
    """A key, shown this once."""

    id: uuid.UUID
    name: str
    key: str = Field(description="send it as Authorization: Bearer; it cannot be shown again")


class EnhancementCreate(In):
    """A new enhancement."""

    ticket_id: TicketId
    status: EnhancementStatus = Field(default_factory=left_out)
    context_gathered: Json | None = None
    llm_output: Text | None = None
    error_message: Text | None = None
    processing_time_ms: Milliseconds | None = None
    completed_at: Moment | None = None


class TicketCreate(In):
    """A ticket of the past."""

    ticket_id: TicketId
    description: Long
    subject: Short | None = None
    resolution: Long | None = None
    resolved_date: Moment | None = None
    priority: TicketPriority | None = None
    tags: list[Short] = Field(default_factory=left_out, max_length=100)
    source: Annotated[Text, Length(max_length=50)] = Field(default_factory=left_out)


class SystemCreate(In):
    """A system."""

    ip_address: Address
    hostname: Name
    role: Annotated[Text, Length(max_length=100)] | None = None
    client: Short | None = None
    location: Short | None = None


class RetentionChange(In):
    """How long rows are kept."""

    keep_days: Annotated[int, Strict(), Field(ge=1, le=36_500)] = Field(default_factory=left_out)


class RetentionRead(BaseModel):
    """How long rows are kept."""

    relation: str
    keep_days: int
