"""Operations: a plan is a value that can be printed, reversed and replayed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

from pgstead.model.address import Address, Capability, Resource
from pgstead.model.stead import Stead


class Impact(IntEnum):
    """What an operation costs the running system, mildest first."""

    ONLINE = 0
    RELOAD = 1
    RESTART = 2
    REWRITE = 3
    DESTRUCTIVE = 4

    @property
    def word(self) -> str:
        """The word that people read, and that `--allow` takes."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Operation:
    """One change: create (before is None), drop (after is None) or alter."""

    before: Resource | None
    after: Resource | None
    impact: Impact
    reversible: bool = True
    note: str = ""  # what the user must know, e.g. "ALTER SYSTEM, set by hand"

    def __post_init__(self) -> None:
        if self.before is None and self.after is None:
            raise AssertionError("an operation changes something")

    @property
    def resource(self) -> Resource:
        """The resource in question: as it will be, or as it was."""
        resource = self.after if self.after is not None else self.before
        assert resource is not None
        return resource

    @property
    def address(self) -> Address:
        """Where the change happens."""
        return self.resource.address

    @property
    def capability(self) -> Capability:
        """Whose change it is."""
        return self.resource.capability

    @property
    def verb(self) -> str:
        """create, alter or drop."""
        if self.before is None:
            return "create"
        return "drop" if self.after is None else "alter"

    def reverse(self) -> Operation:
        """Return the operation that leads back; only reversible ones have one."""
        if not self.reversible:
            raise AssertionError(f"{self.verb} {self.address} cannot be reversed")
        return Operation(self.after, self.before, self.impact, reversible=True, note=self.note)

    def effect(self, stead: Stead) -> Stead:
        """Return the stead after this operation (the pure meaning of it)."""
        if self.after is None:
            return stead.without(self.address)
        return stead.putting(self.after)

    def changes(self) -> tuple[tuple[str, object, object], ...]:
        """Return (field, before, after) of each field that differs; empty for create and drop."""
        if self.before is None or self.after is None:
            return ()
        return tuple(
            (f.name, getattr(self.before, f.name), getattr(self.after, f.name))
            for f in fields(self.after)
            if f.compare and getattr(self.before, f.name) != getattr(self.after, f.name)
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Operations in order, and what could not be compared yet."""

    operations: tuple[Operation, ...]
    unknown: tuple[tuple[str, str], ...] = ()  # (kind or kind:database, why it was not seen)

    @property
    def empty(self) -> bool:
        """Nothing to change, and nothing unseen."""
        return not self.operations and not self.unknown

    @property
    def worst(self) -> Impact:
        """The gravest impact among the operations."""
        return max((o.impact for o in self.operations), default=Impact.ONLINE)
