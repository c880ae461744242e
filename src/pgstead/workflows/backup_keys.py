"""The keys of the repository: shown, copied, made anew; each time somebody does, it is kept who."""

from __future__ import annotations

from pathlib import Path

from pgstead.model.backup import KeyPair
from pgstead.ports import Ports
from pgstead.workflows.backup import PATIENCE, ports_of


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


def rotate(ports: Ports) -> KeyPair:
    """Make a further pair that is sealed to from now on; what earlier ones sealed stays readable.

    Waits for a base backup that is being made: all of it is sealed to one key.
    """
    backup = ports_of(ports)
    with backup.turns.making(patience=PATIENCE):
        made = backup.vault.rotate()
    ports.journal.record("backup key rotated", fingerprint=made.fingerprint)
    return made


def change_passphrase(ports: Ports, wanted: Path) -> None:
    """Protect all pairs by the passphrase in a file, and let that be the one from now on.

    Waits until nobody reads the repository: who does has the old one in hand.
    """
    backup = ports_of(ports)
    with backup.turns.making(patience=PATIENCE), backup.turns.letting_go(patience=PATIENCE):
        backup.vault.change_passphrase(wanted)
    ports.journal.record("backup passphrase changed")
