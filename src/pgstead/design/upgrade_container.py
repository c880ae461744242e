"""The container that a major upgrade runs in: the toolbox, with the binaries of both versions."""

from __future__ import annotations

from dataclasses import replace

from pgstead.model.containers import UPGRADE, Composition


def added(composition: Composition) -> Composition:
    """Return the containers with the one that upgrades; it is there only when it is asked for."""
    toolbox, server = composition.container("provision"), composition.container("postgres")
    container = replace(
        toolbox,
        name=UPGRADE,
        image=UPGRADE,
        command=("conduct", "upgrade", "--help"),
        # servers of both versions run in it, one after the other, with the memory of theirs
        limits=replace(toolbox.limits, memory=max(toolbox.limits.memory, server.limits.memory)),
        waits={},
        profile=UPGRADE,
    )
    return replace(composition, containers=(*composition.containers, container))
