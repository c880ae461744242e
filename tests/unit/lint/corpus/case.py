"""One rule, one migration that it must catch, one near miss that it must leave alone.

A body is the content of `upgrade()`, item by item: Python where it begins with `op.` or `with`,
else SQL for `op.execute`. Every case stands on the tables of BEFORE and on its own `before`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

Body = tuple[str, ...]

BEFORE: Body = (
    (
        "CREATE TABLE account (id bigint PRIMARY KEY, name varchar(50), bar integer, note text,"
        " amount numeric(10,2), email varchar(100) NOT NULL)"
    ),
    "CREATE TABLE invoice (id bigint PRIMARY KEY, account_id bigint, state text, period tstzrange)",
    "CREATE INDEX ix_invoice_account_id ON invoice (account_id)",
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
)
DOCUMENT: Body = (  # a table that row-level security binds
    "CREATE TABLE document (id uuid PRIMARY KEY, tenant_id text NOT NULL, title text)",
    "CREATE INDEX ix_document_tenant ON document (tenant_id, id)",
    "ALTER TABLE document ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE document FORCE ROW LEVEL SECURITY",
    "CREATE POLICY rows ON document TO shop_app USING (tenant_id = current_setting('app.tenant'))",
)
UNDONE = "op.execute('SELECT 1')"


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, what it must catch, and what it must not."""

    rule: str
    caught: Body
    near: Body
    before: Body = ()
    mapped: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    caught_down: str | None = UNDONE  # the body of downgrade(); None: there is none
    near_down: str | None = UNDONE
    major: int = 18
    near_has: frozenset[str] = frozenset()  # other rules that the near miss breaks rightly


def outside(*items: str) -> str:
    """Return items in an autocommit block."""
    inner = textwrap.indent("\n".join(map(python, items)), "    ")
    return f"with op.get_context().autocommit_block():\n{inner}"


def python(item: str) -> str:
    """Return an item of a body as Python."""
    return item if item.startswith(("op.", "with ", "raise ")) else f"op.execute({item!r})"


def revision(name: str, parent: str | None, body: Body, down: str | None = UNDONE) -> str:
    """Return the text of a revision."""
    up = textwrap.indent("\n".join(map(python, body)) or "pass", "    ")
    back = "" if down is None else f"\n\ndef downgrade():\n{textwrap.indent(down, '    ')}\n"
    return (
        "import sqlalchemy as sa\nfrom alembic import op\nfrom sqlalchemy.dialects import"
        f" postgresql\n\nrevision = {name!r}\ndown_revision = {parent!r}\nbranch_labels = None\n"
        f"depends_on = None\n\n\ndef upgrade():\n{up}\n{back}"
    )
