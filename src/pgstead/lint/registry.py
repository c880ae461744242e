"""Every rule, by subject. `docs/reference/lint.md` is made of this table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType

from pgstead.lint.finding import Level
from pgstead.lint.rule import Harm, Hit, Rule
from pgstead.lint.scene import Ending, Scene, Step
from pgstead.lint.schema import Table
from pgstead.lint.subjects import (
    columns,
    compatibility,
    constraints,
    data,
    downgrade,
    functions,
    grants,
    indexes,
    locks,
    rewrites,
    row_security,
    transactions,
    versions,
    views,
)

IGNORE_WITHOUT_REASON = Rule(
    name="ignore-without-reason",
    level=Level.ERROR,
    harm=Harm.UPKEEP,
    message="{comment} gives no reason",
    breaks="nobody can judge later whether it still holds",
    safe="say why it does no harm here",
    code="# pgstead: ignore[{rule}] the table is empty until the next release",
)
IGNORE_UNKNOWN = Rule(
    name="ignore-of-unknown-rule",
    level=Level.ERROR,
    harm=Harm.UPKEEP,
    message="there is no rule {rule!r}{meant}",
    breaks="it ignores nothing",
    safe="name a rule of docs/reference/lint.md",
    code="# pgstead: ignore[drop-column] ...",
)
IGNORE_UNUSED = Rule(
    name="ignore-unused",
    level=Level.WARNING,
    harm=Harm.UPKEEP,
    message="nothing is found here that {rule} would be about",
    breaks="it would hide a finding that comes later",
    safe="remove the comment",
)

Each = Callable[[Step, Scene], Iterator[Hit]]
Whole = Callable[[Scene], Iterator[Hit]]
Final = Callable[[Ending], Iterator[tuple[Table, Hit]]]


@dataclass(frozen=True, slots=True)
class Subject:
    """The rules of one subject."""

    name: str
    rules: tuple[Rule, ...]
    each: Each | None = None
    whole: Whole | None = None
    final: Final | None = None


SUBJECTS = (
    Subject("locks", locks.RULES, locks.each, locks.whole),
    Subject("rewrites", rewrites.RULES, rewrites.each),
    Subject("columns", columns.RULES, columns.each),
    Subject("constraints", constraints.RULES, constraints.each),
    Subject("indexes and partitions", indexes.RULES, indexes.each, final=indexes.final),
    Subject("compatibility", compatibility.RULES, compatibility.each),
    Subject("rows", data.RULES, data.each),
    Subject("transactions", transactions.RULES, transactions.each, transactions.whole),
    Subject("row security", row_security.RULES, row_security.each, final=row_security.final),
    Subject("grants", grants.RULES, grants.each),
    Subject("functions", functions.RULES, functions.each),
    Subject("views", views.RULES, views.each),
    Subject("versions", versions.RULES, versions.each),
    Subject("the way back", downgrade.RULES),
    Subject("ignores", (IGNORE_WITHOUT_REASON, IGNORE_UNKNOWN, IGNORE_UNUSED)),
)

# What `pgstead.app.staged` does where these rules would ask for it: it notes what it committed, so
# it can be repeated; its trigger comes with the column that nobody uses yet; what it drops has a
# successor that was proven. A column that the models still map is told nevertheless.
STAGED = frozenset(
    {
        transactions.NOT_REPEATABLE.name,
        locks.TRIGGER.name,
        compatibility.DROP_COLUMN.name,
    }
)

RULES = MappingProxyType({rule.name: rule for subject in SUBJECTS for rule in subject.rules})
