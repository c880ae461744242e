"""What the manifest says of alerts: who is told, how often, and what is otherwise than usual."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Duration, Switch

TargetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class AlertTarget(Part):
    """Somebody who is told."""

    name: TargetName = Field(description="What `pgstead alerts` calls it.")
    url_file: Annotated[str, Field(min_length=1)] = Field(
        description="File with its Apprise URL, beside the manifest; it holds a secret."
    )


class RuleEntry(Part):
    """What one rule has otherwise than the table says."""

    after: Annotated[Duration, Field(ge=0, le=604_800)] | None = Field(
        default=None, description="How long it has to be true until it fires."
    )


class Alerts(Part):
    """Rules that are evaluated by the agent, and who is told what fires (TEL-3)."""

    enabled: Switch = Field(default=True, description="False: the agent evaluates no rule.")
    targets_file: str = Field(
        default="", description="File of Apprise URLs, `name = url` a line, beside the manifest."
    )
    targets: tuple[AlertTarget, ...] = Field(
        default=(), description="The same, each in a file of its own."
    )
    repeat: Annotated[Duration, Field(ge=1)] = Field(
        default=14_400.0, description="After this, what still fires is told again."
    )
    heartbeat_file: str = Field(
        default="", description="File with the URL of a dead-man's switch, asked while all is well."
    )
    heartbeat: Annotated[Duration, Field(ge=1, le=86_400)] = Field(
        default=60.0, description="How often it is asked."
    )
    rules: dict[str, RuleEntry] = Field(
        default_factory=dict, description="By the names of docs/reference/alerts.md."
    )
