"""Homes of GnuPG, each for one call: made, ended, and removed where their maker was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pgstead.host import processes, programs
from pgstead.model.host import BackupTools

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
_PREFIX = "pgst-gpg-"  # then the maker's pid and start time


@contextmanager
def home_of_a_moment(tools: BackupTools, *, starting: bool) -> Generator[Path]:
    """Give an empty home; where `starting`, gpg may start its agent, which ends with it.

    Homes that killed runs left are removed first: they hold keys, under their passphrase.
    """
    sweep(tools)
    me = processes.look(os.getpid())
    maker = f"{_PREFIX}{os.getpid()}-{me.start if me else 0}-"
    home = Path(tempfile.mkdtemp(prefix=maker, dir=_short()))
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


def sweep(tools: BackupTools) -> None:
    """Remove the homes whose makers are gone, and end their agents. Looks at our own alone."""
    for home in Path(_short()).glob(f"{_PREFIX}*"):
        try:
            ours = home.stat().st_uid == os.geteuid()
        except FileNotFoundError:
            continue
        if ours and not _has_maker(home):
            _end_agent(tools, home)
            shutil.rmtree(home, ignore_errors=True)


def _has_maker(home: Path) -> bool:
    words = home.name.removeprefix(_PREFIX).split("-")
    if len(words) < 2 or not (words[0].isdigit() and words[1].isdigit()):
        return True  # not a name of ours
    found = processes.look(int(words[0]))
    return found is not None and found.start == int(words[1])


def _short() -> str:
    """Return a directory whose path leaves room for the agent's socket."""
    found = tempfile.gettempdir()
    return found if len(found) <= 50 else "/tmp"  # noqa: S108 - a directory of mode 0700 follows


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
