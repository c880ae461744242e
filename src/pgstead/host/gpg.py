"""GnuPG's keys for the repository: made once, and taken into a keyring of a moment.

The agent of GnuPG listens on a socket below its home, whose path may have 107 bytes, and goes on
running. So a home is made where paths are short, for one call, and its agent ends with it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pgstead.errors import HostError
from pgstead.host import programs
from pgstead.host.files import problem
from pgstead.model.host import BackupTools

PUBLIC, SECRET = "public.asc", "secret.asc"

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
# The only key in the keyring is ours, so it need not be signed to be trusted.
_CONF = """\
batch
no-tty
no-autostart
trust-model always
cipher-algo AES256
s2k-cipher-algo AES256
s2k-digest-algo SHA512
s2k-count 65011712
"""

# For a keyring that is gone with the call. Left to itself the agent measures for a second how many
# rounds take it 0.1 s, and then every file that is opened takes them: each segment of WAL. The
# copy that stays (`make`) is protected by as many as there can be.
_PASSING = "s2k-count 1048576\n"


def make(tools: BackupTools, directory: Path, recipient: str, passphrase: Path) -> None:
    """Make a key pair in a directory; the secret half is protected by the passphrase.

    Raises HostError where gpg cannot.
    """
    with _home(tools, starting=True) as home:
        recipe = home / "recipe"
        recipe.write_text(_RECIPE.format(recipient=recipient), encoding="ascii")
        _gpg(tools, home, passphrase, "--generate-key", str(recipe))
        for name, option in ((SECRET, "--export-secret-keys"), (PUBLIC, "--export")):
            armored = _gpg(tools, home, passphrase, "--armor", option, recipient).out
            if "BEGIN PGP" not in armored:
                raise HostError("gpg made a key and does not give it out")
            _write(directory / name, armored)


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(text, encoding="ascii")
        temporary.replace(path)
    except OSError as error:
        raise problem(error, path, "writing") from error


@contextmanager
def keyring(tools: BackupTools, directory: Path, passphrase: Path | None) -> Generator[Path]:
    """Give GNUPGHOME for a moment: with the public half, and the secret one given its passphrase.

    Raises HostError for a key that does not open.
    """
    secret = passphrase is not None
    with _home(tools, starting=secret) as home:
        with (home / "gpg-agent.conf").open("a", encoding="ascii") as conf:
            conf.write(_PASSING)
        name = SECRET if secret else PUBLIC
        if not (directory / name).is_file():
            raise HostError(
                f"the key of the backups is gone: there is no {directory / name}",
                hint="put the copy back that was made of it; without it nothing can be restored",
            )
        _gpg(tools, home, passphrase, "--import", str(directory / name))
        if passphrase is not None:
            _must_open(tools, home, passphrase)
        yield home


def _must_open(tools: BackupTools, home: Path, passphrase: Path) -> None:
    """Raise HostError where the passphrase is not the key's: gpg itself asks for it late."""
    sealed = home / "probe.gpg"
    (home / "probe").write_text("probe", encoding="ascii")
    uid = _gpg(tools, home, None, "--list-keys", "--with-colons").out
    recipient = next(line.split(":")[4] for line in uid.splitlines() if line.startswith("pub:"))
    _gpg(tools, home, None, "--output", str(sealed), "--recipient", recipient, "--encrypt",
         str(home / "probe"))  # fmt: skip
    try:
        _gpg(tools, home, passphrase, "--decrypt", str(sealed))
    except HostError as error:
        raise HostError(
            f"the passphrase in {passphrase} does not open the key of the backups",
            hint="put the passphrase back that the key was made with; a copy of it belongs outside"
            " of this machine",
        ) from error


def sealed(path: Path) -> bool:
    """Say whether a file begins as what is encrypted to a key does (RFC 4880, 4.2 and 5.1)."""
    with path.open("rb") as file:
        return file.read(1) in (b"\x84", b"\x85", b"\xc1")


def decrypt(tools: BackupTools, home: Path, passphrase: Path, source: Path, target: Path) -> None:
    """Decrypt a file into another one, of mode 0600, with a keyring. Raises HostError."""
    _gpg(tools, home, passphrase, "--output", str(target), "--decrypt", str(source))


@contextmanager
def _home(tools: BackupTools, *, starting: bool) -> Generator[Path]:
    home = Path(tempfile.mkdtemp(prefix="pgst-gpg-", dir=_short()))
    agent = Path(tools.gpg).with_name("gpg-agent")
    lines = _CONF if not starting else _CONF.replace("no-autostart\n", "")
    if starting and agent.is_file():
        lines += f"agent-program {agent}\n"
    (home / "gpg.conf").write_text(lines, encoding="utf-8")
    (home / "gpg-agent.conf").write_text("allow-loopback-pinentry\n", encoding="ascii")
    try:
        yield home
    finally:
        if starting:
            _end_agent(tools, home)
        shutil.rmtree(home, ignore_errors=True)


def _short() -> str:
    """Return a directory whose path leaves room for the agent's socket."""
    found = tempfile.gettempdir()
    return found if len(found) <= 60 else "/tmp"  # noqa: S108 - a directory of mode 0700 follows


def _end_agent(tools: BackupTools, home: Path) -> None:
    connect = Path(tools.gpg).with_name("gpg-connect-agent")
    if connect.is_file():
        command = [str(connect), "--homedir", str(home), "--no-autostart", "KILLAGENT", "/bye"]
        programs.run(command, environment=environment(tools, home), timeout=20)


def environment(tools: BackupTools, home: Path) -> dict[str, str]:
    """Return what gpg needs in its environment."""
    found = {"GNUPGHOME": str(home), "HOME": str(home)}
    if tools.library_path:
        found["LD_LIBRARY_PATH"] = tools.library_path
    return found


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
        raise HostError(f"gpg {arguments[0]} failed: {' '.join(outcome.err.split())[:300]}")
    return outcome
