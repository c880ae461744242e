"""Who makes rows up: one's own, or such as pretend and link to what is somebody else's."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.live.tenancy.inventions import invent, needed
from tests.live.tenancy.ledger import Key, Ledger, Reference, Row, Said, Shape
from tests.live.tenancy.worlds import NAMING_PEOPLE, World

Choose = Callable[[Sequence[Any]], Any]
_PENDING = "pending"


@dataclass
class Author:
    """Makes up rows of any table, from what is in the ledger."""

    world: World
    ledger: Ledger
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1_000_000))

    def number(self) -> int:
        """Return a number that was not used yet."""
        return next(self.numbers)

    def more(self, shape: Shape) -> Row:
        """Return values for the columns that an INSERT has to name besides."""
        number = self.number()
        return {c.name: invent(shape.table, c, number) for c in needed(shape.table)}

    def row(
        self, shape: Shape, who: str, said: Said, choose: Choose, *, honest: bool
    ) -> Row | None:
        """Make up a row: one's own, or one that links and pretends. None where there is no way."""
        row: Row = dict.fromkeys(shape.columns, _PENDING)
        if not self._belong(shape, row, who, said, choose, honest=honest):
            return None
        fitting = honest or choose([True, False])
        for reference in shape.references:
            free = [c for c in reference.columns if row[c] is _PENDING]
            if not free:
                continue
            targets = self._targets(reference, row, said, honest=honest, fitting=fitting)
            if not _refer(shape, row, reference, targets, choose):
                return None
        number = self.number()
        for column in shape.table.columns:
            if row.get(column.name) is _PENDING:
                row[column.name] = invent(shape.table, column, number)
        return row

    def _belong(
        self, shape: Shape, row: Row, who: str, said: Said, choose: Choose, *, honest: bool
    ) -> bool:
        """Fill the columns that say whose the row is; say whether there was a way."""
        security = shape.security
        if security is None:
            return True
        others = [p for p in (*self.world.people, self.world.newcomer) if p != who]
        for rule in security.written or (choose(security.rules),):
            if rule.table:
                keys = [
                    other[rule.key]
                    for other in self.ledger.rows[rule.table].values()
                    if self.ledger.holds(rule, {rule.column: other[rule.key]}, said) is honest
                ]
                if not keys:
                    return False
                row[rule.column] = choose(keys)
            elif rule.setting in self.world.asking:
                row[rule.column] = who if honest and who else choose(others)
        return True

    def _targets(
        self, reference: Reference, row: Row, said: Said, *, honest: bool, fitting: bool
    ) -> list[Key]:
        """Return what a foreign key could point at."""
        seen = self.ledger.seen(reference.parent, said)
        return [
            tuple(parent[c] for c in reference.referred)
            for key, parent in self.ledger.rows[reference.parent].items()
            if (not fitting or _fits(reference, parent, row))
            and (not honest or key in seen or reference.parent == NAMING_PEOPLE)
        ]


def _refer(
    shape: Shape, row: Row, reference: Reference, targets: list[Key], choose: Choose
) -> bool:
    """Fill the columns of a foreign key; say whether there was a way."""
    free = [c for c in reference.columns if row[c] is _PENDING]
    used = {tuple(row.get(c) for c in r.columns) for r in shape.references if r != reference}
    targets = [target for target in targets if target not in used] or targets
    nullable = {c.name for c in shape.table.columns if c.nullable}
    if nullable.issuperset(free) and (not targets or choose([True, False])):
        row.update(dict.fromkeys(free))
        return True
    if not targets:
        return False
    told = dict(zip(reference.columns, choose(targets), strict=True))
    row.update({column: told[column] for column in free})
    return True


def _fits(reference: Reference, parent: Row, row: Row) -> bool:
    """Say whether a parent agrees with what of the foreign key is filled already."""
    pairs = zip(reference.columns, reference.referred, strict=True)
    return all(row[c] is _PENDING or row[c] == parent[r] for c, r in pairs)


def mostly_first(seed: int) -> Choose:
    """Choose by chance, the first of all more often: so people get what hangs together."""
    chance = random.Random(seed)
    return lambda options: options[0] if chance.random() < 0.6 else chance.choice(list(options))
