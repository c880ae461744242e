"""Sabotages of a host with systemd; done to one that is booted (tests/live/host, soak).

Their scene is not the one of the others: it is asked by commands on that host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

from pgstead.model.design import Design
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

WHERE = "host"
UNIT = "pgstead-shop-pgbouncer.service"
TARGET = "pgstead-shop.target"


class HostScene(Protocol):
    """A host with a stead that is up."""

    def shell(self, script: str, /) -> str:
        """Run a script as root of the host."""
        ...


def shell(scene: Scene, script: str) -> None:
    """Run a script on the host."""
    cast("HostScene", scene).shell(script)


@sabotage("HST-001", where=WHERE)
def a_unit_without_its_confinement(scene: Scene) -> Iterator[Design | None]:
    """Somebody was in a hurry, and rewrote the pooler's unit without what confines it."""
    unit = f"/etc/systemd/system/{UNIT}"
    again = f"systemctl daemon-reload; systemctl restart {UNIT}"
    # each of them alone implies NoNewPrivileges for a unit with a user (systemd.exec(5))
    those = "NoNew|Protect|Private|Restrict|SystemCall|Memory|Lock|Keyring|Capability|ProcSubset"
    shell(scene, f"cp -p {unit} /run/kept; sed -E -i '/^({those})/d' {unit}; {again}")
    try:
        yield None
    finally:
        shell(scene, f"cp -p /run/kept {unit}; {again}")


@sabotage("HST-002", where=WHERE)
def nothing_starts_at_boot(scene: Scene) -> Iterator[Design | None]:
    """The target was disabled: all runs, until the machine is started anew."""
    shell(scene, f"systemctl disable --quiet {TARGET}")
    try:
        yield None
    finally:
        shell(scene, f"systemctl enable --quiet {TARGET}")


SABOTAGES = (a_unit_without_its_confinement, nothing_starts_at_boot)
