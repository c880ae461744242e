"""What goes in and out over HTTP. Unknown fields are refused: a misspelt one changes nothing."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from pgstead.app.shapes import Moment
from systems.jeex_idea.models import ExecutionStatus, ExportStatus, ProjectStatus

LONGEST_LIST = 100


def _without_nul(value: Any) -> Any:
    """Refuse what PostgreSQL cannot store, at any depth, before a driver does in its own words."""
    open_ends: list[Any] = [value]
    while open_ends:
        item = open_ends.pop()
        if isinstance(item, str) and "\x00" in item:
            raise ValueError("the character U+0000 cannot be stored")
        if isinstance(item, dict):
            open_ends.extend(cast("dict[Any, Any]", item).keys())
            open_ends.extend(cast("dict[Any, Any]", item).values())
        elif isinstance(item, list):
            open_ends.extend(cast("list[Any]", item))
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def _left_out() -> Any:
    """Stand for a field that was not sent: the schema shows no default, and null is refused."""
    return None


Text = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    AfterValidator(_without_nul),
    AfterValidator(_not_blank),
]
Kind = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,49}$")]
Email = Annotated[
    str, StringConstraints(min_length=3, max_length=254), AfterValidator(_without_nul)
]
Language = Annotated[
    str,
    StringConstraints(
        max_length=10, pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$"
    ),
]
Json = Annotated[dict[str, Any], AfterValidator(_without_nul)]
Step = Annotated[int, Field(ge=1, le=4)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_enum_values=True)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    created_at: dt.datetime
    updated_at: dt.datetime


class UserCreate(_In):
    """A new person."""

    email: Email
    name: Name
    profile_data: Json = {}


class UserChange(_In):
    """What may be changed of a person; what is left out stays."""

    email: Email = Field(default_factory=_left_out)
    name: Name = Field(default_factory=_left_out)
    profile_data: Json = Field(default_factory=_left_out)
    last_login_at: Moment | None = None


class UserRead(_Out):
    """A person."""

    email: str
    name: str
    profile_data: dict[str, Any]
    last_login_at: dt.datetime | None


class ProjectCreate(_In):
    """A new project. Its language stays for good."""

    name: Name
    created_by: uuid.UUID
    language: Language = "en"
    status: ProjectStatus = ProjectStatus.DRAFT
    current_step: Step = 1


class ProjectChange(_In):
    """What may be changed of a project; what is left out stays."""

    name: Name = Field(default_factory=_left_out)
    status: ProjectStatus = Field(default_factory=_left_out)
    current_step: Step = Field(default_factory=_left_out)


class ProjectRead(_Out):
    """A project."""

    name: str
    status: str
    current_step: int
    language: str
    created_by: uuid.UUID


class DocumentCreate(_In):
    """A new version of a document; its number is given by the service."""

    document_type: Kind
    content: Text
    metadata: Json = {}
    created_by: uuid.UUID


class DocumentChange(_In):
    """What may be changed of a version; what is left out stays."""

    content: Text = Field(default_factory=_left_out)
    metadata: Json = Field(default_factory=_left_out)


class DocumentRead(_Out):
    """A version of a document."""

    project_id: uuid.UUID
    document_type: str
    version: int
    content: str
    metadata: dict[str, Any] = Field(validation_alias="details")
    created_by: uuid.UUID


class ExecutionCreate(_In):
    """A new run of an agent."""

    agent_type: Kind
    correlation_id: uuid.UUID | None = Field(
        default=None, description="default: the correlation id of the request"
    )
    input_data: Json | None = None
    status: ExecutionStatus = ExecutionStatus.PENDING


class ExecutionChange(_In):
    """What may be changed of a run; what is left out stays."""

    status: ExecutionStatus = Field(default_factory=_left_out)
    output_data: Json | None = None
    error_message: Text | None = None
    completed_at: Moment | None = Field(
        default=None, description="default: now, when the status says that it ended"
    )


class ExecutionRead(_Out):
    """A run of an agent."""

    project_id: uuid.UUID
    agent_type: str
    correlation_id: uuid.UUID
    input_data: dict[str, Any] | None
    output_data: dict[str, Any] | None
    status: str
    error_message: str | None
    started_at: dt.datetime
    completed_at: dt.datetime | None


class ExportCreate(_In):
    """A new export; it expires after a day unless told otherwise."""

    status: ExportStatus = ExportStatus.PENDING
    file_path: Text | None = None
    manifest: Json = {}
    expires_at: Moment | None = None


class ExportChange(_In):
    """What may be changed of an export; what is left out stays."""

    status: ExportStatus = Field(default_factory=_left_out)
    file_path: Text | None = None
    manifest: Json = Field(default_factory=_left_out)
    expires_at: Moment = Field(default_factory=_left_out)


class ExportRead(_Out):
    """An export."""

    project_id: uuid.UUID
    status: str
    file_path: str | None
    manifest: dict[str, Any]
    expires_at: dt.datetime


class Page(BaseModel):
    """A part of a list, with the number of all."""

    total: int
    page: int
    per_page: int
    total_pages: int


class Users(Page):
    """A page of people."""

    users: list[UserRead]


class Projects(Page):
    """A page of projects."""

    projects: list[ProjectRead]


class Documents(Page):
    """A page of versions."""

    documents: list[DocumentRead]


class Executions(Page):
    """A page of runs."""

    executions: list[ExecutionRead]


class Exports(Page):
    """A page of exports."""

    exports: list[ExportRead]
