"""Retention: rows older than `retention_rules` allows go, in small batches (OPS-2).

    python -m systems.ai_agents.retention

Runs as the administrator, whom a policy of their own lets see the rows of all tenants (TEN-7).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from pgstead.app.engine import Database
from pgstead.app.environment import process_environment, settings
from pgstead.app.rows import Row
from pgstead.app.target import Target
from pgstead.errors import UsageError
from systems.ai_agents.models import Base, RetentionRule


def run(connection: Path | None = None) -> Mapping[str, int]:
    """Delete what is too old; return how many rows of each table that was."""
    known = settings("ai_agents", "AI_AGENTS_", environ=process_environment(connection))
    if known.file is None:
        raise UsageError(
            "retention runs as the administrator, whom no connection file names",
            hint="run `pgstead up`, or set PGSTEAD_CONNECTION",
        )
    target = Target.from_file(known.file, role="admin", door="direct")

    async def whole() -> Mapping[str, int]:
        database = Database(
            replace(known, target=target), metadata=Base.metadata, program="retention"
        )
        try:
            return await _all(database)
        finally:
            await database.close()

    return asyncio.run(whole())


async def _all(database: Database) -> Mapping[str, int]:
    async with database.session(across_tenants=True) as session:
        rules = (await session.scalars(select(RetentionRule))).all()
    models = {mapper.class_.__tablename__: mapper.class_ for mapper in Base.registry.mappers}
    done: Counter[str] = Counter()
    for rule in rules:
        model = models.get(rule.relation)
        if model is None or rule.age_column not in model.__table__.columns:
            raise UsageError(
                f"retention_rules names {rule.relation}.{rule.age_column}, which is not there",
                hint="correct the row, or delete it",
            )
        while True:
            async with database.session(across_tenants=True) as session:
                gone = await _batch(session, model, rule)
            done[rule.relation] += gone
            if gone < rule.batch_size:
                break
    return done


async def _batch(session: AsyncSession, model: type[Row], rule: RetentionRule) -> int:
    """Delete one batch; rows that somebody else works on are left for the next run."""
    age: Any = inspect(model).columns[rule.age_column]
    old = (
        select(model.id)
        .where(age < func.now() - rule.keep_for)
        .order_by(age)
        .limit(rule.batch_size)
        .with_for_update(skip_locked=True)
    )
    gone = await session.scalars(delete(model).where(model.id.in_(old)).returning(model.id))
    return len(gone.all())


if __name__ == "__main__":
    for table, rows in run().items():
        print(f"{table}: {rows} rows deleted")  # noqa: T201 - a command
