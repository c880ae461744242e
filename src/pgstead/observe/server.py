"""Settings of the running server, what our file no longer names, what was set beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgstead.design.server import UNSHOWN
from pgstead.model.address import Resource
from pgstead.model.design import Design
from pgstead.model.resources import Override, Setting
from pgstead.observe.reading import Reading
from pgstead.observe.sql_files import query


def resources(design: Design, reading: Reading) -> Iterator[Resource]:
    """Yield the wanted settings as they run, and every override."""
    wanted = {setting.name: setting for setting in design.stead.all(Setting)}
    ours = str(design.layout.server / "pgstead.conf")
    known = {"names": list(wanted), "ours": ours, "unshown": list(UNSHOWN)}
    for row in reading.rows(query("settings", reading.major), known):
        setting = wanted.get(row["name"]) or Setting(row["name"], "", context=row["context"])
        display = setting.display if row["setting"] == setting.value else _shown(row)
        yield replace(setting, value=row["setting"], display=display)
    seen: dict[str, Override] = {}
    for row in reading.rows(query("overrides", reading.major), {"ours": ours}):
        override = Override(row["name"], row["value"], row["origin"])
        seen[override.key] = override
    yield from seen.values()


def _shown(row: dict[str, str]) -> str:
    """Show a value with its unit; units with a factor ("8kB") in brackets."""
    unit = row["unit"]
    if not unit or not row["setting"].lstrip("-").isdigit():
        return row["setting"]
    number = int(row["setting"])
    if unit == "8kB":
        number, unit = number * 8, "kB"
    for step, larger in (("kB", "MB"), ("MB", "GB")):
        if unit == step and number and number % 1024 == 0:
            number, unit = number // 1024, larger
    return f"{number}{unit}"
