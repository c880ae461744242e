"""What goes through gpg on its way to a file, and on its way back, with the repository's keys."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pgstead.host import gpg, gpg_homes
from pgstead.host.pipeline import Stage
from pgstead.model.backup import BackupPlan
from pgstead.model.host import BackupTools

SUFFIX = ".gpg"


class Sealing:
    """The stages of a pipeline that seal and open."""

    def __init__(self, plan: BackupPlan, tools: BackupTools) -> None:
        """Keep whose keys they are."""
        self._plan = plan
        self._tools = tools

    @contextmanager
    def closing(self) -> Generator[Stage]:
        """Give what seals: the public half is enough. Raises HostError without it."""
        with gpg.keyring(self._tools, Path(self._plan.key), None) as home:
            command = [self._tools.gpg, "--quiet", "--recipient", self._plan.recipient, "--encrypt"]
            yield Stage(command, environment=gpg_homes.environment(self._tools, home))

    @contextmanager
    def opening(self) -> Generator[Stage]:
        """Give what opens. Raises HostError for a key that is gone or does not open."""
        passphrase = Path(self._plan.passphrase)
        with gpg.keyring(self._tools, Path(self._plan.key), passphrase) as home:
            command = [self._tools.gpg, "--quiet", "--pinentry-mode", "loopback"]
            command += ["--passphrase-file", str(passphrase), "--decrypt"]
            yield Stage(command, environment=gpg_homes.environment(self._tools, home))

    def copy_keys(self, into: Path) -> None:
        """Copy all pairs, under their passphrase, to a file, in the place of what was there."""
        gpg.copy(Path(self._plan.key), into)
