"""Object auditing as a resource."""

from __future__ import annotations

from dataclasses import dataclass

from pgstead.model.address import Capability, Kind, Resource


@dataclass(frozen=True, slots=True)
class AuditedTables(Resource):
    """What pgaudit's role was granted on the tables of audited classes (object auditing)."""

    kind = Kind.AUDITED_TABLES
    capability = Capability.AUDIT
    database: str
    ungranted: tuple[str, ...] = ()  # tables that it ought to have other privileges on
    surplus: tuple[str, ...] = ()  # tables that it ought to have none on

    @property
    def key(self) -> str:
        return self.database
