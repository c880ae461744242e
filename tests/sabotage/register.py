"""All sabotages."""

from __future__ import annotations

from tests.sabotage import (
    on_alerts,
    on_audit,
    on_backups,
    on_databases,
    on_encryption,
    on_hosts,
    on_migrations,
    on_mirror,
    on_personal,
    on_pooler,
    on_roles,
    on_rotation,
    on_server,
    on_telemetry,
    on_tenancy,
    on_upgrades,
)
from tests.sabotage.damage import Sabotage

MODULES = (
    on_server,
    on_roles,
    on_databases,
    on_migrations,
    on_pooler,
    on_tenancy,
    on_encryption,
    on_backups,
    on_telemetry,
    on_alerts,
    on_mirror,
    on_upgrades,
    on_hosts,
    on_audit,
    on_rotation,
    on_personal,
)


def sabotages() -> tuple[Sabotage, ...]:
    """Return every sabotage, those that need no restart first."""
    return tuple(s for module in MODULES for s in module.SABOTAGES)
