"""The functions and triggers that `Keyed` and `Stamped` need, written by autogenerate.

A column says in its `info` what the database must have for it. What is there already is left
alone, whoever made it; nothing is dropped but on the way back.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import UpgradeOps
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Connection, MetaData, text

from pgstead.app import ddl
from pgstead.app.models import KEPT
from pgstead.app.policy_operations import exactly

PLUGIN: Final = "pgstead.rows"

_log = logging.getLogger("alembic.pgstead")

_FUNCTIONS: Final = MappingProxyType(
    {
        "key": ("UUID_V7", ddl.UUID_V7),
        "touch": ("TOUCH_UPDATED_AT", ddl.TOUCH_UPDATED_AT),
        "protect": ("REFUSE_CHANGE", ddl.REFUSE_CHANGE),
    }
)
_FOUND = text(
    """
    SELECT c.relname || '.' || t.tgname
    FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace
    """
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger that keeps a column of a table."""

    kind: str  # touch, protect
    table: str
    column: str

    @property
    def name(self) -> str:
        """What `pgstead.app.ddl` calls it."""
        kept = "touch_updated_at" if self.kind == "touch" else f"{self.column}_immutable"
        return f"{self.table}_{kept}"

    @property
    def call(self) -> str:
        """What makes it, as Python."""
        if self.kind == "touch":
            return f"ddl.touch({self.table!r})"
        return f"ddl.protect({self.table!r}, {self.column!r})"

    @property
    def statement(self) -> str:
        """What makes it, as SQL."""
        return (
            ddl.touch(self.table) if self.kind == "touch" else ddl.protect(self.table, self.column)
        )


class MakeFunctionOp(MigrateOperation):
    """Make a function of `pgstead.app.ddl`, or drop it."""

    def __init__(self, kind: str, *, drop: bool = False) -> None:
        """Keep what it is for."""
        self.kind = kind
        self.drop = drop

    def reverse(self) -> MakeFunctionOp:
        """Return what leads back."""
        return MakeFunctionOp(self.kind, drop=not self.drop)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` prints."""
        return ("drop_function" if self.drop else "create_function", _FUNCTIONS[self.kind][0])


class MakeTriggerOp(MigrateOperation):
    """Make a trigger that keeps a column, or drop it."""

    def __init__(self, trigger: Trigger, *, drop: bool = False) -> None:
        """Keep the trigger."""
        self.trigger = trigger
        self.drop = drop

    def reverse(self) -> MakeTriggerOp:
        """Return what leads back."""
        return MakeTriggerOp(self.trigger, drop=not self.drop)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` prints."""
        return ("drop_trigger" if self.drop else "create_trigger", self.trigger.name)


@Operations.implementation_for(MakeFunctionOp)
def _function(operations: Operations, operation: MakeFunctionOp) -> None:
    function = _FUNCTIONS[operation.kind][1]
    for statement in [function.drop()] if operation.drop else function.create():
        operations.execute(exactly(statement))


@Operations.implementation_for(MakeTriggerOp)
def _trigger(operations: Operations, operation: MakeTriggerOp) -> None:
    trigger = operation.trigger
    drop = ddl.drop_trigger(trigger.table, trigger.name)
    operations.execute(drop if operation.drop else trigger.statement)


@renderers.dispatch_for(MakeFunctionOp)
def _render_function(context: AutogenContext, operation: MakeFunctionOp) -> str:
    word = "drop_functions" if operation.drop else "create_functions"
    context.imports |= {"from pgstead.app import ddl", f"from pgstead.app.revisions import {word}"}
    return f"{word}(ddl.{_FUNCTIONS[operation.kind][0]})"


@renderers.dispatch_for(MakeTriggerOp)
def _render_trigger(context: AutogenContext, operation: MakeTriggerOp) -> str:
    context.imports.add("from pgstead.app import ddl")
    trigger = operation.trigger
    drop = f"ddl.drop_trigger({trigger.table!r}, {trigger.name!r})"
    return f"op.execute({drop if operation.drop else trigger.call})"


def setup(plugin: Plugin) -> None:
    """Register the comparison; Alembic calls this."""
    plugin.add_autogenerate_comparator(
        _compare, "schema", qualifier="postgresql", priority=DispatchPriority.LAST
    )


def _compare(
    context: AutogenContext, upgrade: UpgradeOps, _schemas: Iterable[str | None]
) -> PriorityDispatchResult:
    connection, metadata = context.connection, context.metadata
    assert connection is not None
    assert isinstance(metadata, MetaData)
    wanted = list(_wanted(metadata))
    found = _found(connection)
    kinds = [kind for kind in _FUNCTIONS if any(kind == k for k, _ in wanted)]
    functions = [k for k in kinds if _FUNCTIONS[k][1].signature not in found]
    triggers = [t for _, t in wanted if t is not None and f"{t.table}.{t.name}" not in found]
    for name in (*(_FUNCTIONS[k][1].signature for k in functions), *(t.name for t in triggers)):
        _log.info("detected that %s is missing", name)
    # defaults of columns call the functions; triggers come when their tables are there
    upgrade.ops[:0] = [MakeFunctionOp(kind) for kind in functions]
    upgrade.ops.extend(MakeTriggerOp(trigger) for trigger in triggers)
    return PriorityDispatchResult.CONTINUE


def _wanted(metadata: MetaData) -> Iterator[tuple[str, Trigger | None]]:
    """Yield what the columns need: the function that serves them, and their trigger."""
    for table in metadata.sorted_tables:
        for column in table.columns if table.schema in (None, "public") else ():
            if (kind := column.info.get(KEPT)) is not None:
                yield kind, None if kind == "key" else Trigger(kind, table.name, column.name)


def _found(connection: Connection) -> set[str]:
    return {str(name) for name in connection.scalars(_FOUND)}


Plugin.setup_plugin_from_module(sys.modules[__name__], PLUGIN)
