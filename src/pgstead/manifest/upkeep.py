"""What the manifest says of upkeep: when, how gently, and from which waste on."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pgstead.manifest import schedules
from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Duration, Size, Switch, Whole

Ratio = Annotated[float, Field(gt=0, lt=1)]


class Upkeep(Part):
    """Tables and indexes are kept fit in windows, gently, one at a time (OPS-1, OPS-8)."""

    enabled: Switch = Field(
        default=True, description="The agent does it; false: only `pgstead upkeep run`."
    )
    schedule: Annotated[str, AfterValidator(schedules.checked)] = Field(
        default="30 0 * * *", description="When a window opens (cron, UTC)."
    )
    window: Annotated[Duration, Field(ge=1)] = Field(
        default=3600.0, description="How long it is open; nothing is begun or goes on after."
    )
    lock_timeout: Annotated[Duration, Field(ge=0.1, le=60)] = Field(
        default=2.0, description="Waiting for a lock; then the next window tries again."
    )
    yields_after: Annotated[Duration, Field(ge=0.1)] = Field(
        default=1.0, description="How long others may wait for a lock of upkeep before it stops."
    )
    sessions: Annotated[Whole, Field(ge=1)] | None = Field(
        default=None, description="Active sessions from which on it waits; else 4 for each CPU."
    )
    latency: Annotated[Duration, Field(gt=0)] = Field(
        default=0.25, description="Of a question that needs no table, from which on it waits."
    )
    cost_delay: Annotated[Duration, Field(ge=0, le=0.1)] = Field(
        default=0.002, description="vacuum_cost_delay of VACUUM and ANALYZE."
    )
    cost_limit: Annotated[Whole, Field(ge=1, le=10000)] = Field(
        default=200, description="vacuum_cost_limit of VACUUM and ANALYZE."
    )
    dead: Ratio = Field(default=0.1, description="Share of dead rows that asks for VACUUM.")
    changed: Ratio = Field(default=0.1, description="Share of changed rows that asks for ANALYZE.")
    bloat: Ratio = Field(
        default=0.4, description="Share of an index or table that holds nothing: it is made anew."
    )
    smallest: Size = Field(
        default=8 * 1024**2, description="Waste below which nothing is made anew."
    )
    freeze_age: Ratio = Field(
        default=0.6, description="Share of autovacuum_freeze_max_age at which rows are frozen."
    )
    reset_age: Duration = Field(
        default=90 * 86_400.0,
        description='After which pg_stat_statements counts from 0 again; "0s": never.',
    )
    room: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.05, description="Share of the file system that an index made anew leaves free."
    )
