"""destroy: remove what pgstead made, and nothing else."""

from __future__ import annotations

from pathlib import PurePosixPath

from pgstead.errors import ForeignStateError
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.workflows.down import down


def made(design: Design) -> tuple[PurePosixPath, ...]:
    """Return every path that pgstead makes below its state directory."""
    layout = design.layout
    return (
        layout.server,
        layout.pooler,
        layout.tls,
        layout.secrets,
        layout.passfiles,
        layout.keys,
        layout.connections,
        layout.backup,
        layout.rehearsals,
        layout.run,
        layout.logs,
        layout.proofs,
        layout.rehearsals,
        layout.toolchain,
        layout.journal,
        layout.lock,
        layout.identity,
    )


def destroy(design: Design, ports: Ports) -> tuple[PurePosixPath, ...]:
    """Stop everything and remove the state. Returns what lies there still: it is not ours.

    Raises ForeignStateError when the data directory belongs to another stead.
    """
    found = ports.cluster.inspect()
    if found is not None and found.stead_id != design.stead_id:
        raise ForeignStateError(
            f"{design.layout.data} belongs to another stead",
            hint="nothing was removed; remove it by hand if that is what you want",
        )
    down(ports)
    for path in made(design):
        ports.files.remove(path)
    return ports.files.sweep(design.layout.state)
