"""Thresholds of the manifest: that their field exists, and that critical is worse than warning."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.catalog.health_checks import BY_NAME
from pgstead.catalog.lookup import close_to
from pgstead.manifest.problems import Problem
from pgstead.manifest.telemetry import Telemetry


def problems(telemetry: Telemetry) -> Iterator[Problem]:
    """Yield what is wrong with thresholds beyond single keys."""
    for name, entry in telemetry.thresholds.items():
        key = f"telemetry.thresholds.{name}"
        check = BY_NAME.get(name)
        if check is None:
            close = close_to(name, BY_NAME)
            hint = close or f"there is: {', '.join(BY_NAME)}"
            yield Problem(key, "no field of /health/db has this name", hint)
            continue
        told = check.threshold
        warning = told.warning if entry.warning is None else entry.warning
        critical = told.critical if entry.critical is None else entry.critical
        if warning is None or critical is None or warning == critical:
            continue
        if (warning > critical) != told.falling:
            worse = "below" if told.falling else "above"
            yield Problem(
                f"{key}.critical",
                f"{critical:g} {check.unit} is reached before the warning at {warning:g}",
                f"critical lies {worse} warning here: {check.description}",
            )
