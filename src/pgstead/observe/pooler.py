"""The running PgBouncer's settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgstead.model.design import Design
from pgstead.model.resources import PoolerSetting
from pgstead.ports import PoolerConsole


def resources(design: Design, console: PoolerConsole) -> Iterator[PoolerSetting]:
    """Yield the wanted settings as SHOW CONFIG tells them."""
    wanted = {setting.name: setting for setting in design.stead.all(PoolerSetting)}
    for row in console.rows("SHOW CONFIG"):
        name = row["key"]
        if name in wanted:
            yield replace(wanted[name], value=row["value"] or "")
