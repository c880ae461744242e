"""What revisions are written with, beside Alembic's own operations.

Like the texts of `pgstead.app.ddl` these never change what they do: a migration that ran must mean
the same for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from pgstead.app import ddl, policies
from pgstead.app.policies import Names, PolicyError
from pgstead.app.policy_operations import (
    ROLES,
    create_policy,
    drop_policy,
    exactly,
    set_row_security,
)
from pgstead.model.personal import unmarked

_MOMENT = sa.DateTime(timezone=True)
_POLICY = "tenant_isolation_policy"


def column(
    name: str,
    kind: TypeEngine[Any],
    comment: str,
    default: str | None = None,
    *,
    nullable: bool = False,
) -> sa.Column[Any]:
    """Return a column with a comment; the default is SQL."""
    server_default = None if default is None else sa.text(default)
    return sa.Column(name, kind, server_default=server_default, nullable=nullable, comment=comment)


def key() -> sa.Column[Any]:
    """Return the column `id` of `pgstead.app.models`."""
    return column("id", sa.Uuid(), "UUID version 7: sorts by time of creation", "uuid_v7()")


def stamps() -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return the columns `created_at` and `updated_at` of `pgstead.app.models`."""
    return (
        column(
            "created_at", _MOMENT, "when the row was inserted; a trigger refuses changes", "now()"
        ),
        column(
            "updated_at",
            _MOMENT,
            "when the row was last changed; kept by a trigger, strictly increasing",
            "now()",
        ),
    )


def create_functions(*functions: ddl.Function) -> None:
    """Make functions, each with its comment."""
    for function in functions:
        for statement in function.create():
            op.execute(exactly(statement))


def drop_functions(*functions: ddl.Function) -> None:
    """Drop functions, the last one first."""
    for function in reversed(functions):
        op.execute(function.drop())


def keep_stamps(*tables: str) -> None:
    """Make the triggers that keep `updated_at` and protect `created_at`."""
    for table in tables:
        op.execute(ddl.protect(table, "created_at"))
        op.execute(ddl.touch(table))


def secure(
    table: str, rows: str, *, admins: Sequence[str] = ("admin",), check: str | None = None
) -> None:
    """Enable and force row-level security with the policies of `pgstead.app.tenancy`."""
    check = rows if check is None else check
    roles = ["app", "readonly"]
    set_row_security(table, enabled=True, forced=True)
    create_policy(_POLICY, table, roles=roles, using=rows, check=check)
    create_policy(f"{_POLICY}_floor", table, permissive=False, roles=roles, using=rows, check=check)
    create_policy(f"{_POLICY}_admin", table, roles=list(admins), using="true", check="true")


def open_again(table: str) -> None:
    """Undo `secure`: every role sees what its grants let it."""
    for ending in ("_admin", "_floor", ""):
        drop_policy(f"{_POLICY}{ending}", table)
    set_row_security(table, enabled=False, forced=False)


def classify(table: str, columns: Mapping[str, str], about: str = "") -> None:
    """Comment columns, and the table where `about` says something: classes end the comments.

    COMMENT lets everybody read and write meanwhile.
    """
    _comment("TABLE", policies.quoted(table), about)
    for name, text in columns.items():
        _comment("COLUMN", f"{policies.quoted(table)}.{policies.quoted(name)}", text)


def declassify(table: str, columns: Mapping[str, str], about: str = "") -> None:
    """Undo `classify`: the comments stay, without what ends them."""
    classify(table, {name: unmarked(text) for name, text in columns.items()}, unmarked(about))


def _comment(kind: str, name: str, text: str) -> None:
    if text:
        escaped = text.replace("'", "''")
        op.execute(exactly(f"COMMENT ON {kind} {name} IS '{escaped}'"))


def revoke(privileges: str, table: str, *purposes: str) -> None:
    """Take privileges back that default privileges gave to roles, named by what they are for."""
    names: Names = op.get_context().opts.get(ROLES) or {}
    for purpose in purposes:
        if purpose not in names:
            raise PolicyError(
                f"it is not known what the role for {purpose!r} is called here",
                hint="name a connection file in PGSTEAD_CONNECTION",
            )
        role = policies.quoted(names[purpose])
        op.execute(exactly(f"REVOKE {privileges} ON {policies.quoted(table)} FROM {role}"))
