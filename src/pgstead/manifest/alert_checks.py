"""Alerts of the manifest: that their rules exist, and that no name is used twice."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.catalog.alert_rules import BY_NAME
from pgstead.catalog.lookup import close_to
from pgstead.manifest.document import Manifest
from pgstead.manifest.problems import Problem

OFF = "alert:"  # [[waive]] what = "alert:Deadlocks"


def problems(manifest: Manifest) -> Iterator[Problem]:
    """Yield what is wrong with alerts beyond single keys."""
    told = manifest.alerts
    named = [(f"alerts.rules.{name}", name) for name in told.rules]
    named += [
        (f"waive[{index}].what", waiver.what.removeprefix(OFF))
        for index, waiver in enumerate(manifest.waive)
        if waiver.what.startswith(OFF)
    ]
    for key, name in named:
        if name not in BY_NAME:
            hint = close_to(name, BY_NAME) or "docs/reference/alerts.md has all of them"
            yield Problem(key, f'no rule has the name "{name}"', hint)
    seen: set[str] = set()
    for index, target in enumerate(told.targets):
        if target.name in seen or target.name == "heartbeat":
            key = f"alerts.targets[{index}].name"
            yield Problem(key, f'"{target.name}" is taken', "choose another name")
        seen.add(target.name)
