"""What `pgstead doctor` says of the devices that a stead lies on, or will lie on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgstead.model.at_rest import Lying, Place, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgstead.cli.wiring import Ground, Source
    from pgstead.host.doctor import Finding
    from pgstead.observe.block_devices import Devices


def examine(source: Source, ground: Ground, devices: Devices | None = None) -> Iterator[Finding]:
    """Yield how the disk keeps data and backups; a fault only where the manifest demands it."""
    from pgstead.design import backup
    from pgstead.observe import at_rest
    from pgstead.observe.block_devices import Devices

    seen = devices or Devices()
    if not seen.visible():
        return
    demands = source.manifest.at_rest
    yield _finding("at-rest", at_rest.of_data(ground.layout, seen), demanded=demands.data)
    if source.manifest.backup.enabled:
        kept = at_rest.of_backups(backup.places(source.manifest, ground.layout), seen)
        yield _finding("backups-at-rest", kept, demanded=demands.backups)


def _finding(code: str, places: Sequence[Place], *, demanded: bool) -> Finding:
    from pgstead.host.doctor import Finding

    together: dict[Lying, list[str]] = {}
    for place in places:
        together.setdefault(place.lying, []).append(place.name)
    told = [f"{', '.join(names)}: {lying.text}" for lying, names in together.items()]
    key = "at_rest.data" if code == "at-rest" else "at_rest.backups"
    safe = worst(place.lying for place in places).safe
    return Finding(
        code,
        ok=safe or not demanded,
        text="; ".join(told),
        hint=f"{key} = true demands encrypted devices: move it to one (LUKS, fscrypt)",
    )
