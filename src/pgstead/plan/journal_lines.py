"""What pgstead itself did, from its journal: `up` hides its statements for the secrets in them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pgstead.model import address
from pgstead.model.audit import Event, Kind, Place

_KINDS: Mapping[str, Kind] = MappingProxyType({
    address.Kind.ROLE: Kind.ROLE,
    address.Kind.MEMBERSHIP: Kind.ROLE,
    address.Kind.ROLE_SETTING: Kind.ROLE,
    address.Kind.DEFAULT_PRIVILEGE: Kind.ROLE,
    address.Kind.GRANT: Kind.ROLE,
    address.Kind.DATABASE: Kind.DDL,
    address.Kind.SCHEMA: Kind.DDL,
    address.Kind.EXTENSION: Kind.DDL,
    address.Kind.ROUTINE: Kind.DDL,
    address.Kind.CHANGE_HISTORY: Kind.DDL,
    address.Kind.AUDITED_TABLES: Kind.ROLE,
    address.Kind.SETTING: Kind.DDL,
    address.Kind.OVERRIDE: Kind.DDL,
})  # fmt: skip


def operation(told: Mapping[str, Any], source: Place) -> Event | None:
    """Return the event of a line, None where nothing of the server was changed."""
    where = str(told.get("at", ""))
    kind = _KINDS.get(where.partition(":")[0])
    if told.get("event") != "done" or kind is None:
        return None
    return Event(
        at=str(told.get("time", "")),
        kind=kind,
        role="postgres",
        application="pgstead",
        client="socket",
        user=str(told.get("user", "")),
        what=f"{told.get('operation', '')} {where}",
        objects=(where.partition(":")[2],),
        source=source,
    )
