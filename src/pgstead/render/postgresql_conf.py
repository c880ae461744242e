"""pgstead.conf, the one file that postgresql.conf includes."""

from __future__ import annotations

import hashlib

from pgstead.model.design import Design


def quoted(value: str) -> str:
    """Quote a value for postgresql.conf: quotes doubled, backslashes too (GUC_scanstr)."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def digest(design: Design) -> str:
    """Identify the server settings of a design."""
    told = "\n".join(f"{name} = {quoted(value)}" for name, value in sorted(design.settings.items()))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def text(design: Design) -> str:
    """Return the file: each setting with the formula it comes from."""
    lines = [
        f"# made by pgstead for {design.name!r} from design {digest(design)}",
        "# edits are undone by `pgstead up`; ALTER SYSTEM is drift, use server.settings",
        "# `pgstead explain server.NAME` says where a value comes from",
    ]
    for name, value in sorted(design.settings.items()):
        reason = design.reasons.get(f"server.{name}")
        why = f"  # {' '.join(reason.formula.split())}" if reason and reason.formula else ""
        lines.append(f"{name} = {quoted(value)}{why}")
    return "\n".join(lines) + "\n"
