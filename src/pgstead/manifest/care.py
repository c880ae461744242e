"""What the manifest says of the care for data: when the agent removes, rolls over and looks."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pgstead.manifest import schedules
from pgstead.manifest.part import Part


def _checked(text: str) -> str:
    return schedules.checked(text) if text else text


Night = Annotated[str, AfterValidator(_checked)]


class Care(Part):
    """Retention, partitions and integrity, as the models declare them (OPS-2, OPS-3, OPS-7)."""

    retention: Night = Field(
        default="20 1 * * *",
        description="When rows that are too old are removed (cron, UTC); empty: by command only.",
    )
    partitions: Night = Field(
        default="5 0 * * *",
        description="When partitions are made ahead and old ones dropped; empty: by command only.",
    )
    integrity: Night = Field(
        default="30 5 * * 0",
        description="When data is looked at whether it is whole; empty: by command only.",
    )
