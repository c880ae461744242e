"""The plugin of Alembic's autogenerate for columns that are being replaced.

Between expand and contract the database has both columns, the models of a release one of them.
That is meant: autogenerate does not ask to drop the other one, nor for the default that the new
one gets when the old one goes. The arguments of the trigger say which columns these are.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Final

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AlterColumnOp,
    DropColumnOp,
    MigrateOperation,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import text

from pgstead.app.staged.replacement import PREFIX

PLUGIN: Final = "pgstead.staged"

_log = logging.getLogger("alembic.pgstead")

_REPLACED = text(
    """
    SELECT c.relname::text AS table, n.nspname::text AS schema, t.tgargs AS columns
    FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND starts_with(t.tgname::text, :prefix)
    """
)

Column = tuple[str, str, str]  # schema, table, column


def setup(plugin: Plugin) -> None:
    """Register the comparison; Alembic calls this."""
    plugin.add_autogenerate_comparator(
        _compare, "schema", qualifier="postgresql", priority=DispatchPriority.LAST
    )


def _compare(
    context: AutogenContext, upgrade: UpgradeOps, _schemas: Iterable[str | None]
) -> PriorityDispatchResult:
    connection = context.connection
    assert connection is not None
    default = str(connection.dialect.default_schema_name)
    replaced: set[Column] = set()
    for row in connection.execute(_REPLACED, {"prefix": PREFIX}):
        # arguments of a trigger end with a zero byte each
        names = bytes(row.columns).decode().split("\0")[:-1]
        replaced |= {(str(row.schema), str(row.table), name) for name in names}
    if not replaced:
        return PriorityDispatchResult.CONTINUE
    for change in [op for op in upgrade.ops if isinstance(op, ModifyTableOps)]:
        table = (change.schema or default, change.table_name)
        change.ops = [op for op in change.ops if not _meant(op, table, replaced)]
        if not change.ops:
            upgrade.ops.remove(change)
    return PriorityDispatchResult.CONTINUE


def _meant(operation: MigrateOperation, table: tuple[str, str], replaced: set[Column]) -> bool:
    """Say whether a difference is there because a column is being replaced."""
    if isinstance(operation, DropColumnOp):
        name = operation.column_name
        if (*table, name) in replaced:
            _log.info("%s.%s is being replaced: contract drops it", table[1], name)
            return True
        return False
    if isinstance(operation, AlterColumnOp) and (*table, operation.column_name) in replaced:
        operation.modify_server_default = False
        return not operation.has_changes()
    return False


Plugin.setup_plugin_from_module(sys.modules[__name__], PLUGIN)
