"""What a live database differs in from what its migrations build, each difference explained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pgstead.model.definition import Definition, Facet, Facets, Name
from pgstead.plan.drift_meanings import meaning


class Drifted(StrEnum):
    """In which way."""

    MISSING = "missing"  # the migrations make it, the database has it not
    EXTRA = "extra"  # no migration makes it
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One facet of a changed object; None where there is none on that side."""

    facet: str
    wanted: Facet | None
    found: Facet | None


@dataclass(frozen=True, slots=True)
class Drift:
    """One object that is not what the migrations make."""

    object: Name
    how: Drifted
    differences: tuple[Difference, ...]
    meaning: str
    way_out: str


# What goes and comes with its table, and then need not be told again.
_PARTS = frozenset(
    {"column", "constraint", "trigger", "policy", "rule", "row security", "foreign key triggers"}
)
_RELATIONS = frozenset({"table", "view", "materialized view", "foreign table"})


def drifts(wanted: Definition, found: Definition) -> tuple[Drift, ...]:
    """Return how `found` differs from `wanted`, sorted by object.

    `drifts(d, d)` is empty. Parts of a table that is missing or extra are not told again.
    """
    ours, theirs = wanted.objects, found.objects
    whole = {name.name for name in set(ours) ^ set(theirs) if name.kind in _RELATIONS}
    return tuple(
        drift
        for name in sorted({*ours, *theirs})
        if not _goes_with(name, whole)
        for drift in _one(name, ours.get(name), theirs.get(name))
    )


def _goes_with(name: Name, whole: set[str]) -> bool:
    if name.kind == "grants":
        return name.name.split(" ", 1)[-1] in whole
    return name.kind in _PARTS and (name.name in whole or name.name.rsplit(".", 1)[0] in whole)


def _one(name: Name, wanted: Facets | None, found: Facets | None) -> Iterator[Drift]:
    if wanted == found:
        return
    how = Drifted.EXTRA if wanted is None else Drifted.MISSING if found is None else Drifted.CHANGED
    differences = _differences(wanted or {}, found or {}) if how is Drifted.CHANGED else ()
    told = meaning(name.kind, how, tuple(d.facet for d in differences))
    yield Drift(name, how, differences, told.says, told.way_out.replace("{name}", name.name))


def _differences(wanted: Facets, found: Facets) -> tuple[Difference, ...]:
    return tuple(
        Difference(facet, wanted.get(facet), found.get(facet))
        for facet in sorted({*wanted, *found})
        if wanted.get(facet) != found.get(facet)
    )
