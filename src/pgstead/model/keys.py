"""The keys of encrypted columns, as a resource of the stead."""

from __future__ import annotations

from dataclasses import dataclass

from pgstead.model.address import Capability, Kind, Resource


@dataclass(frozen=True, slots=True)
class KeyRing(Resource):
    """The keys of a database's encrypted columns. They never enter the model."""

    kind = Kind.KEY_RING
    capability = Capability.ENCRYPTION
    database: str
    mode: int  # 0o600
    lost: bool = False  # the file is gone, and values are stored that open with nothing else

    @property
    def key(self) -> str:
        return self.database
