"""What the manifest says of credentials: how old they may become, and who changes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pgstead.manifest import schedules
from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Duration, Switch

_DAY = 86_400.0


class Rotation(Part):
    """Passwords, certificates and keys are changed before they are too old (ROL-5, TLS-3)."""

    automatic: Switch = Field(
        default=True, description="The agent changes what is due; false: only `pgstead rotate`."
    )
    schedule: Annotated[str, AfterValidator(schedules.checked)] = Field(
        default="0 4 * * *", description="When passwords that are due are changed (cron, UTC)."
    )
    password_age: Annotated[Duration, Field(ge=60)] = Field(
        default=90 * _DAY, description="How old a password may become."
    )
    key_age: Annotated[Duration, Field(ge=60)] = Field(
        default=365 * _DAY, description="How old the key may become that columns are written with."
    )
    ca_window: Duration = Field(
        default=7 * _DAY,
        description="How long two CAs are trusted before the new one signs, and after.",
    )
    watch: Duration = Field(
        default=60.0, description="How long the agent looks who still comes with old passwords."
    )
