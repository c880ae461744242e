"""Personal data: what a column holds, whose it is, and what is left of it after an erasure.

The class of a column ends its comment in the database, so that a migration carries it, a dump
keeps it, and nobody has to import models to read it (docs/adr/0038):

    unique address, compared as written [personal: email]
    owner of the project [internal; owned]

and a table of persons ends its own with the columns that name one: `[subject: id, email]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

ERASED = "erased"  # what stands where something was, and nothing may not stand


class Class(StrEnum):
    """How much it would hurt a person if strangers read it."""

    PUBLIC = "public"
    INTERNAL = "internal"  # of the operation: keys, states, figures; of nobody in particular
    PERSONAL = "personal"  # tells something of a person
    SENSITIVE = "sensitive"  # a secret of theirs; never shown, not even to them


class Tie(StrEnum):
    """How a row belongs to the person, or the row, that a column of it names."""

    OWNED = "owned"  # it goes with them
    AUTHORED = "authored"  # it stays, without what is personal in it and without their name


# What a value is, where its type alone does not say it.
KINDS = frozenset({
    "address", "argon2id", "digest", "email", "name", "sealed", "text", "url",
})  # fmt: skip
# Found again anywhere by its value. An address of a network is not: many have the same.
IDENTIFYING = frozenset({"email", "name", "url"})

_MARK = re.compile(
    rf"\s*\[(?P<class>{'|'.join(Class)})(?:: (?P<kind>\w+))?(?:; (?P<tie>{'|'.join(Tie)}))?\]$"
)
_SUBJECT = re.compile(r"\s*\[subject: (?P<names>\w+(?:, \w+)*)(?P<kept>; kept)?\]$")


@dataclass(frozen=True, slots=True)
class Mark:
    """What the comment of a column says of it."""

    cls: Class
    kind: str = ""
    tie: Tie | None = None

    def __str__(self) -> str:
        kind = f": {self.kind}" if self.kind else ""
        tie = f"; {self.tie}" if self.tie else ""
        return f"[{self.cls}{kind}{tie}]"

    @property
    def personal(self) -> bool:
        """Say whether it tells something of a person."""
        return self.cls in (Class.PERSONAL, Class.SENSITIVE)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the comment of a table of persons says: by which columns one is named."""

    names: tuple[str, ...]
    kept: bool = False  # the row stays, as what others point at, without what is personal in it

    def __str__(self) -> str:
        return f"[subject: {', '.join(self.names)}{'; kept' if self.kept else ''}]"


def mark_of(comment: str | None) -> Mark | None:
    """Return what a comment ends with, None where it says no class."""
    found = _MARK.search(comment or "")
    if found is None:
        return None
    tie = Tie(found["tie"]) if found["tie"] else None
    return Mark(Class(found["class"]), found["kind"] or "", tie)


def subject_of(comment: str | None) -> Subject | None:
    """Return whose rows a table's comment says they are, None where no person's."""
    found = _SUBJECT.search(comment or "")
    if found is None:
        return None
    return Subject(tuple(found["names"].split(", ")), kept=found["kept"] is not None)


def marked(comment: str | None, mark: Mark | Subject) -> str:
    """Return a comment that ends with a mark, in the place of the one that it had."""
    return f"{unmarked(comment)} {mark}".lstrip()


def unmarked(comment: str | None) -> str:
    """Return a comment as people wrote it."""
    return _SUBJECT.sub("", _MARK.sub("", comment or ""))


@dataclass(frozen=True, slots=True)
class Blank:
    """What a column holds after an erasure, and what is true of one that still holds something.

    Both are SQL; `left` follows the column's name.
    """

    value: str
    left: str


def is_blank(text: str) -> bool:
    """Say whether a value is what an erasure leaves."""
    left = (f"{ERASED}-", f"https://{ERASED}.invalid/")
    return text in (ERASED, "0.0.0.0") or text.startswith(left)  # noqa: S104 - a value, not a door


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a live table."""

    name: str
    type: str  # as format_type() has it
    mark: Mark | None
    nullable: bool = True
    key: bool = False  # of the primary key
    unique: bool = False  # alone, or with others
    generated: bool = False
    default: str = ""

    @property
    def personal(self) -> bool:
        """Say whether it tells something of a person."""
        return self.mark is not None and self.mark.personal

    @property
    def kind(self) -> str:
        """What its values are: as it is marked, or a form that its type has."""
        if self.mark is not None and self.mark.kind:
            return self.mark.kind
        if self.type.endswith("[]"):
            return "list"
        for kind, types in _BY_TYPE:
            if self.type.startswith(types):
                return kind
        return "text"

    @property
    def blank(self) -> Blank:
        """What is left of it after an erasure."""
        if self.nullable:
            return Blank("NULL", "IS NOT NULL")
        if self.default and self.kind in ("document", "list"):
            return Blank(self.default, f"::text <> ({self.default})::text")
        return _BLANKS.get(self.kind, _UNIQUE_TEXT if self.unique else _TEXT)


_BY_TYPE = (
    ("document", ("json", "jsonb")),
    ("address", ("inet", "cidr")),
    ("time", ("timestamp", "date")),
    ("number", ("integer", "bigint", "smallint", "numeric", "real", "double")),
    ("flag", ("boolean",)),
    ("digest", ("bytea",)),
    ("uuid", ("uuid",)),
)
_TEXT = Blank(f"'{ERASED}'", f"<> '{ERASED}'")
_UNIQUE_TEXT = Blank(f"'{ERASED}-' || gen_random_uuid()", f"NOT LIKE '{ERASED}-%'")
_NOBODYS = Blank("gen_random_uuid()", "IS NULL")  # by chance already: nothing tells it apart
_BLANKS = MappingProxyType({
    "email": Blank(
        f"'{ERASED}-' || gen_random_uuid() || '@{ERASED}.invalid'",
        f"NOT LIKE '{ERASED}-%@{ERASED}.invalid'",
    ),
    "url": Blank(f"'https://{ERASED}.invalid/'", f"<> 'https://{ERASED}.invalid/'"),
    "document": Blank("'{}'", "::text <> '{}'"),
    "list": Blank("'{}'", "<> '{}'"),
    "address": Blank("'0.0.0.0'", "<> '0.0.0.0'"),
    "time": Blank("'epoch'", "<> 'epoch'"),
    "number": Blank("0", "<> 0"),
    "flag": Blank("false", "IS TRUE"),
    "digest": Blank("sha256(gen_random_uuid()::text::bytea)", "IS NULL"),
    "uuid": _NOBODYS,
    "argon2id": Blank(f"'$argon2id${ERASED}'", f"<> '$argon2id${ERASED}'"),
})  # fmt: skip


Name = tuple[str, str]  # schema and table


@dataclass(frozen=True, slots=True)
class Table:
    """A live table."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    subject: Subject | None = None

    @property
    def full(self) -> Name:
        """Its schema and its name."""
        return self.schema, self.name

    @property
    def shown(self) -> str:
        """The name as it is shown: without `public`."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of its primary key."""
        return tuple(c.name for c in self.columns if c.key)

    @property
    def personal(self) -> tuple[Column, ...]:
        """The columns that tell something of a person."""
        return tuple(c for c in self.columns if c.personal)

    def column(self, name: str) -> Column:
        """Return a column by its name."""
        return next(c for c in self.columns if c.name == name)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key."""

    child: Name
    columns: tuple[str, ...]
    parent: Name
    parent_columns: tuple[str, ...]
    action: str  # when the parent's row is deleted, as pg_constraint has it: a r c n d
    name: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a database holds, by class, and how its rows lead to persons."""

    database: str
    tables: tuple[Table, ...]
    references: tuple[Reference, ...]

    def table(self, name: Name) -> Table:
        """Return a table by its name."""
        return next(t for t in self.tables if t.full == name)

    @property
    def subjects(self) -> tuple[Table, ...]:
        """The tables whose rows are persons."""
        return tuple(t for t in self.tables if t.subject is not None)

    @property
    def unclassified(self) -> tuple[str, ...]:
        """The columns that say no class, as `table.column`."""
        return tuple(f"{t.shown}.{c.name}" for t in self.tables for c in t.columns if not c.mark)

    @property
    def unreached(self) -> tuple[Table, ...]:
        """The tables with personal columns that no erasure would come to."""
        reached = {t.full for t in self.subjects}
        for table in self.subjects:
            found = Reach.of(self, table)
            reached |= {*found.going, *found.staying}
        return tuple(t for t in self.tables if t.personal and t.full not in reached)

    def tie(self, reference: Reference) -> Tie | None:
        """Return how rows belong to what a foreign key of theirs points at.

        What a column says counts; without that a row goes where the database lets it go.
        """
        table = self.table(reference.child)
        ties = (table.column(name).mark for name in reference.columns)
        told = next((m.tie for m in ties if m is not None and m.tie is not None), None)
        return Tie.OWNED if told is None and reference.action == "c" else told


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an erasure gets: by which foreign keys it comes to which rows."""

    root: Table
    owned: tuple[Reference, ...]  # rows that go; parents first
    authored: tuple[Reference, ...]  # rows that stay, without what is personal in them
    cut: tuple[Reference, ...]  # rows that stay as they are, but for the reference
    going: tuple[Name, ...]  # tables of rows that go, parents first; the subject's own too
    staying: tuple[Name, ...]

    @classmethod
    def of(cls, inventory: Inventory, root: Table) -> Reach:
        """Follow the foreign keys from a table of persons."""
        owned: list[Reference] = []
        behind: list[Name] = []  # children first
        seen = {root.full}

        def visit(parent: Name) -> None:
            for reference in _children(inventory.references, parent):
                if inventory.tie(reference) is not Tie.OWNED:
                    continue
                owned.append(reference)
                if reference.child not in seen:
                    seen.add(reference.child)
                    visit(reference.child)
            behind.append(parent)

        visit(root.full)
        kept = root.subject is not None and root.subject.kept
        going = [name for name in reversed(behind) if not (kept and name == root.full)]
        others = [r for r in inventory.references if r not in owned]
        authored = [r for r in others if r.parent == root.full and inventory.tie(r) is Tie.AUTHORED]
        cut = [r for r in others if r.parent in going and r not in authored]
        staying = dict.fromkeys(r.child for r in authored)
        return cls(root, tuple(owned), tuple(authored), tuple(cut), tuple(going), tuple(staying))


def _children(references: Iterable[Reference], parent: Name) -> list[Reference]:
    return [r for r in references if r.parent == parent]
