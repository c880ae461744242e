"""The repository's directory and the key pairs in it."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pgstead.errors import BackupError, KeysLostError, UsageError
from pgstead.host import gpg, gpg_homes, listing
from pgstead.host.files import problem
from pgstead.model.backup import BackupPlan, KeyPair
from pgstead.model.host import BackupTools
from pgstead.model.resources import BackupKey

_PROBE = "what is sealed now"


class RepositoryVault:
    """`ports.BackupVault` on this machine."""

    def __init__(self, plan: BackupPlan, tools: BackupTools, manifest: PurePosixPath) -> None:
        """Keep where it is to be, and where the manifest lies that the last `up` was given."""
        self._plan = plan
        self._tools = tools
        self._manifest = manifest

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

    def keep_manifest(self) -> None:
        """Copy the manifest that the last `up` was given; who restores elsewhere needs it."""
        try:
            text = Path(self._manifest).read_bytes()
        except FileNotFoundError:
            return
        wanted = Path(self._plan.manifest)
        temporary = wanted.with_name(f".{wanted.name}.new")
        try:
            temporary.touch(mode=0o600)
            temporary.write_bytes(text)
            temporary.replace(wanted)
        except OSError as error:
            raise problem(error, wanted, "writing") from error

    # -- keys ---------------------------------------------------------------------------------

    def pairs(self) -> tuple[KeyPair, ...]:
        """Return the key pairs, oldest first. Raises BackupError where nothing is encrypted."""
        key = self._key()
        newest = gpg.current(self._tools, key).fingerprint
        sealed = Counter(self._seals())
        return tuple(
            KeyPair(p.fingerprint, p.made, p.fingerprint == newest, sealed[p.sealing])
            for p in gpg.pairs(self._tools, key)
        )

    def _key(self) -> Path:
        if not self._has_keys():
            raise BackupError(
                f"there is no key in {self._plan.key}",
                hint="`pgstead up` makes it, unless backup.encryption = false",
            )
        return Path(self._plan.key)

    def _seals(self) -> Iterator[str]:
        """Yield for each file of base backups and WAL the number of the key that opens it."""
        for place in (self._plan.base, self._plan.wals):
            for path in listing.files_below(place):
                try:
                    if path.is_file() and (number := gpg.sealed_to(path)):
                        yield number
                except FileNotFoundError:
                    continue  # let go of while we looked

    def rotate(self) -> KeyPair:
        """Make a further pair that is sealed to from now on; earlier ones go on opening."""
        plan = self._plan
        made = gpg.rotate(self._tools, self._key(), plan.recipient, Path(plan.passphrase))
        return next(pair for pair in self.pairs() if pair.fingerprint == made)

    def change_passphrase(self, wanted: Path) -> None:
        """Protect all pairs by what is in a file; its text takes the place of the old one."""
        gpg.change_passphrase(self._tools, self._key(), Path(self._plan.passphrase), wanted)

    def sweep(self) -> None:
        """Remove the keyrings that killed runs left, and end their agents."""
        gpg_homes.sweep(self._tools)

    def unopened(self, sealed: Sequence[Path]) -> Mapping[str, str]:
        """Return what does not open, with why: of files, and of a probe that is sealed now.

        The probe is sealed by the public half that the next backup would be sealed by. Raises
        HostError where there is no key, or nothing can be sealed to it.
        """
        key, passphrase = self._key(), Path(self._plan.passphrase)
        with tempfile.TemporaryDirectory() as directory:
            probe = Path(directory, _PROBE)
            with gpg.keyring(self._tools, key, None) as home:
                gpg.seal(self._tools, home, self._plan.recipient, probe)
            with gpg.keyring(self._tools, key, passphrase) as home:
                told = {
                    path.name if path == probe else str(path): gpg.opens(
                        self._tools, home, passphrase, path
                    )
                    for path in (probe, *sealed)
                }
        return {name: why for name, why in told.items() if why}

    def export(self, into: Path) -> None:
        """Copy all pairs, under their passphrase, to a file that must not be there."""
        text = (self._key() / gpg.SECRET).read_bytes()
        try:
            handle = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise UsageError(f"{into} exists already", hint="name another file") from None
        except OSError as error:
            raise problem(error, into, "writing") from error
