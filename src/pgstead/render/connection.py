"""The connection file of a database: all that an application must know, and no secret."""

from __future__ import annotations

import json
from dataclasses import asdict

from pgstead.model.design import DatabasePlan, Design


def text(design: Design, database: DatabasePlan) -> str:
    """Return the JSON that `pgstead.app` and Alembic read."""
    roles = {
        "app": database.app,
        "migrator": database.migrator,
        "admin": database.admin,
        "readonly": database.readonly,
        "monitor": design.monitor_role,
    }
    told = {
        "version": 1,
        "stead": design.name,
        "environment": design.environment.value,
        "database": database.name,
        "prefix": database.prefix,
        "server": {"major": design.build.major},
        "doors": {name: _door(design, name) for name in ("direct", "pooler")},
        "ca": str(design.layout.ca),
        "sslmode": "verify-full",
        "roles": {
            role: {"user": user, "passfile": str(design.layout.passfile(user))}
            for role, user in roles.items()
        },
        "pooler": _pooler(design),
        "pool": {
            "size": database.pool_size,
            "max_overflow": database.max_overflow,
            "timeout": database.pool_timeout,
            "recycle": database.pool_recycle,
        },
        "heads": list(database.heads),
        "telemetry": _telemetry(design),
    }
    return json.dumps(told, indent=2, sort_keys=True) + "\n"


def _door(design: Design, name: str) -> dict[str, object] | None:
    door = design.door(name)
    return None if door is None else {"host": door.hosts[0], "port": door.port}


def _pooler(design: Design) -> dict[str, object] | None:
    if design.pooler is None:
        return None
    return {"version": design.pooler.text, "prepared_statements": design.pooler.prepares}


def _telemetry(design: Design) -> dict[str, object] | None:
    plan = design.telemetry
    if plan is None:
        return None
    exporter = plan.exporter
    return {
        "samples": plan.samples,
        "interval": plan.interval,
        "networks": list(plan.networks),
        "otlp": None if exporter is None else asdict(exporter),
    }
