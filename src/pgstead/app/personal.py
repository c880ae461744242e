"""What columns hold of persons, declared where the table is.

    class User(Base):
        __tablename__ = "users"
        __table_args__ = (
            Classified(
                personal="email:email name:name profile_data",
                sensitive="password_hash:argon2id",
                internal="is_active",
                subject="id email",
            ),
        )

    class Project(Base):
        __tablename__ = "projects"
        __table_args__ = (Classified(internal="created_by status", owned="created_by"),)

A word is a column, with what its values are behind a colon where the type does not say it. Keys,
foreign keys and the stamps of `pgstead.app.models` are internal unless they are named; any other
column that is not named stays unclassified, and `pgstead pii report` tells so. The classes end the
columns' comments: Alembic sees a difference, and the migration carries it. Stand behind foreign
keys that are table arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from sqlalchemy import Column, Table
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.base import SchemaEventTarget

from pgstead.app.models import KEPT
from pgstead.errors import UsageError
from pgstead.model.personal import KINDS, Class, Mark, Subject, Tie, marked

INFO: Final = "pgstead.class"  # in a column's info: its Mark


class Classified(SchemaItem):
    """A table argument: the class of each column, and how rows belong to persons."""

    __visit_name__ = "classified"

    def __init__(
        self,
        *,
        public: str = "",
        internal: str = "",
        personal: str = "",
        sensitive: str = "",
        owned: str = "",
        authored: str = "",
        subject: str = "",
        kept: bool = False,
    ) -> None:
        """Take columns by class, separated by spaces.

        Args:
            public: what anybody may read.
            internal: of the operation, and of nobody in particular.
            personal: what tells something of a person.
            sensitive: a secret of theirs, never shown.
            owned: columns of foreign keys whose row goes with what they point at.
            authored: columns of foreign keys to a person whose row stays without what is personal.
            subject: the rows are persons, and these columns name one.
            kept: erased, the row of the person stays, as what others point at.
        """
        words = {
            Class.PUBLIC: public, Class.INTERNAL: internal,
            Class.PERSONAL: personal, Class.SENSITIVE: sensitive,
        }  # fmt: skip
        self.classes = dict(_classes(words))
        self.ties = dict.fromkeys(owned.split(), Tie.OWNED)
        self.ties |= dict.fromkeys(authored.split(), Tie.AUTHORED)
        self.subject = Subject(tuple(subject.split()), kept=kept) if subject else None

    def _set_parent(self, parent: SchemaEventTarget, **_: Any) -> None:
        assert isinstance(parent, Table)
        self._classify(cast("Table", parent))

    def _classify(self, table: Table) -> None:
        named = {*self.classes, *self.ties, *(self.subject.names if self.subject else ())}
        there = [column.name for column in table.columns]
        if unknown := sorted(named - {*there}):
            raise UsageError(
                f"{table.name} classifies {', '.join(unknown)}, which it has not",
                hint=f"columns of {table.name}: {', '.join(there)}",
            )
        for column in table.columns:
            mark = self._mark(column)
            if mark is not None:
                column.info[INFO] = mark
                column.comment = marked(column.comment, mark)
        if self.subject is not None:
            table.comment = marked(table.comment, self.subject)

    def _mark(self, column: Column[Any]) -> Mark | None:
        plain = column.primary_key or column.foreign_keys or KEPT in column.info
        cls, kind = self.classes.get(column.name, (Class.INTERNAL if plain else None, ""))
        return None if cls is None else Mark(cls, kind, self.ties.get(column.name))


def _classes(words: Mapping[Class, str]) -> Iterator[tuple[str, tuple[Class, str]]]:
    for cls, text in words.items():
        for word in text.split():
            name, _, kind = word.partition(":")
            if kind and kind not in KINDS:
                raise UsageError(
                    f"{name} is classified as {kind!r}, which is no kind of value",
                    hint=f"kinds are {', '.join(sorted(KINDS))}; without one the type decides",
                )
            yield name, (cls, kind)
