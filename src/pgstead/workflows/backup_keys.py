"""The keys of the repository: shown, copied, made anew; each time somebody does, it is kept who."""

from __future__ import annotations

from pathlib import Path

from pgstead.model.backup import KeyPair
from pgstead.model.design import Design
from pgstead.ports import Ports
from pgstead.workflows.backup import PATIENCE, ports_of
from pgstead.workflows.exports import KEYS


def show(ports: Ports) -> tuple[KeyPair, ...]:
    """Return the key pairs, oldest first. Raises BackupError where nothing is encrypted."""
    found = ports_of(ports).vault.pairs()
    ports.journal.record("backup keys shown")
    return found


def export(ports: Ports, into: Path) -> tuple[KeyPair, ...]:
    """Copy all pairs, under their passphrase, to a file; return them."""
    vault = ports_of(ports).vault
    vault.export(into)
    found = vault.pairs()
    ports.journal.record("backup keys exported", into=str(into))
    return found


def _copy_beside_dumps(design: Design, ports: Ports) -> None:
    """Let the copy of the keys that lies beside the dumps be of now; of other places nobody knows.

    A dump there is opened by it and by the passphrase that holds, should the repository be lost.
    """
    assert design.backup is not None
    copy = Path(design.backup.exports, KEYS)
    if copy.exists():
        ports_of(ports).dumps.copy_keys(copy)


def rotate(design: Design, ports: Ports) -> KeyPair:
    """Make a further pair that is sealed to from now on; what earlier ones sealed stays readable.

    Waits for a base backup that is being made: all of it is sealed to one key.
    """
    backup = ports_of(ports)
    with backup.turns.making(patience=PATIENCE):
        made = backup.vault.rotate()
        _copy_beside_dumps(design, ports)
    ports.journal.record("backup key rotated", fingerprint=made.fingerprint)
    return made


def change_passphrase(design: Design, ports: Ports, wanted: Path) -> None:
    """Protect all pairs by the passphrase in a file, and let that be the one from now on.

    Waits until nobody reads the repository: who does has the old one in hand.
    """
    backup = ports_of(ports)
    with backup.turns.making(patience=PATIENCE), backup.turns.letting_go(patience=PATIENCE):
        backup.vault.change_passphrase(wanted)
        _copy_beside_dumps(design, ports)
    ports.journal.record("backup passphrase changed")
