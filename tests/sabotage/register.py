"""All sabotages."""

from __future__ import annotations

from tests.sabotage import (
    on_alerts,
    on_at_rest,
    on_audit,
    on_backups,
    on_care,
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
    on_upkeep,
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
    on_at_rest,
    on_backups,
    on_telemetry,
    on_alerts,
    on_mirror,
    on_upgrades,
    on_hosts,
    on_audit,
    on_rotation,
    on_upkeep,
    on_care,
    on_personal,
)


def sabotages() -> tuple[Sabotage, ...]:
    """Return every sabotage, those that need no restart first."""
    return tuple(s for module in MODULES for s in module.SABOTAGES)
