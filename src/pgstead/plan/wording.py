"""A plan in words: one readable line per operation, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pgstead.model.operation import Operation, Plan
from pgstead.model.resources import (
    ConfigFile,
    Grant,
    Override,
    PoolerSetting,
    RoleSetting,
    ServerProcess,
    Setting,
)

_SIGNS = {"create": "+", "alter": "~", "drop": "-"}


def sign(operation: Operation) -> str:
    """Return +, ~ or -."""
    return _SIGNS[operation.verb]


def subject(operation: Operation) -> str:
    """Return what is changed, as people name it."""
    match operation.resource:
        case Setting(name=name):
            return name
        case Override(name=name, origin=origin):
            return f"{origin} {name}"
        case RoleSetting(role=role, database=database, name=name):
            return f"{name} of {role or 'database'}{' in ' + database if database else ''}"
        case Grant(object_type=kind, object_name=name, grantee=grantee):
            return f"{grantee} on {kind} {name}"
        case PoolerSetting(name=name):
            return name
        case ConfigFile(name=name):
            return f"file {name}"
        case other:
            return f"{other.kind} {other.key}".strip()


def _shown(value: object, name: str = "") -> str:
    if name == "mode":
        return f"{value:04o}"
    if isinstance(value, tuple):
        return ", ".join(map(str, cast("tuple[object, ...]", value))) or "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value != "" else "nothing"


def change(operation: Operation) -> str:
    """Return what changes: `4MB -> 16MB`, `superuser: yes -> no`, `revoke SELECT`."""
    match operation.before, operation.after:
        case Setting() as before, Setting() as after:
            return f"{before.display or before.value} -> {after.display or after.value}"
        case Setting() as before, None:
            return f"{before.display or before.value} -> the server's default"
        case PoolerSetting() as before, PoolerSetting() as after:
            return f"{before.value} -> {after.value}"
        case RoleSetting() as before, RoleSetting() as after:
            return f"{before.value} -> {after.value}"
        case ConfigFile() as before, ConfigFile() as after:
            return _file_change(before, after)
        case Override(value=value), None:
            return f"{value}, set beside the design"
        case Grant(privileges=privileges), None:
            return f"revoke {_shown(privileges)}"
        case None, Grant(privileges=privileges):
            return f"grant {_shown(privileges)}"
        case ServerProcess() as before, ServerProcess() as after if before.running != after.running:
            return "start" if after.running else "stop"
        case None, None:
            return ""
        case _:
            return "; ".join(
                f"{name}: {_shown(old, name)} -> {_shown(new, name)}"
                for name, old, new in operation.changes()
            )


def _file_change(before: ConfigFile, after: ConfigFile) -> str:
    if before.text == after.text:
        return f"mode {before.mode:04o} -> {after.mode:04o}"
    old, new = before.text.splitlines(), after.text.splitlines()
    gone = [line for line in old if line not in new]
    added = [line for line in new if line not in old]
    told = f"{len(added)} lines to write, {len(gone)} to remove"
    sample = next((line.strip() for line in gone if line.strip()), "")
    return f"{told} ({sample[:60]!r})" if sample else told


def lines(plan: Plan) -> list[tuple[str, str, str, str, str]]:
    """Return (sign, capability, subject, change, impact) per operation."""
    return [
        (
            sign(operation),
            str(operation.capability),
            subject(operation),
            "; ".join(filter(None, (change(operation), operation.note))),
            operation.impact.word if operation.impact.value < 2 else operation.impact.name,
        )
        for operation in plan.operations
    ]


def as_json(plan: Plan) -> Mapping[str, object]:
    """Return the plan for programs."""
    return {
        "schema": 1,
        "operations": [
            {
                "verb": operation.verb,
                "capability": str(operation.capability),
                "address": str(operation.address),
                "change": change(operation),
                "impact": operation.impact.word,
                "reversible": operation.reversible,
                "note": operation.note,
            }
            for operation in plan.operations
        ],
        "worst_impact": plan.worst.word if plan.operations else None,
        "unknown": [{"what": what, "why": why} for what, why in plan.unknown],
    }
