"""What the models of the manifest's databases declare, for the commands that care for data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pgstead.errors import UsageError

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.model.design import DatabasePlan
    from pgstead.model.integrity import Declared
    from pgstead.model.partitions import Partitioning
    from pgstead.model.retention import Rule


def chosen(wired: Wired, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the databases that are meant. Raises UsageError for one that there is not."""
    known = [plan.name for plan in wired.design.databases]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"the manifest names no database {unknown[0]!r}", hint=f"there is: {', '.join(known)}"
        )
    return names or tuple(known)


def integrity_of(wired: Wired, names: tuple[str, ...]) -> Mapping[str, Declared]:
    """Return what has to hold beyond constraints, by database. Raises ManifestError."""
    from pgstead.app.integrity import declared
    from pgstead.cli.keyring import models_of

    found: dict[str, Declared] = {}
    for plan in wired.design.databases:
        if plan.models and plan.name in names:
            metadata = models_of(plan.name, wired.survey.source)
            found[plan.name] = declared(metadata, files_of(wired, plan))
    return found


def files_of(wired: Wired, plan: DatabasePlan) -> str:
    """Return the directory of the files that rows name; empty where the manifest names none."""
    return str(wired.design.layout.manifest_directory / plan.files) if plan.files else ""


def retention_of(
    wired: Wired, names: tuple[str, ...]
) -> tuple[Mapping[str, tuple[Rule, ...]], Mapping[str, str]]:
    """Return how long rows are kept, and where their files lie, by database."""
    from pgstead.app.retention import declared
    from pgstead.cli.keyring import models_of

    plans = [p for p in wired.design.databases if p.models and p.name in names]
    rules = {p.name: declared(models_of(p.name, wired.survey.source)) for p in plans}
    return rules, {p.name: files_of(wired, p) for p in plans}


def partitions_of(wired: Wired, names: tuple[str, ...]) -> Mapping[str, tuple[Partitioning, ...]]:
    """Return the tables that are declared in parts, by database."""
    from pgstead.app.partitions import declared
    from pgstead.cli.keyring import models_of

    plans = [p for p in wired.design.databases if p.models and p.name in names]
    return {p.name: declared(models_of(p.name, wired.survey.source)) for p in plans}
