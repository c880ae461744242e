"""Where base backups are known from."""

from __future__ import annotations

from pgstead.model.gate import Unproven, VerifiedBackup


class NoBackups:
    """`ports.Backups` of a pgstead that makes none: whether there is one it cannot say."""

    def last_verified(self) -> VerifiedBackup | Unproven | None:
        """Say that nothing is known: neither that there is a backup nor that there is none."""
        return Unproven("pgstead makes no backups yet, so none of them was verified")
