"""Which base backups have been verified: what lies in the repository, and what the catalog says."""

from __future__ import annotations

from pgstead.errors import SteadError
from pgstead.model.backup import Ending, State, Task
from pgstead.model.gate import Unproven, VerifiedBackup
from pgstead.ports.backup import BackupPorts


class KnownBackups:
    """`ports.Backups` of a stead that makes them, or does not."""

    def __init__(self, backup: BackupPorts | None) -> None:
        """Keep where to look; None where no backups are made."""
        self._backup = backup

    def last_verified(self) -> VerifiedBackup | Unproven | None:
        """Return the newest one that was restored and checked; None where none ever was."""
        if self._backup is None:
            return Unproven("the manifest asks for no backups, so none of them was verified")
        try:
            stored = [b for b in self._backup.engine.backups() if b.state is State.DONE]
            runs = self._backup.catalog.runs()
        except SteadError as error:
            return Unproven(error.message)
        good = {
            run.backup
            for run in runs
            if run.task in {Task.VERIFY, Task.DRILL} and run.ending is Ending.DONE
        }
        proven = [b for b in stored if b.name in good and b.ended is not None]
        if not proven:
            return None
        last = proven[-1]
        assert last.ended is not None
        return VerifiedBackup(last.name, last.ended)
