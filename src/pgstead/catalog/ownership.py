"""Who decides a setting: pgstead (ours), the manifest (yours), or nobody (forbidden)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from pgstead.catalog.lookup import Spec


class Owner(StrEnum):
    """Who decides."""

    OURS = "ours"
    YOURS = "yours"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who decides a setting, and why. `values` are the forbidden ones."""

    owner: Owner
    why: str = ""
    values: tuple[str, ...] = ()


@cache
def _table() -> Mapping[str, Ownership]:
    source = resources.files("pgstead.catalog") / "data" / "ownership.json"
    told: dict[str, dict[str, Any]] = json.loads(source.read_text(encoding="utf-8"))
    ours = {name: Ownership(Owner.OURS, why) for name, why in told["ours"].items()}
    never = {
        name: Ownership(Owner.FORBIDDEN, facts["why"], tuple(facts["values"]))
        for name, facts in told["forbidden"].items()
    }
    return MappingProxyType({**ours, **never})


def of(spec: Spec) -> Ownership:
    """Return who decides a setting."""
    if spec.context == "internal":
        return Ownership(Owner.OURS, "the server itself decides it; it cannot be set")
    return _table().get(spec.name, Ownership(Owner.YOURS))
