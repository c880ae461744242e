"""destroy: remove what pgstead made, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pgstead.design.backup import PASSPHRASE
from pgstead.errors import ForeignStateError
from pgstead.model.backup import SERVER
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.workflows.down import down
from pgstead.workflows.exports import exported


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
        layout.persons,
        layout.connections,
        layout.backup,
        layout.telemetry,
        layout.audit,
        layout.baseline.parent,
        layout.upgrade,
        layout.runs,
        layout.upkeep,
        layout.run,
        layout.logs,
        layout.proofs,
        layout.rehearsals,
        layout.toolchain,
        layout.journal,
        layout.identity,
        # who was erased is asked when one of these backups is restored
        *(() if backups_outside(design) else (layout.personal,)),
        # last: whoever brings the stead up meanwhile takes a new one, and nothing of theirs goes
        layout.lock,
    )


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What is there still."""

    left: tuple[PurePosixPath, ...]  # in the state; it is not ours
    backups: tuple[PurePosixPath, ...]  # repository and dumps outside of the state
    passphrase: PurePosixPath | None  # what opens them, kept in the state


def backups_outside(design: Design) -> tuple[PurePosixPath, ...]:
    """Return the directories of backups that do not lie in the state, and are there."""
    plan, state = design.backup, design.layout.state
    if plan is None:
        return ()
    places = (PurePosixPath(plan.repository), PurePosixPath(plan.exports))
    return tuple(p for p in places if not p.is_relative_to(state) and Path(p).is_dir())


def kept_passphrase(design: Design) -> PurePosixPath | None:
    """Return the file in the state without which backups outside of it cannot be opened.

    Where the manifest has no backups any more, it is kept unless all there were lie in the state.
    """
    layout = design.layout
    found = layout.secret(PASSPHRASE)
    if not Path(found).is_file():
        return None
    if design.backup is None:
        return None if Path(layout.backup, "repository").is_dir() else found
    return found if design.backup.passphrase == str(found) and backups_outside(design) else None


def destroy(design: Design, ports: Ports, *, with_backups: bool = False) -> Destroyed:
    """Stop everything and remove the state; backups that lie elsewhere only if that is asked for.

    Their passphrase stays with them. Raises ForeignStateError when the data directory belongs to
    another stead.
    """
    found = ports.cluster.inspect()
    if found is not None and found.stead_id != design.stead_id:
        raise ForeignStateError(
            f"{design.layout.data} belongs to another stead",
            hint="nothing was removed; remove it by hand if that is what you want",
        )
    down(ports)
    ports.supervisor.forget()
    if with_backups:
        _remove_backups(design, ports)
    outside = backups_outside(design)
    passphrase = None if with_backups else kept_passphrase(design)
    for path in made(design):
        if passphrase is not None and path == design.layout.secrets:
            _remove_but(passphrase, path, ports)
        else:
            ports.files.remove(path)
    left = ports.files.sweep(design.layout.state)
    own = design.layout.secrets if passphrase is not None else None
    return Destroyed(tuple(path for path in left if path != own), outside, passphrase)


def _remove_but(passphrase: PurePosixPath, secrets: PurePosixPath, ports: Ports) -> None:
    """Remove the secrets but one, and what a change of it that was killed has left beside it."""
    for path in Path(secrets).iterdir():
        if not path.name.startswith(passphrase.name):
            ports.files.remove(PurePosixPath(path))


def _remove_backups(design: Design, ports: Ports) -> None:
    """Remove what we made in the directories of backups; what else lies there stays."""
    plan = design.backup
    if plan is None:
        return
    repository, exports = PurePosixPath(plan.repository), PurePosixPath(plan.exports)
    for name in (SERVER, "key", "pgstead.toml", "abandoned", ".pgstead.toml.new"):
        ports.files.remove(repository / name)
    for path in Path(repository).glob(f".{SERVER}*"):
        ports.files.remove(PurePosixPath(path))
    for path in exported(design, Path(exports)):
        ports.files.remove(PurePosixPath(path))
    ports.files.sweep(repository)
    ports.files.sweep(exports)
