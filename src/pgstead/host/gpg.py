"""GnuPG's keys for the repository, taken into a keyring of a moment.

`secret.asc` holds every pair that was ever made, all of them under one passphrase; `public.asc`
the public half of the newest alone, which is what new files are sealed to. Each is replaced whole,
the secret one first: what was sealed can be opened whenever a rotation is killed.

The agent of GnuPG listens on a socket below its home, whose path may have 107 bytes, and goes on
running. So a home is made where paths are short, for one call, and its agent ends with it
(`gpg_homes`).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pgstead.errors import HostError
from pgstead.host import programs
from pgstead.host.files import problem, sync_directory
from pgstead.host.gpg_homes import environment, home_of_a_moment
from pgstead.host.interrupts import put_off
from pgstead.model.host import BackupTools

PUBLIC, SECRET = "public.asc", "secret.asc"
_BEGINNING = 65_536  # bytes of a file that show that it opens
PENDING = ".pending"  # how the file of a passphrase ends that is about to hold

# Curve 25519 for the key, AES-256 for what it protects (BAK-4).
_RECIPE = """\
%echo
Key-Type: eddsa
Key-Curve: ed25519
Subkey-Type: ecdh
Subkey-Curve: cv25519
Name-Email: {recipient}
Expire-Date: 0
Preferences: AES256 SHA512 Uncompressed
%commit
"""
# For a keyring that is gone with the call. Left to itself the agent measures for a second how many
# rounds take it 0.1 s, and then every file that is opened takes them: each segment of WAL.
_PASSING = "s2k-count 1048576\n"
# For one whose pairs are written down: as many as there can be (RFC 9580, 3.7.1.3).
_LASTING = "s2k-count 65011712\n"


def make(tools: BackupTools, directory: Path, recipient: str, passphrase: Path) -> None:
    """Make a key pair in a directory; the secret half is protected by the passphrase.

    Raises HostError where gpg cannot.
    """
    with home_of_a_moment(tools, starting=True) as home:
        _protect(home, _LASTING)
        _add(tools, home, directory, recipient, passphrase)


def rotate(tools: BackupTools, directory: Path, recipient: str, passphrase: Path) -> str:
    """Make a further pair that is sealed to from now on; return its fingerprint.

    Earlier pairs stay beside it. Raises HostError where gpg cannot.
    """
    with keyring(tools, directory, passphrase, lasting=True) as home:
        return _add(tools, home, directory, recipient, passphrase)


def _add(tools: BackupTools, home: Path, directory: Path, recipient: str, passphrase: Path) -> str:
    recipe = home / "recipe"
    recipe.write_text(_RECIPE.format(recipient=recipient), encoding="ascii")
    before = {pair.fingerprint for pair in _pairs(_listed(tools, home))}
    _gpg(tools, home, passphrase, "--generate-key", str(recipe))
    made = [p.fingerprint for p in _pairs(_listed(tools, home)) if p.fingerprint not in before]
    if len(made) != 1:
        raise HostError("gpg made a key and does not list it")
    _export_secret(tools, home, directory, passphrase)
    _write(directory / PUBLIC, _armored(_gpg(tools, home, None, "--armor", "--export", made[0])))
    return made[0]


def change_passphrase(tools: BackupTools, directory: Path, passphrase: Path, wanted: Path) -> None:
    """Protect all pairs by another passphrase, which is in the file `wanted`.

    That file takes the place of the old one. Raises HostError where gpg cannot; a run that is
    killed in between leaves a keyring that opens with one of the two files.
    """
    try:
        told = wanted.read_text(encoding="utf-8").strip("\n") + "\n"
    except (OSError, UnicodeError) as error:
        raise HostError(f"the new passphrase cannot be read: {wanted}: {error}") from error
    pending = passphrase.with_name(passphrase.name + PENDING)
    # the keyring first: a change that was killed may have left what holds under that name
    with keyring(tools, directory, passphrase, lasting=True) as home:
        before = _secret(directory)
        try:
            # it lies beside for as long as it is unknown which of the two holds
            _write(pending, told)
            old, new = (_first_line(path) for path in (passphrase, pending))
            for pair in _pairs(_listed(tools, home)):
                _change(tools, home, pair.fingerprint, old, new)
            with put_off():
                _export_secret(tools, home, directory, pending)
                _adopt(pending, passphrase)
        except BaseException:
            if _secret(directory) == before:  # else `_open` settles which of the two it is
                pending.unlink(missing_ok=True)
            raise


def _adopt(pending: Path, passphrase: Path) -> None:
    """Let the pending passphrase be the one; another process may have done it by now (`_open`)."""
    try:
        pending.replace(passphrase)
    except FileNotFoundError:
        return
    except OSError as error:
        raise problem(error, passphrase, "writing") from error


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except OSError as error:
        raise problem(error, path, "reading") from error


def _change(tools: BackupTools, home: Path, fingerprint: str, old: str, new: str) -> None:
    """Change the passphrase of a pair: gpg asks for the old one, then for the new one."""
    command = [tools.gpg, "--quiet", "--no-batch", "--yes", "--pinentry-mode", "loopback"]
    command += ["--command-fd", "0", "--passwd", fingerprint]
    outcome = programs.run(
        command, environment=environment(tools, home), timeout=120, umask=0o077,
        told=f"{old}\n{new}\n",
    )  # fmt: skip
    if not outcome.ok:
        raise HostError(f"gpg --passwd failed: {' '.join(outcome.err.split())[:300]}")


def _export_secret(tools: BackupTools, home: Path, directory: Path, passphrase: Path) -> None:
    told = _gpg(tools, home, passphrase, "--armor", "--export-secret-keys")
    _write(directory / SECRET, _armored(told))


def _armored(outcome: programs.Outcome) -> str:
    if "BEGIN PGP" not in outcome.out:
        raise HostError("gpg has a key and does not give it out")
    return outcome.out


@dataclass(frozen=True, slots=True)
class Pair:
    """A key pair, as gpg lists it."""

    fingerprint: str
    made: datetime
    sealing: str  # the number of the half that files are sealed to, 16 hex digits


def pairs(tools: BackupTools, directory: Path) -> tuple[Pair, ...]:
    """Return the pairs that are there, oldest first; no passphrase is needed for that."""
    with home_of_a_moment(tools, starting=False) as home:
        arguments = ["--import-options", "show-only", "--with-colons", "--import"]
        return _pairs(_gpg(tools, home, None, *arguments, str(directory / SECRET)).out)


def current(tools: BackupTools, directory: Path) -> Pair:
    """Return the pair that new files are sealed to."""
    with home_of_a_moment(tools, starting=False) as home:
        arguments = ["--import-options", "show-only", "--with-colons", "--import"]
        return _pairs(_gpg(tools, home, None, *arguments, str(directory / PUBLIC)).out)[-1]


def _listed(tools: BackupTools, home: Path) -> str:
    return _gpg(tools, home, None, "--with-colons", "--list-keys").out


def _pairs(listed: str) -> tuple[Pair, ...]:
    """Read gpg's list (doc/DETAILS in its source: fields 1 kind, 5 number, 6 time, 12 use)."""
    found: list[Pair] = []
    fingerprint, made, waiting = "", datetime.fromtimestamp(0, UTC), False
    for fields in (line.split(":") for line in listed.splitlines()):
        match fields[0]:
            case "pub" | "sec":
                made, waiting = datetime.fromtimestamp(int(fields[5]), UTC), True
            case "fpr" if waiting:
                fingerprint, waiting = fields[9], False
            case "sub" | "ssb" if "e" in fields[11]:
                found.append(Pair(fingerprint, made, fields[4]))
            case _:
                continue
    return tuple(sorted(found, key=lambda pair: pair.made))


def copy(directory: Path, into: Path) -> None:
    """Copy all pairs, under their passphrase, to a file of mode 0600, replacing it whole."""
    _write(into, _secret(directory))


def _secret(directory: Path) -> str:
    try:
        return (directory / SECRET).read_text(encoding="utf-8")
    except OSError as error:
        raise problem(error, directory / SECRET, "reading") from error


def decrypt(tools: BackupTools, home: Path, passphrase: Path, sealed: Path, into: Path) -> None:
    """Open a file with a keyring of a moment. Raises HostError where it cannot be opened."""
    into.unlink(missing_ok=True)
    _gpg(tools, home, passphrase, "--output", str(into), "--decrypt", str(sealed))


def opens(tools: BackupTools, home: Path, passphrase: Path, sealed: Path) -> str:
    """Open the beginning of a file, keeping nothing; return why it does not open, or nothing."""
    command = [tools.gpg, "--quiet", "--pinentry-mode", "loopback"]
    command += ["--passphrase-file", str(passphrase), "--decrypt", str(sealed)]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=programs.plain_environment(environment(tools, home)),
        ) as running,
    ):
        assert running.stdout is not None
        beginning = running.stdout.read(_BEGINNING)
        running.kill()  # a base backup may be of terabytes
        if beginning:
            return ""
        said.seek(0)
        return " ".join(said.read().decode("utf-8", "replace").split())[:300] or "it is empty"


def encrypt(tools: BackupTools, home: Path, recipient: str, plain: Path, into: Path) -> None:
    """Seal a file with a keyring of a moment; it has its name when it is whole. Raises HostError.

    As Barman does it: what is compressed is not compressed again.
    """
    passing = into.with_name(f".{into.name}.sealing")
    _gpg(tools, home, None, "--yes", "--compress-level", "0", "--recipient", recipient,
         "--output", str(passing), "--encrypt", str(plain))  # fmt: skip
    passing.replace(into)


def sealed_to(path: Path) -> str:
    """Return the number of the key that a file is sealed to; empty for one that is plain.

    A message to a public key begins with a packet that names it (RFC 9580, 4.2 and 5.1.1).
    """
    with path.open("rb") as file:
        head = file.read(16)
    lengths = {0x84: 1, 0x85: 2, 0xC1: 1}  # of the length that follows the packet's tag
    if not head or head[0] not in lengths:
        return ""
    begin = 1 + lengths[head[0]]
    return head[begin + 1 : begin + 9].hex().upper() if head[begin : begin + 1] == b"\x03" else ""


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise problem(error, path, "writing") from error


@contextmanager
def keyring(
    tools: BackupTools, directory: Path, passphrase: Path | None, *, lasting: bool = False
) -> Generator[Path]:
    """Give GNUPGHOME for a moment: with the public half, and the secret one given its passphrase.

    With `lasting` its pairs are protected as those have to be that are written down. Raises
    HostError for a key that does not open.
    """
    secret = passphrase is not None
    with home_of_a_moment(tools, starting=secret) as home:
        _protect(home, _LASTING if lasting else _PASSING)
        name = SECRET if secret else PUBLIC
        if not (directory / name).is_file():
            raise HostError(
                f"the key of the backups is gone: there is no {directory / name}",
                hint="put the copy back that was made of it; without it nothing can be restored",
            )
        _gpg(tools, home, passphrase, "--import", str(directory / name))
        if passphrase is not None:
            _open(tools, home, passphrase)
        yield home


def _protect(home: Path, rounds: str) -> None:
    with (home / "gpg-agent.conf").open("a", encoding="ascii") as conf:
        conf.write(rounds)


def _open(tools: BackupTools, home: Path, passphrase: Path) -> None:
    """Raise HostError where the passphrase is not the key's: gpg itself asks for it late."""
    pending = passphrase.with_name(passphrase.name + PENDING)
    try:
        _must_open(tools, home, passphrase)
    except HostError:
        if not pending.is_file():
            raise
        # a change was killed when the keys had it already, and the file had not
        _must_open(tools, home, pending)
        _adopt(pending, passphrase)


def seal(
    tools: BackupTools, home: Path, recipient: str, into: Path, *, at: datetime | None = None
) -> None:
    """Seal a word to a key of a keyring of a moment. Raises HostError where it cannot be.

    `at` is when, as far as gpg knows: a key that has expired since still opens what it sealed.
    """
    (home / "probe").write_text("probe", encoding="ascii")
    when = [] if at is None else ["--faked-system-time", str(int(at.timestamp()) + 1)]
    _gpg(tools, home, None, "--yes", *when, "--output", str(into), "--recipient", recipient,
         "--encrypt", str(home / "probe"))  # fmt: skip


def _must_open(tools: BackupTools, home: Path, passphrase: Path) -> None:
    sealed = home / "probe.gpg"
    last = _pairs(_listed(tools, home))[-1]
    seal(tools, home, last.fingerprint, sealed, at=last.made)
    try:
        _gpg(tools, home, passphrase, "--decrypt", str(sealed))
    except HostError as error:
        raise HostError(
            f"the passphrase in {passphrase} does not open the key of the backups",
            hint="put the passphrase back that the key was made with; a copy of it belongs outside"
            " of this machine",
        ) from error


def _gpg(
    tools: BackupTools, home: Path, passphrase: Path | None, *arguments: str
) -> programs.Outcome:
    command = [tools.gpg, "--quiet"]
    if passphrase is not None:
        command += ["--pinentry-mode", "loopback", "--passphrase-file", str(passphrase)]
    outcome = programs.run(
        [*command, *arguments], environment=environment(tools, home), timeout=120, umask=0o077
    )
    if not outcome.ok:
        raise HostError(
            f"gpg {arguments[0]} failed: {' '.join(outcome.err.split())[:300]}",
            hint="`pgstead backup key show` tells what is known of the keys; where they are whole,"
            " and there is room for temporary files, try again",
        )
    return outcome
