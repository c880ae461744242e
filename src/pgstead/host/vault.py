"""The repository's directory and the key pair in it."""

from __future__ import annotations

import os
from pathlib import Path

from pgstead.errors import KeysLostError
from pgstead.host import gpg
from pgstead.host.files import problem
from pgstead.model.backup import BackupPlan
from pgstead.model.host import BackupTools
from pgstead.model.resources import BackupKey


class RepositoryVault:
    """`ports.BackupVault` on this machine."""

    def __init__(self, plan: BackupPlan, tools: BackupTools) -> None:
        """Keep where it is to be."""
        self._plan = plan
        self._tools = tools

    def inspect(self) -> BackupKey | None:
        """Return the repository as it is, None where there is none."""
        repository = Path(self._plan.repository)
        try:
            mode = repository.stat().st_mode & 0o7777
        except FileNotFoundError:
            return None
        except OSError as error:
            raise problem(error, repository, "looking at") from error
        keys = [Path(self._plan.key, name) for name in (gpg.PUBLIC, gpg.SECRET)]
        encrypted = self._plan.encrypted and all(path.is_file() for path in keys)
        return BackupKey(self._plan.repository, mode, encrypted)

    def ensure(self) -> None:
        """Make the directory and, once, the key pair.

        Raises KeysLostError where backups lie there and the key that opens them is gone.
        """
        repository = Path(self._plan.repository)
        try:
            repository.mkdir(mode=0o700, parents=True, exist_ok=True)
            repository.chmod(0o700)
            Path(self._plan.key).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise problem(error, repository, "making") from error
        if not self._plan.encrypted or self._has_keys():
            return
        base = Path(self._plan.base)
        if base.is_dir() and any(base.iterdir()):
            raise KeysLostError(
                f"the key of the backups is gone: {self._plan.key} is empty, and {base} is not",
                hint="put the copy of the key back; if the backups may be lost, move"
                f" {self._plan.repository} away and run `pgstead up` again",
            )
        passphrase = Path(self._plan.passphrase)
        if not os.access(passphrase, os.R_OK):
            raise KeysLostError(
                f"the passphrase of the backups' key cannot be read: {passphrase}",
                hint="backup.passphrase_file names a file of mode 0600 with one line",
            )
        gpg.make(self._tools, Path(self._plan.key), self._plan.recipient, passphrase)

    def _has_keys(self) -> bool:
        return all(Path(self._plan.key, name).is_file() for name in (gpg.PUBLIC, gpg.SECRET))
