"""What the models of the manifest's databases declare, for the commands that care for data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pgstead.errors import UsageError

if TYPE_CHECKING:
    from pgstead.cli.invocation import Invocation
    from pgstead.cli.wiring import Wired
    from pgstead.model.design import DatabasePlan
    from pgstead.model.integrity import Declared


def chosen(wired: Wired, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the databases that are meant. Raises UsageError for one that there is not."""
    known = [plan.name for plan in wired.design.databases]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"the manifest names no database {unknown[0]!r}", hint=f"there is: {', '.join(known)}"
        )
    return names or tuple(known)


def integrity_of(
    wired: Wired, invocation: Invocation, names: tuple[str, ...]
) -> Mapping[str, Declared]:
    """Return what has to hold beyond constraints, by database. Raises ManifestError."""
    from pgstead.app.integrity import declared
    from pgstead.cli.keyring import metadata_of

    found: dict[str, Declared] = {}
    for plan in wired.design.databases:
        if plan.models and plan.name in names:
            metadata = metadata_of(plan.name, invocation)
            found[plan.name] = declared(metadata, files_of(wired, plan))
    return found


def files_of(wired: Wired, plan: DatabasePlan) -> str:
    """Return the directory of the files that rows name; empty where the manifest names none."""
    return str(wired.design.layout.manifest_directory / plan.files) if plan.files else ""
