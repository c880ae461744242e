"""Changes of tables that are in use, cut into stages that block nobody; for revisions.

    from pgstead.app import staged

    def upgrade():
        staged.add_not_null("item", "name")

Each commits between its stages. `pgstead migrate up` (and plain Alembic, by `migrations.run()`)
notes each stage in the transaction that commits it, so a run that was killed goes on behind it.
What it does never changes: a migration that ran must mean the same for ever.
"""

from __future__ import annotations

from pgstead.app.staged.backfilling import backfill
from pgstead.app.staged.constraints import (
    add_check,
    add_foreign_key,
    add_not_null,
    add_unique,
    drop_check,
    drop_foreign_key,
    drop_not_null,
    drop_unique,
)
from pgstead.app.staged.expansion import contract, expand, undo_contract, undo_expand
from pgstead.app.staged.forced import every_row
from pgstead.app.staged.indexes import create_index, drop_index
from pgstead.app.staged.pace import Pace
from pgstead.app.staged.partitioning import partition, undo_partition
from pgstead.app.staged.replacement import Replacement
from pgstead.app.staged.stages import StagedError, ViolatedError

__all__ = [
    "Pace",
    "Replacement",
    "StagedError",
    "ViolatedError",
    "add_check",
    "add_foreign_key",
    "add_not_null",
    "add_unique",
    "backfill",
    "contract",
    "create_index",
    "drop_check",
    "drop_foreign_key",
    "drop_index",
    "drop_not_null",
    "drop_unique",
    "every_row",
    "expand",
    "partition",
    "undo_contract",
    "undo_expand",
    "undo_partition",
]
