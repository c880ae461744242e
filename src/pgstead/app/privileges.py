"""What the application may not do with a table, declared where the table is.

    class AuditLog(Base):
        __tablename__ = "audit_logs"
        __table_args__ = (Withheld("UPDATE", "DELETE"),)

Default privileges let the application insert, read, change and delete rows of every new table; a
migration takes back what is withheld (`pgstead.app.revisions.revoke`), and `pgstead prove` compares
the two (SCH-008).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Table
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.base import SchemaEventTarget

from pgstead.errors import UsageError

INFO: Final = "pgstead.withheld"
PRIVILEGES: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")


class Withheld(SchemaItem):
    """A table argument: privileges that the application's role does not have."""

    __visit_name__ = "withheld"

    def __init__(self, *privileges: str) -> None:
        """Keep them; another word than SELECT, INSERT, UPDATE or DELETE is a UsageError."""
        if not privileges or not set(privileges) <= set(PRIVILEGES):
            raise UsageError(
                f"withheld privileges are {', '.join(PRIVILEGES)}, not {privileges!r}",
                hint='Withheld("UPDATE", "DELETE")',
            )
        self.privileges = frozenset(privileges)

    def _set_parent(self, parent: SchemaEventTarget, **_: Any) -> None:
        assert isinstance(parent, Table)
        parent.info[INFO] = self.privileges
