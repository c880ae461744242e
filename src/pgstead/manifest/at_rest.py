"""What the manifest demands of the devices that data lies on."""

from __future__ import annotations

from pydantic import Field

from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Switch


class AtRest(Part):
    """What must lie on encrypted devices; it is looked at and reported in any case (ENC-4)."""

    data: Switch = Field(
        default=False,
        description="Data, WAL, temporary files, logs and swap must: else ENC-006 is broken.",
    )
    backups: Switch = Field(
        default=False, description="The backups must, beside their own encryption: ENC-007."
    )
